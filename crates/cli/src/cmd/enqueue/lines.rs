//! Many jobs from a file, one payload a line. Nothing is sent before every line has been checked.

use std::{io::Read as _, path::Path};

use anyhow::Context as _;
use ergate_client::{ATOMIC_BATCH, Client, EnqueueAll};

use super::{Enqueue, as_json, done};
use crate::{
    exit::{self, Refusal},
    output::{self, Output},
};

/// Jobs sent by one call: four batches, as many as the client keeps on their way at once.
const AT_ONCE: usize = 4 * ATOMIC_BATCH;
/// Bad lines named in an error; more are counted.
const NAMED: usize = 3;

/// The lines of a file that are payloads.
#[derive(Debug)]
pub(crate) struct Payloads {
    text: Vec<u8>,
    /// Where each is in `text`, and its line number from 1.
    places: Vec<(std::ops::Range<usize>, usize)>,
    from: String,
}

/// Some of the payloads: those that are sent by one call.
#[derive(Debug)]
pub(crate) struct Part<'a> {
    payloads: &'a Payloads,
    /// How many come before them.
    before: usize,
    places: &'a [(std::ops::Range<usize>, usize)],
}

/// Reads a file, or stdin for `None`.
pub(crate) fn read_all(path: Option<&Path>) -> anyhow::Result<Vec<u8>> {
    match path {
        Some(path) => match std::fs::read(path) {
            Ok(text) => Ok(text),
            Err(error) => {
                Err(Refusal::usage(format!("file {} cannot be read: {error}", path.display())).into())
            }
        },
        None => {
            let mut text = Vec::new();
            std::io::stdin().lock().read_to_end(&mut text).context("stdin")?;
            Ok(text)
        }
    }
}

/// Says what is wrong with a payload, after the words "line 3" or "payload of job x".
pub(super) fn check(payload: &[u8], limit: usize) -> Result<(), String> {
    if payload.len() > limit {
        return Err(format!(
            "has {}, the limit is {}",
            output::bytes(payload.len() as u64),
            output::bytes(limit as u64)
        ));
    }
    serde_json::from_slice::<serde::de::IgnoredAny>(payload)
        .map(drop)
        .map_err(|error| format!("is not valid JSON: {error}"))
}

/// Reads every line and has it checked: `check` says what is wrong with it, after the words "line 3".
pub(crate) fn read(file: &Path, check: impl Fn(&[u8]) -> Result<(), String>) -> anyhow::Result<Payloads> {
    let path = (file.as_os_str() != "-").then_some(file);
    let from = path.map_or_else(|| "stdin".to_owned(), |path| path.display().to_string());
    Payloads::parse(read_all(path)?, from, check)
}

impl Payloads {
    /// The payloads in the order of the lines, so many at a time.
    pub(crate) fn parts(&self, most: usize) -> impl Iterator<Item = Part<'_>> {
        let parts = self.places.chunks(most).enumerate();
        parts.map(move |(number, places)| Part { payloads: self, before: number * most, places })
    }

    fn parse(
        text: Vec<u8>,
        from: String,
        check: impl Fn(&[u8]) -> Result<(), String>,
    ) -> anyhow::Result<Self> {
        let mut places = Vec::new();
        let mut problems = Vec::new();
        let mut bad = 0_u64;
        let mut start = 0;
        for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let (range, payload) = (start..start + line.len(), line.trim_ascii());
            start += line.len() + 1;
            if payload.is_empty() {
                continue;
            }
            match check(payload) {
                Ok(()) => places.push((range, number + 1)),
                Err(problem) => {
                    bad += 1;
                    if problems.len() < NAMED {
                        // The parser sees one line at a time, and its line number would mislead.
                        problems.push(format!(
                            "line {} {}",
                            number + 1,
                            problem.replace(" at line 1 column", " at column")
                        ));
                    }
                }
            }
        }
        if bad > 0 {
            let more = match bad - problems.len() as u64 {
                0 => String::new(),
                more => format!("; and {} more", output::counted(more, "bad line")),
            };
            return Err(Refusal::usage(format!("{from}: {}{more}", problems.join("; ")))
                .hint("nothing was sent; mend the lines and run it again")
                .into());
        }
        if places.is_empty() {
            return Err(
                Refusal::usage(format!("{from} has no payloads; it takes one JSON value a line")).into()
            );
        }
        Ok(Self { text, places, from })
    }
}

