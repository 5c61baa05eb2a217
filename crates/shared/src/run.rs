//! Runs: what a durable function is started with, and what it has done so far.
//!
//! A run is a job of its function's queue ([`FunctionName::queue`](crate::FunctionName::queue)); the job's payload is a
//! [`RunInput`], and beside the job Redis keeps the run's [`Journal`].

use serde::{Deserialize, Serialize};

use crate::{EventRecord, JobId, QueueName};

mod entry;
mod fork;
mod journal;
mod recorded;
mod state;
mod tail;
mod trace;

pub use entry::{Entry, Op, Resolution};
pub use fork::{CopiedEntry, before};
pub use journal::{Journal, entry_field};
pub use recorded::RecordedRun;
pub use state::RunState;
pub use tail::{LastStep, Tail, TailEntry};
pub use trace::{AttemptTrace, Awaits, Pending, StepKind, StepState, StepTrace, trace};

/// The most entries of a run's journal; a step takes one, and one more for each attempt that failed or for its resolution.
pub const MOST_ENTRIES: u32 = 20_000;
/// The most steps of a run.
pub const MOST_STEPS: usize = 10_000;
/// The largest result of a step, in bytes of JSON: 4 MiB.
pub const LARGEST_RESULT: usize = 4 * 1024 * 1024;
/// The largest journal of a run, in bytes: 32 MiB.
pub const LARGEST_JOURNAL: usize = 32 * 1024 * 1024;
/// The longest sleep or wait: 366 days.
pub const LONGEST_SLEEP: std::time::Duration = std::time::Duration::from_secs(366 * 24 * 60 * 60);

/// What a run is started with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunInput {
    /// The version of the function when it was started; 0 if nobody said.
    #[serde(default)]
    pub version: u32,
    /// The run it repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerun_of: Option<RerunOf>,
    /// What started it: one event, or several as a batch. They come last in the text, as `lua/lib/start.lua` adds to them.
    pub events: Vec<EventRecord>,
}

impl RunInput {
    /// A run that is started by this.
    pub fn of(event: EventRecord) -> Self {
        Self { events: vec![event], version: 0, rerun_of: None }
    }
}

/// A run that waits for the result of another run or job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The queue of its function.
    pub queue: QueueName,
    /// Its id.
    pub run: JobId,
    /// The entry of its journal that is open until then.
    pub entry: u32,
}

/// Which run another one repeats, and from where on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RerunOf {
    /// Its id; the function is the same.
    pub run: JobId,
    /// The first step that is done again, those before it being copied; `None`: everything is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_end_the_text_so_that_a_batch_can_be_added_to() {
        let event = r#"{"id":"a","name":"x/y","data":null,"ts":1}"#;
        let input = RunInput { version: 2, ..RunInput::of(serde_json::from_str(event).unwrap()) };

        let text = serde_json::to_string(&input).unwrap();

        assert!(text.ends_with(&format!("\"events\":[{event}]}}")), "{text}");
    }
}
