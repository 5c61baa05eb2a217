//! Which entries of a run's journal another run is given that starts over from some step.

use std::collections::{HashMap, HashSet};

use super::{Entry, Journal, Op, Resolution};

/// An entry of one run's journal, as another run is given it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiedEntry {
    /// Its number in the journal it is copied from.
    pub number: u32,
    /// What it says in the copy, if not the same: it names another entry by its number there.
    pub text: Option<String>,
}

/// What was done before `step` first said anything: all entries of the steps that had come to a good end by then, and of
/// sleeps, which go on until their time. A step that was still open, was to be tried again, or had failed, is done again and not
/// copied. `None` if the journal does not know the step.
pub fn before(journal: &Journal, step: &str) -> Option<Vec<CopiedEntry>> {
    let first = journal.entries().iter().position(|entry| entry.step == step)?;
    let earlier = &journal.entries()[..first];
    let last: HashMap<&str, &Op> = earlier.iter().map(|entry| (entry.step.as_str(), &entry.op)).collect();
    let kept: HashSet<&str> = last.into_iter().filter(|(_, op)| is_good(op)).map(|(step, _)| step).collect();
    let mut numbers: HashMap<u32, u32> = HashMap::new();
    let mut copies = Vec::new();
    for (number, entry) in (1..).zip(earlier).filter(|(_, entry)| kept.contains(entry.step.as_str())) {
        copies.push(CopiedEntry { number, text: renumbered(entry, &numbers) });
        numbers.insert(number, u32::try_from(copies.len()).unwrap_or(u32::MAX));
    }
    Some(copies)
}

/// Whether a step whose last entry this is needs nothing more.
fn is_good(last: &Op) -> bool {
    match last {
        Op::Done { .. } | Op::Sleep { .. } => true,
        Op::Resolved { with, .. } => !matches!(with, Resolution::Failure(_)),
        Op::Retry { .. } | Op::Failed { .. } | Op::Wait { .. } | Op::Invoke { .. } | Op::Again => false,
    }
}

/// An entry that names another one by its number, with the number that one has among the copies; `None` if it stays as it is.
fn renumbered(entry: &Entry, numbers: &HashMap<u32, u32>) -> Option<String> {
    let Op::Resolved { entry: open, with } = &entry.op else { return None };
    let number = *numbers.get(open)?;
    let op = Op::Resolved { entry: number, with: with.clone() };
    (number != *open).then(|| Entry { step: entry.step.clone(), at: entry.at, op }.to_json())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn journal(entries: &[(&str, serde_json::Value)]) -> Journal {
        let mut journal = Journal::default();
        for (step, op) in entries {
            let text = json!({"step": step, "at": 1, "op": op}).to_string();
            journal.append(Entry::from_json(&text).unwrap(), text.len());
        }
        journal
    }

    fn done() -> serde_json::Value {
        json!({"done": {"result": 1, "attempt": 1, "ran": 0}})
    }

    fn retry() -> serde_json::Value {
        let failure = json!({"kind": "error", "message": "no", "at": 1});
        json!({"retry": {"failure": failure, "attempt": 1, "due": 2}})
    }

    fn failed() -> serde_json::Value {
        json!({"failed": {"failure": {"kind": "error", "message": "no", "at": 1}, "attempt": 2}})
    }

    fn wait() -> serde_json::Value {
        json!({"wait": {"event": "x/y", "condition": {}, "since": 0, "due": 9}})
    }

    fn timed_out(entry: u32) -> serde_json::Value {
        json!({"resolved": {"entry": entry, "with": "timed_out"}})
    }

    fn numbers(journal: &Journal, step: &str) -> Vec<u32> {
        before(journal, step).unwrap().iter().map(|copy| copy.number).collect()
    }

    #[test]
    fn a_step_that_nobody_did_is_not_known() {
        assert_eq!(before(&journal(&[("a", done())]), "b"), None);
    }

    #[test]
    fn nothing_comes_before_the_first_step() {
        assert_eq!(before(&journal(&[("a", done()), ("b", done())]), "a"), Some(Vec::new()));
    }

    #[test]
    fn a_step_that_was_tried_again_is_copied_with_its_attempts_once_it_is_done() {
        let journal = journal(&[("a", retry()), ("a", done()), ("b", done()), ("c", done())]);

        assert_eq!(numbers(&journal, "c"), [1, 2, 3]);
    }

    #[test]
    fn what_is_open_failed_or_to_be_tried_again_is_not_copied() {
        let journal = journal(&[
            ("a", done()),
            ("open", wait()),
            ("again", retry()),
            ("lost", failed()),
            ("nap", json!({"sleep": {"due": 5}})),
            ("b", done()),
        ]);

        assert_eq!(numbers(&journal, "b"), [1, 5]);
    }

    #[test]
    fn what_was_resolved_after_the_step_began_counts_as_open() {
        let journal = journal(&[("w", wait()), ("b", retry()), ("", timed_out(1)), ("b", done())]);

        assert_eq!(numbers(&journal, "b"), [0_u32; 0]);
    }

    #[test]
    fn a_resolution_names_its_wait_by_the_number_that_has_among_the_copies() {
        let journal = journal(&[("lost", failed()), ("w", wait()), ("", timed_out(2)), ("b", done())]);

        let copies = before(&journal, "b").unwrap();

        assert_eq!(copies.iter().map(|copy| copy.number).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(copies[0].text, None);
        let text = copies[1].text.as_deref().unwrap();
        assert!(matches!(Entry::from_json(text).unwrap().op, Op::Resolved { entry: 1, .. }), "{text}");
    }

    #[test]
    fn a_step_that_worked_after_the_run_was_started_again_is_copied_without_that_mark() {
        let journal = journal(&[("a", failed()), ("", json!("again")), ("a", done()), ("b", done())]);

        assert_eq!(numbers(&journal, "b"), [1, 3]);
    }
}