impl Part<'_> {
    /// The payloads in the order of the lines.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.places.iter().map(move |(range, _)| self.payloads.text[range.clone()].trim_ascii())
    }

    /// What became of the file when the call for this part fails; `what` names a payload, which then is `done`.
    pub(crate) fn so_far(&self, what: &str, done: &str) -> String {
        let (first, last) = (self.places[0].1, self.places[self.places.len() - 1].1);
        let before = output::counted(self.before as u64, what);
        let from = &self.payloads.from;
        format!("{before} before line {first} of {from} are {done}; lines {first} to {last} may be in part")
    }
}

/// Sends them all and prints their ids in the order of the lines.
pub(super) async fn send(
    enqueue: &Enqueue,
    client: &Client,
    payloads: Payloads,
    output: Output,
) -> anyhow::Result<()> {
    let total = payloads.places.len();
    let bar = output::bar(total as u64, "enqueueing");
    let mut weakest = None;
    for part in payloads.parts(AT_ONCE) {
        let jobs: EnqueueAll = part.iter().map(|payload| enqueue.job(client, payload.to_vec())).collect();
        let receipts = jobs.await.with_context(|| part.so_far("job", "enqueued"))?;
        let told = bar.suspend(|| {
            receipts.iter().try_for_each(|receipt| {
                if output.is_json() { output.raw(as_json(receipt)) } else { output.raw(&receipt.id) }
            })
        });
        exit::heard_or_not(told)?;
        bar.inc(receipts.len() as u64);
        weakest = receipts.into_iter().next_back().or(weakest);
    }
    bar.finish_and_clear();
    if let Some(receipt) = weakest {
        enqueue.warn_of_less_durability(&receipt);
    }
    anstream::eprintln!("{}", done(total, &enqueue.queue));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> anyhow::Result<Payloads> {
        Payloads::parse(text.as_bytes().to_vec(), "users.ndjson".to_owned(), |line| check(line, 100))
    }

    #[test]
    fn blank_lines_are_skipped_and_counted_all_the_same() {
        let payloads = parse("{\"a\":1}\n\n  \r\n[2]\r\n").unwrap();

        let numbers: Vec<_> = payloads.places.iter().map(|(_, number)| *number).collect();
        assert_eq!(numbers, [1, 4]);
    }

    #[test]
    fn a_bad_line_is_named_by_its_number() {
        let error = parse("1\n{\"a\":\n3\n").unwrap_err().to_string();

        assert_eq!(error, "users.ndjson: line 2 is not valid JSON: EOF while parsing a value at column 5");
    }

    #[test]
    fn many_bad_lines_are_counted() {
        let error = parse("a\nb\nc\nd\ne\n").unwrap_err().to_string();

        assert!(error.contains("line 1 is") && error.ends_with("; and 2 bad lines more"), "{error}");
    }

    #[test]
    fn a_line_over_the_limit_is_refused() {
        let error = parse(&format!("\"{}\"", "x".repeat(200))).unwrap_err().to_string();

        assert!(error.contains("line 1 has 202 bytes, the limit is 100 bytes"), "{error}");
    }

    #[test]
    fn a_call_that_fails_is_told_with_its_lines_and_what_went_before() {
        let payloads = parse("1\n\n2\n3\n4\n").unwrap();

        let told: Vec<_> = payloads.parts(2).map(|part| part.so_far("job", "enqueued")).collect();

        assert_eq!(
            told,
            [
                "0 jobs before line 1 of users.ndjson are enqueued; lines 1 to 3 may be in part",
                "2 jobs before line 4 of users.ndjson are enqueued; lines 4 to 5 may be in part",
            ]
        );
    }

    #[test]
    fn a_file_without_payloads_is_refused() {
        assert!(parse("\n\n").unwrap_err().to_string().contains("no payloads"));
    }
}
