//! The last entries of a run's journal: enough to tell where the run is without reading all it has done.

use serde_json::de::Deserializer;

use super::{Awaits, Entry, Op, Pending};

/// What is told of the end of a journal.
#[derive(Debug, Clone, Default)]
pub struct Tail {
    /// How many entries the journal has.
    pub count: u32,
    /// The last of them, in their order.
    pub entries: Vec<TailEntry>,
}

/// One entry, as far as it was told.
#[derive(Debug, Clone)]
pub struct TailEntry {
    /// Its number.
    pub number: u32,
    /// Its text, or only the beginning of that.
    pub text: String,
    /// Whether it waits for something from outside.
    pub is_open: bool,
}

/// The step that a run was last heard of.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LastStep {
    /// Its id.
    pub id: String,
    /// When that was, in ms since the epoch; `None` if only the beginning of the entry is known.
    pub at: Option<u64>,
}

impl Tail {
    /// The step of the last entry that belongs to one and says so.
    pub fn last_step(&self) -> Option<LastStep> {
        self.entries.iter().rev().find_map(|told| {
            let Ok(entry) = Entry::from_json(&told.text) else {
                return step_of_beginning(&told.text).map(|id| LastStep { id, at: None });
            };
            let step = match &entry.op {
                Op::Resolved { entry: open, .. } if entry.step.is_empty() => self.step_of(*open)?,
                _ => entry.step,
            };
            (!step.is_empty()).then_some(LastStep { id: step, at: Some(entry.at) })
        })
    }

    /// What the run waits for, as far as these entries tell, what comes first being first.
    pub fn pending(&self, now: u64) -> Vec<Pending> {
        let mut pending: Vec<Pending> = Vec::new();
        for told in &self.entries {
            let Ok(entry) = Entry::from_json(&told.text) else { continue };
            let step = match &entry.op {
                Op::Resolved { entry: open, .. } if entry.step.is_empty() => {
                    self.step_of(*open).unwrap_or_default()
                }
                _ => entry.step.clone(),
            };
            pending.retain(|known| known.step != step);
            if let Some((what, until)) = Awaits::of(&entry.op)
                && (told.is_open || what.is_time() && until > now)
            {
                pending.push(Pending { step, what, until });
            }
        }
        pending.sort_by_key(|pending| pending.until);
        pending
    }

    fn step_of(&self, number: u32) -> Option<String> {
        let told = self.entries.iter().find(|told| told.number == number)?;
        Entry::from_json(&told.text).ok().map(|entry| entry.step)
    }
}

/// An entry begins with the name of its step.
fn step_of_beginning(text: &str) -> Option<String> {
    let text = text.strip_prefix("{\"step\":")?;
    let step: String = Deserializer::from_str(text).into_iter().next()?.ok()?;
    (!step.is_empty()).then_some(step)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tail(entries: &[(u32, serde_json::Value, bool)]) -> Tail {
        let entries: Vec<_> = entries
            .iter()
            .map(|(number, entry, is_open)| {
                // As entries are written.
                let entry: Entry = serde_json::from_value(entry.clone()).unwrap();
                TailEntry { number: *number, text: entry.to_json(), is_open: *is_open }
            })
            .collect();
        Tail { count: 9, entries }
    }

    fn wait(step: &str) -> serde_json::Value {
        json!({"step": step, "at": 1, "op": {"wait": {"event": "x/y", "condition": {}, "since": 0, "due": 90}}})
    }

    #[test]
    fn waits_that_are_open_and_sleeps_that_are_not_over_are_pending_the_sooner_first() {
        let sleep = |step: &str, due: u64| json!({"step": step, "at": 1, "op": {"sleep": {"due": due}}});
        let tail = tail(&[
            (5, wait("answered"), false),
            (6, wait("verified"), true),
            (7, sleep("nap", 50), false),
            (8, sleep("over", 10), false),
        ]);

        let pending = tail.pending(20);

        let steps: Vec<_> = pending.iter().map(|pending| pending.step.as_str()).collect();
        assert_eq!(steps, ["nap", "verified"]);
    }

    #[test]
    fn a_resolution_from_outside_is_told_under_the_step_it_ends() {
        let resolved = json!({"step": "", "at": 3, "op": {"resolved": {"entry": 7, "with": "timed_out"}}});
        let tail = tail(&[(7, wait("verified"), false), (8, resolved, false)]);

        assert_eq!(tail.last_step(), Some(LastStep { id: "verified".to_owned(), at: Some(3) }));
        assert!(tail.pending(0).is_empty());
    }

    #[test]
    fn of_a_large_entry_at_least_the_step_is_known() {
        let entry = TailEntry {
            number: 9,
            text: r#"{"step":"render \"x\"","at":17,"op":{"done":{"result":"aaaaaaa"#.to_owned(),
            is_open: false,
        };
        let tail = Tail { count: 9, entries: vec![entry] };

        assert_eq!(tail.last_step(), Some(LastStep { id: "render \"x\"".to_owned(), at: None }));
    }
}
