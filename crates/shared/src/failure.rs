//! A failure as it is kept beside a job.

use serde::{Deserialize, Serialize};

/// Which kind of thing went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailureKind {
    /// The handler returned an error.
    Error,
    /// The handler panicked.
    Panic,
    /// The attempt ran longer than its time-out.
    Timeout,
    /// The job's workers died, or lost their leases, too often.
    Crashed,
    /// The payload could not be read as the handler's type.
    Decode,
    /// No worker of the queue has a handler for the job.
    Unhandled,
    /// It had not started by its expiry.
    Expired,
    /// It was cancelled: what a run is told that waits for its result.
    Cancelled,
}

impl FailureKind {
    /// The name kept in Redis and shown to people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Panic => "panic",
            Self::Timeout => "timeout",
            Self::Crashed => "crashed",
            Self::Decode => "decode",
            Self::Unhandled => "unhandled",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The last failure of a job, kept as JSON until the job is forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureRecord {
    /// Which kind of thing went wrong.
    pub kind: FailureKind,
    /// One sentence: what the outermost error says.
    pub message: String,
    /// What the errors below say, outermost first; empty if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<String>,
    /// The attempt that failed, counted from 1; 0 if none had started.
    #[serde(default)]
    pub attempt: u32,
    /// The worker it failed on; empty if none had started.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub worker: String,
    /// When, in milliseconds since the epoch.
    pub at: u64,
}

impl FailureRecord {
    /// The JSON kept in Redis.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and numbers always serialise")
    }

    /// Reads what Redis keeps; bytes that are no failure become one that shows them.
    pub fn from_json(bytes: &[u8]) -> Self {
        serde_json::from_slice(bytes).unwrap_or_else(|_| Self {
            kind: FailureKind::Error,
            message: String::from_utf8_lossy(bytes).into_owned(),
            chain: Vec::new(),
            attempt: 0,
            worker: String::new(),
            at: 0,
        })
    }
}
