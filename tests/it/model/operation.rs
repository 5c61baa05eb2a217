//! What may happen to a queue.

use proptest::sample::Index;

/// One thing that happens. Jobs are picked from all that ever were.
#[derive(Debug, Clone)]
pub(super) enum Operation {
    /// A batch of plain jobs; `twice` sends the same call again at once, as after a lost reply.
    EnqueuePlain {
        count: usize,
        twice: bool,
    },
    /// One job that may be anything but plain, behind a plain one in the same call.
    Enqueue {
        job: Job,
        twice: bool,
    },
    /// One of two workers settles some of what it holds, and leases.
    Turn {
        first: bool,
        ask: usize,
        settle: Vec<(Index, Settling)>,
    },
    /// Time goes by, in ms.
    Pass(u64),
    Heartbeat(bool),
    /// Somebody reaps every worker there is; those alive are left alone.
    Reap,
    Leave(bool),
    Cancel(Index),
    Remove(Index),
    Retry(Index),
    Promote(Index),
    Postpone(Index, u64),
    /// An edit; `stale` if it is made on what the record was before another edit.
    Update {
        job: Index,
        stale: bool,
    },
    Pause,
    Resume,
    /// The queue's concurrency limit.
    Limit(Option<u64>),
    /// The concurrency limit of the keys of one of two names.
    LimitKeys(bool, Option<u64>),
    /// Pauses or resumes the key of one of two names and one of few values.
    PauseKey(bool, u8, bool),
    Sweep,
}

#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) when: When,
    pub(super) priority: i64,
    /// One of few ids, so that they meet.
    pub(super) own_id: Option<u8>,
    /// Which scope, which of few keys, a window in ms, and whether it replaces.
    pub(super) unique: Option<(u8, u8, u64, bool)>,
    pub(super) expiry: Option<u64>,
    /// Values of its two keys; a job with keys never expires, as the model cannot tell when that would be seen.
    pub(super) keys: (Option<u8>, Option<u8>),
}

/// The names of the two keys jobs may have.
pub(super) fn key_name(first: bool) -> &'static str {
    if first { "account" } else { "region" }
}

#[derive(Debug, Clone)]
pub(super) enum When {
    Now,
    In(u64),
    AtStartPlus(u64),
}

/// What a worker says of a job it has held.
#[derive(Debug, Clone)]
pub(super) enum Settling {
    Complete,
    Retry(u64),
    Snooze(u64),
    HandBack,
    Bury,
    Discard,
    Cancel,
}
