//! What a job type declares.

use std::time::Duration;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{Backoff, Priority};

/// A unit of work: its payload is the implementing type, its identity the name.
///
/// Everything but the name has a default, and what a producer says on one job overrides what the type declares.
///
/// ```
/// # use std::time::Duration;
/// # use ergate_shared::Job;
/// # use serde::{Deserialize, Serialize};
/// #[derive(Serialize, Deserialize)]
/// struct SendWelcome {
///     user: u64,
/// }
///
/// impl Job for SendWelcome {
///     const NAME: &str = "send-welcome";
///     const QUEUE: &str = "mail";
///     const RETRIES: u32 = 5;
/// }
/// ```
pub trait Job: Serialize + DeserializeOwned + Send + 'static {
    /// The name kept in Redis: letters, digits and `-_./:`, at most 128 bytes.
    const NAME: &'static str;

    /// The queue it goes to; default `default`.
    const QUEUE: &'static str = "default";

    /// Its place within the queue; default 5, a lower number runs sooner.
    const PRIORITY: Priority = Priority::Normal;

    /// Tries after the first; default 3. 0 means one try.
    const RETRIES: u32 = 3;

    /// The longest one attempt may run; default 30 minutes. The attempt is then dropped and counts as failed.
    const TIMEOUT: Duration = Duration::from_mins(30);

    /// After which the handler is told to end, so that it can do so in order; default never. Ignored if it is not shorter than
    /// the time-out.
    const SOFT_TIMEOUT: Option<Duration> = None;

    /// What becomes of it once it has failed for good; default dead letter.
    const ON_EXHAUSTED: OnExhausted = OnExhausted::DeadLetter;

    /// The version of the payload's shape; default 1. Raise it with [`upcast`](Self::upcast) when the shape changes.
    const VERSION: u16 = 1;

    /// Delay between tries; default 1 s, 2 s, 4 s and so on, with slight jitter.
    fn backoff() -> Backoff {
        Backoff::default()
    }

    /// What limits of its queue count it by, as names and values; default nothing. At most two, decided when it is enqueued.
    ///
    /// ```
    /// # use ergate_shared::Job;
    /// # use serde::{Deserialize, Serialize};
    /// #[derive(Serialize, Deserialize)]
    /// struct SendWelcome {
    ///     account: String,
    /// }
    ///
    /// impl Job for SendWelcome {
    ///     const NAME: &str = "send-welcome";
    ///
    ///     fn keys(&self) -> Vec<(&'static str, String)> {
    ///         vec![("account", self.account.clone())]
    ///     }
    /// }
    /// ```
    fn keys(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// Turns a payload of another `version` into today's shape.
    ///
    /// It is called for newer versions too, which a newer release enqueued: refuse those.
    ///
    /// # Errors
    /// The job has failed for good, with what the error says; the default says that the version is not known.
    fn upcast(version: u16, payload: serde_json::Value) -> Result<serde_json::Value, String> {
        let _ = payload;
        Err(format!(
            "payload version {version} is not known to this worker, which has version {}",
            Self::VERSION
        ))
    }
}

/// What becomes of a job that has failed for good: after its last attempt, by a fatal failure, or because its payload cannot be
/// read. One that has crashed too often, has expired, or has no handler is a dead letter in any case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnExhausted {
    /// It is kept as a dead letter, to be looked at and redriven.
    #[default]
    DeadLetter,
    /// It is forgotten; only metrics and the worker's log still say so.
    Discard,
    /// It starts over with all its attempts after this long. After a fatal failure, or if its payload cannot be read, it is a dead
    /// letter instead, since trying again does not help.
    RetryLater(Duration),
}
