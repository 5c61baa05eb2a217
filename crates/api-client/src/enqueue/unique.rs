//! Unique keys: at most one job holds one.

use std::time::Duration;

use ergate_shared::UniqueScope;

/// Says that at most one job may hold a key, and for how long.
///
/// ```
/// # use std::time::Duration;
/// # use ergate_client::Unique;
/// let one_at_a_time = Unique::until_finished("org-7");
/// let once_an_hour = Unique::within("org-7", Duration::from_hours(1)).replace();
/// ```
#[derive(Debug, Clone)]
pub struct Unique {
    pub(super) key: String,
    pub(super) scope: UniqueScope,
    pub(super) window: Option<Duration>,
    pub(super) on_conflict: OnConflict,
}

/// What happens to a job whose unique key is held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnConflict {
    /// It is refused with [`Error::Duplicate`](crate::Error::Duplicate). The default.
    #[default]
    Reject,
    /// It is dropped, and the receipt names the holder.
    Ignore,
    /// It takes the place of a holder that waits; it is refused if the holder runs.
    Replace,
    /// It gives a holder that waits its payload and time; the receipt names the holder. See [`Enqueue::debounce`](crate::Enqueue::debounce).
    PutOff,
    /// It is dropped, and the receipt says so: a run of a function that has another.
    Drop,
    /// It cancels the holder, and starts once that has ended: a run of a function that has another.
    Cancel,
}

impl Unique {
    pub(super) fn new(key: impl Into<String>, scope: UniqueScope, window: Option<Duration>) -> Self {
        Self { key: key.into(), scope, window, on_conflict: OnConflict::default() }
    }

    /// Held until a worker starts the job.
    pub fn until_started(key: impl Into<String>) -> Self {
        Self::new(key, UniqueScope::Started, None)
    }

    /// Held until the job has ended, retries included.
    pub fn until_finished(key: impl Into<String>) -> Self {
        Self::new(key, UniqueScope::Finished, None)
    }

    /// Held for a time after the job was enqueued, whatever becomes of it.
    pub fn within(key: impl Into<String>, window: Duration) -> Self {
        Self::new(key, UniqueScope::Window, Some(window))
    }

    /// Drops the new job if the key is held.
    #[must_use]
    pub fn ignore(mut self) -> Self {
        self.on_conflict = OnConflict::Ignore;
        self
    }

    /// Lets the new job take the place of a waiting holder.
    #[must_use]
    pub fn replace(mut self) -> Self {
        self.on_conflict = OnConflict::Replace;
        self
    }
}
