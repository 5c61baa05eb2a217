//! What becomes of times that were missed, and of times that come while the last job has not ended.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::Error;

/// How late a time may be and still count as on time for [`CatchUp::Skip`].
pub(super) const ON_TIME: Duration = Duration::from_secs(60);
/// The most missed times that are made up.
pub(super) const MOST_CAUGHT_UP: u32 = 1000;

/// What becomes of times that passed while nobody could start anything: all workers were down, or Redis was.
///
/// Times that pass while a schedule is paused are not missed: nobody wanted them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// What is over a minute late is not started any more.
    Skip,
    /// The latest of them is started, however late. The default.
    #[default]
    Latest,
    /// All are started, oldest first; if they are more than this many, the latest ones. At most 1,000.
    All(u32),
}

/// What becomes of a time that comes while a job the schedule started has not ended.
///
/// A job has ended when it completed, was cancelled or is a dead letter; one that waits for a retry has not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// It is started beside the others. The default.
    #[default]
    Allow,
    /// It is passed over.
    Skip,
    /// It waits until the last one has ended. One time at most waits; what comes meanwhile is passed over.
    QueueOne,
    /// The running one is asked to end, and the new one is started at once, without waiting for that.
    CancelRunning,
}

impl CatchUp {
    /// How many missed times are made up at most.
    pub(super) fn most(self) -> u32 {
        match self {
            Self::Skip | Self::Latest => 1,
            Self::All(most) => most,
        }
    }

    pub(super) fn problem(self) -> Option<String> {
        match self {
            Self::All(0) => Some("catches up on 0 times; write skip instead".to_owned()),
            Self::All(most) if most > MOST_CAUGHT_UP => {
                Some(format!("catches up on {most} times, the most is {MOST_CAUGHT_UP}"))
            }
            _ => None,
        }
    }
}

impl fmt::Display for CatchUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Skip => f.write_str("skip"),
            Self::Latest => f.write_str("latest"),
            Self::All(most) => write!(f, "all:{most}"),
        }
    }
}

impl FromStr for CatchUp {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text.split_once(':') {
            None if text == "skip" => Ok(Self::Skip),
            None if text == "latest" => Ok(Self::Latest),
            Some(("all", most))
                if most.parse::<u32>().is_ok_and(|most| Self::All(most).problem().is_none()) =>
            {
                Ok(Self::All(most.parse().expect("it was just read")))
            }
            _ => Err(Error::Policy {
                what: "catch-up",
                value: text.to_owned(),
                known: "skip, latest, all:1 to all:1000",
            }),
        }
    }
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Skip => "skip",
            Self::QueueOne => "queue-one",
            Self::CancelRunning => "cancel-running",
        })
    }
}

impl FromStr for Overlap {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "allow" => Ok(Self::Allow),
            "skip" => Ok(Self::Skip),
            "queue-one" => Ok(Self::QueueOne),
            "cancel-running" => Ok(Self::CancelRunning),
            _ => Err(Error::Policy {
                what: "overlap",
                value: text.to_owned(),
                known: "allow, skip, queue-one, cancel-running",
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_read_back_as_they_are_written() {
        for policy in [CatchUp::Skip, CatchUp::Latest, CatchUp::All(7)] {
            assert_eq!(policy.to_string().parse::<CatchUp>().unwrap(), policy);
        }
        for policy in [Overlap::Allow, Overlap::Skip, Overlap::QueueOne, Overlap::CancelRunning] {
            assert_eq!(policy.to_string().parse::<Overlap>().unwrap(), policy);
        }
    }

    #[test]
    fn an_unknown_policy_is_refused_with_those_there_are() {
        for text in ["all", "all:0", "all:1001", "all:x", "newest", ""] {
            assert!(text.parse::<CatchUp>().unwrap_err().to_string().contains("all:1 to all:1000"), "{text}");
        }
        assert!("queue".parse::<Overlap>().unwrap_err().to_string().contains("queue-one"));
    }
}
