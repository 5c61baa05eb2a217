//! One entry of a run's journal: an operation, as data. One place applies them, whoever reports them.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{Condition, EventName, EventRecord, FailureRecord, JobId, QueueName};

/// One thing that happened in a run. Kept as JSON, never changed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    /// Which step: its id, with `#2`, `#3` and so on from the second use of the same id in a run. Empty if whoever wrote it did
    /// not know: a resolution belongs to the step of the entry it resolves.
    pub step: String,
    /// When it was written, in ms since the epoch by Redis' clock.
    pub at: u64,
    /// What happened.
    pub op: Op,
}

/// What happened in a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// The step's body returned: it never runs again.
    Done {
        /// What it returned, as JSON.
        result: Box<RawValue>,
        /// Which attempt it was, counted from 1.
        attempt: u32,
        /// How long the body ran, in ms.
        ran: u64,
    },
    /// An attempt failed; the step is tried again.
    Retry {
        /// What went wrong.
        failure: FailureRecord,
        /// How many attempts have failed.
        attempt: u32,
        /// When it is tried again, in ms since the epoch.
        due: u64,
        /// How long the body ran, in ms.
        #[serde(default)]
        ran: u64,
    },
    /// The step is out of attempts, or failed for good.
    Failed {
        /// What went wrong.
        failure: FailureRecord,
        /// How many attempts there were.
        attempt: u32,
        /// How long the body ran at the last one, in ms; 0 for what has no body.
        #[serde(default)]
        ran: u64,
    },
    /// The run sleeps.
    Sleep {
        /// Until when, in ms since the epoch.
        due: u64,
    },
    /// The run waits for an event. Open until that is resolved.
    Wait {
        /// Its name.
        event: EventName,
        /// What it must be like.
        condition: Condition,
        /// From when on it may have come, in ms since the epoch.
        since: u64,
        /// Until when, likewise.
        due: u64,
    },
    /// The run waits for the result of another run, or of a job, that it started. Open until that is resolved.
    Invoke {
        /// The queue it is in.
        queue: QueueName,
        /// Its id.
        job: JobId,
        /// Until when the result is waited for, in ms since the epoch.
        due: u64,
    },
    /// What an open entry waited for has come, or its time is over.
    Resolved {
        /// The number of that entry.
        entry: u32,
        /// How it came out.
        with: Resolution,
    },
    /// The run was started again after it had failed: steps that had failed are tried anew. It belongs to no step.
    Again,
}

/// How something that a run waited for came out.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// This event came.
    Event(EventRecord),
    /// What was invoked returned this, as JSON.
    Result(Box<RawValue>),
    /// What was invoked failed.
    Failure(FailureRecord),
    /// Nothing came in time.
    TimedOut,
}

impl Entry {
    /// What comes from outside for the open entry `entry`, at the time `at` in ms since the epoch.
    pub const fn resolution(entry: u32, with: Resolution, at: u64) -> Self {
        Self { step: String::new(), at, op: Op::Resolved { entry, with } }
    }

    /// The JSON kept in Redis.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("entries always serialise")
    }

    /// Reads what Redis keeps.
    ///
    /// # Errors
    /// [`Error::Record`](crate::Error::Record) for text that no release up to this one wrote.
    pub fn from_json(text: &str) -> Result<Self, crate::Error> {
        serde_json::from_str(text).map_err(|error| crate::Error::Record(format!("journal entry: {error}")))
    }
}
