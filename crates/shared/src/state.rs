//! The states of a job.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::Error;

/// Where a job is in its life: `scheduled → ready → leased → completed | cancelled | dead`, and
/// `leased → scheduled` for a retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Waits for a time: delayed, or to be retried.
    Scheduled,
    /// Waits for a worker.
    Ready,
    /// A worker runs it.
    Leased,
    /// Ended well.
    Completed,
    /// Ended because somebody, or its handler, cancelled it.
    Cancelled,
    /// Out of attempts or failed for good; kept as a dead letter.
    Dead,
}

impl JobState {
    /// All states, in the order of a job's life.
    pub const ALL: [Self; 6] =
        [Self::Scheduled, Self::Ready, Self::Leased, Self::Completed, Self::Cancelled, Self::Dead];

    /// The name scripts, labels and users know it by.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Ready => "ready",
            Self::Leased => "leased",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Dead => "dead",
        }
    }

    /// Whether nothing more happens to the job unless somebody asks for it.
    pub const fn is_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled | Self::Dead)
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for JobState {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| Error::State(text.to_owned()))
    }
}
