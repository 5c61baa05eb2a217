//! Times in which handlers kept all threads of a worker: nothing else of it ran, so nobody could be told anything either.

use super::{Attempt, Evidence};
use crate::work::THREADS;

/// A bad handler that takes longer blocks its thread.
const BLOCKS_NS: u64 = 1_000_000_000;

/// How soon after the first thread is free what was to be dropped is dropped, on a machine that has more to do.
const SOON: u64 = 250_000_000;

impl Evidence {
    /// From when to when (ns) handlers blocked a thread, and of which worker.
    pub fn blocked(&self) -> Vec<(&str, (u64, u64))> {
        let bad = self.attempts.iter().filter(|attempt| attempt.kind == "bad");
        let times =
            bad.map(|attempt| (attempt.member.as_str(), (attempt.from, attempt.to.unwrap_or(u64::MAX))));
        times.filter(|(_, (from, to))| to - from > BLOCKS_NS).collect()
    }
}

/// Times at which all threads of `member` were kept, in order.
fn times(attempts: &[Attempt], member: &str) -> Vec<(u64, u64)> {
    let keeping = attempts.iter().filter(|attempt| attempt.kind == "bad" && attempt.member == member);
    let mut moments: Vec<(u64, bool)> =
        keeping.flat_map(|attempt| [(attempt.from, true), (attempt.to.unwrap_or(u64::MAX), false)]).collect();
    moments.sort_unstable();
    let (mut kept, mut since, mut times) = (0, None, Vec::new());
    for (ns, begins) in moments {
        kept = if begins { kept + 1 } else { kept - 1 };
        if kept >= THREADS {
            since.get_or_insert(ns);
        } else if let Some(since) = since.take() {
            times.push((since, ns));
        }
    }
    times
}

/// Those that had begun when the last thread was taken and were dropped as soon as there was one again, each with when it was taken:
/// from then on they stood still.
pub(super) fn dropped_late(attempts: &[Attempt]) -> Vec<(usize, u64)> {
    let mut found = Vec::new();
    for (place, attempt) in attempts.iter().enumerate() {
        let Some(dropped) = attempt.to.filter(|_| !attempt.ended && attempt.kind != "bad") else { continue };
        let at_the_drop = |(since, until): &(u64, u64)| {
            attempt.from < *since && (*since..=until.saturating_add(SOON)).contains(&dropped)
        };
        let kept = times(attempts, &attempt.member).into_iter().find(at_the_drop);
        found.extend(kept.map(|(since, _)| (place, since)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(kind: &str, from: u64, to: u64, ended: bool) -> Attempt {
        Attempt {
            member: "w0".to_owned(),
            serial: from,
            kind: kind.to_owned(),
            id: from.to_string(),
            tries: ergate::Tries::default(),
            key: None,
            from,
            to: Some(to),
            let_go: Some(to),
            ended,
        }
    }

    #[test]
    fn what_is_dropped_when_the_first_of_all_threads_is_free_stood_still_since_the_last_was_taken() {
        let (first, second) = (attempt("bad", 100, 900, true), attempt("bad", 200, 800, true));

        assert_eq!(
            dropped_late(&[first.clone(), second.clone(), attempt("only", 50, 801, false)]),
            [(2, 200)]
        );
        assert_eq!(dropped_late(&[first.clone(), second, attempt("only", 50, 801, true)]), [], "it went on");
        assert_eq!(dropped_late(&[first, attempt("only", 50, 801, false)]), [], "a thread was free");
    }

    #[test]
    fn what_is_dropped_later_or_began_later_is_not_excused() {
        let bad = [attempt("bad", 100, 900, true), attempt("bad", 200, 800, true)];
        let with = |other| [&bad[..], &[other]].concat();

        assert_eq!(dropped_late(&with(attempt("only", 50, 801 + SOON, false))), []);
        assert_eq!(dropped_late(&with(attempt("only", 810, 820, false))), []);
    }
}
