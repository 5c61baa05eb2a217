//! What a function gets from a step that failed for good.

use std::fmt;

use ergate_shared::{FailureKind, FailureRecord};

/// A step is out of attempts, or failed for good. A function may handle it; handed on with `?`, it ends the run.
#[derive(Debug, Clone)]
pub struct StepError {
    step: String,
    failure: FailureRecord,
}

impl StepError {
    pub(crate) fn new(step: &str, failure: FailureRecord) -> Self {
        Self { step: step.to_owned(), failure }
    }

    /// Which step.
    pub fn step(&self) -> &str {
        &self.step
    }

    /// What went wrong at the last attempt.
    pub fn message(&self) -> &str {
        &self.failure.message
    }

    /// Which kind of thing that was.
    pub fn kind(&self) -> FailureKind {
        self.failure.kind
    }

    /// Everything known about the last attempt.
    pub fn failure(&self) -> &FailureRecord {
        &self.failure
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {} failed at attempt {}: {}", self.step, self.failure.attempt, self.failure.message)
    }
}

impl std::error::Error for StepError {}
