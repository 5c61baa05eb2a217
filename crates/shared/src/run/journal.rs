//! What a run has done so far: its entries in order, and what they say about each step.

use std::collections::HashMap;

use super::{Entry, Op, Resolution};

/// The field of the hash `journal` in which entry `number` of a run is kept.
pub fn entry_field(run: &str, number: u32) -> String {
    format!("{run}.{number}")
}

/// A run's entries, numbered from 1.
#[derive(Debug, Clone, Default)]
pub struct Journal {
    entries: Vec<Entry>,
    /// Per step the number of its last entry, which says how the step stands.
    steps: HashMap<String, u32>,
    bytes: usize,
}

impl Journal {
    /// Adds the next entry, which is `size` bytes of JSON.
    pub fn append(&mut self, mut entry: Entry, size: usize) {
        let number = self.len() + 1;
        if let Op::Resolved { entry: open, .. } = entry.op
            && entry.step.is_empty()
            && let Some(of) = self.entry(open)
        {
            entry.step.clone_from(&of.step);
        }
        self.bytes += size;
        if matches!(entry.op, Op::Again) {
            let entries = &self.entries;
            self.steps.retain(|_, last| !entries[*last as usize - 1].op.is_failure());
        } else {
            self.steps.insert(entry.step.clone(), number);
        }
        self.entries.push(entry);
    }

    /// How many entries there are.
    pub fn len(&self) -> u32 {
        u32::try_from(self.entries.len()).unwrap_or(u32::MAX)
    }

    /// Whether nothing has been done yet.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many bytes of JSON it has.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many steps it knows of.
    pub fn steps(&self) -> usize {
        self.steps.len()
    }

    /// All entries, the first first.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// One entry, by its number.
    pub fn entry(&self, number: u32) -> Option<&Entry> {
        self.entries.get((number as usize).checked_sub(1)?)
    }

    /// How a step stands: its last entry and that entry's number. `None` if it has not begun, or is to begin anew.
    pub fn step(&self, id: &str) -> Option<(u32, &Entry)> {
        let number = *self.steps.get(id)?;
        Some((number, self.entry(number)?))
    }
}

impl Op {
    /// Whether it says that a step has failed for good.
    fn is_failure(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::Resolved { with: Resolution::Failure(_), .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FailureKind, FailureRecord};

    fn entry(step: &str, op: Op) -> Entry {
        Entry { step: step.to_owned(), at: 1, op }
    }

    fn failed() -> Op {
        let failure = FailureRecord {
            kind: FailureKind::Error,
            message: "no".to_owned(),
            chain: Vec::new(),
            attempt: 4,
            worker: String::new(),
            at: 1,
        };
        Op::Failed { failure, attempt: 4, ran: 0 }
    }

    fn done(result: &str) -> Op {
        let result = serde_json::value::RawValue::from_string(result.to_owned()).unwrap();
        Op::Done { result, attempt: 1, ran: 0 }
    }

    #[test]
    fn the_last_entry_of_a_step_says_how_it_stands() {
        let mut journal = Journal::default();
        journal.append(entry("charge", failed()), 10);
        journal.append(entry("mail", done("1")), 10);
        journal.append(entry("charge", done("2")), 10);

        assert!(matches!(journal.step("charge"), Some((3, Entry { op: Op::Done { .. }, .. }))));
        assert_eq!((journal.len(), journal.steps(), journal.bytes()), (3, 2, 30));
    }

    #[test]
    fn starting_again_forgets_what_failed_and_keeps_what_worked() {
        let mut journal = Journal::default();
        journal.append(entry("mail", done("1")), 10);
        journal.append(entry("charge", failed()), 10);
        journal.append(entry("", Op::Again), 10);

        assert!(journal.step("charge").is_none());
        assert!(journal.step("mail").is_some());
    }

    #[test]
    fn entries_read_back_with_their_results_untouched() {
        let text = entry("mail", done(r#"{"b":1.0,"a":[null]}"#)).to_json();

        let Op::Done { result, .. } = Entry::from_json(&text).unwrap().op else { panic!("{text}") };
        assert_eq!(result.get(), r#"{"b":1.0,"a":[null]}"#);
    }
}
