//! What a test asks a run that has ended.

use std::time::Duration;

use ergate_shared::run::{Entry, Op, RecordedRun};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::Failure;

/// A run that has come to its end.
#[derive(Debug)]
pub struct FinishedRun {
    pub(super) outcome: Result<String, Failure>,
    pub(super) recorded: RecordedRun,
    pub(super) took: Duration,
}

impl FinishedRun {
    /// Its steps, in the order in which they began to be remembered.
    pub fn steps(&self) -> Vec<&str> {
        let mut steps = Vec::new();
        for entry in self.entries() {
            if !entry.step.is_empty() && !steps.contains(&entry.step.as_str()) {
                steps.push(entry.step.as_str());
            }
        }
        steps
    }

    /// What it returned.
    ///
    /// # Panics
    /// If it failed, or returned something else.
    pub fn result<T: DeserializeOwned>(&self) -> T {
        match &self.outcome {
            Ok(result) => serde_json::from_str(result).expect("the result has the type asked for"),
            Err(failure) => panic!("the run failed: {failure}"),
        }
    }

    /// What it failed with, `None` if it returned.
    pub fn failure(&self) -> Option<&Failure> {
        self.outcome.as_ref().err()
    }

    /// What a step returned.
    ///
    /// # Panics
    /// If the step was not done, or returned something else.
    pub fn returned<T: DeserializeOwned>(&self, step: &str) -> T {
        let result: Option<&RawValue> = self.entries().iter().find_map(|entry| match &entry.op {
            Op::Done { result, .. } if entry.step == step => Some(&**result),
            _ => None,
        });
        let result =
            result.unwrap_or_else(|| panic!("step {step} was not done; there are: {:?}", self.steps()));
        serde_json::from_str(result.get()).expect("the result has the type asked for")
    }

    /// How much time passed in sleeps and between tries, by the test's clock.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// Everything in its journal.
    pub fn entries(&self) -> &[Entry] {
        &self.recorded.entries
    }

    /// The run, to be kept as JSON and [replayed](super::Replay) against the code of tomorrow. One that was stopped is under way.
    pub fn recorded(&self) -> RecordedRun {
        self.recorded.clone()
    }
}
