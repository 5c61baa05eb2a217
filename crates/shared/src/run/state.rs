//! The states of a run.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::JobState;

/// Where a run is in its life: `queued → running ⇄ suspended → completed | failed | cancelled`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// It has not begun.
    Queued,
    /// A worker executes it.
    Running,
    /// It sleeps, waits, or is to be tried again: it costs memory in Redis only.
    Suspended,
    /// It returned.
    Completed,
    /// It failed for good; it is kept as a dead letter of its queue.
    Failed,
    /// Somebody, or the function itself, cancelled it.
    Cancelled,
}

impl RunState {
    /// The state of a run, which is a job with so many entries in its journal.
    pub const fn of(job: JobState, entries: u32) -> Self {
        match job {
            JobState::Scheduled | JobState::Ready if entries == 0 => Self::Queued,
            JobState::Scheduled | JobState::Ready => Self::Suspended,
            JobState::Leased => Self::Running,
            JobState::Completed => Self::Completed,
            JobState::Cancelled => Self::Cancelled,
            JobState::Dead => Self::Failed,
        }
    }

    /// The name users know it by.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Suspended => "suspended",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
