//! The worker's lease in a queue, by this process' own clock: under which id, and until when it surely runs.

use std::time::{Duration, Instant};

use ergate_shared::WorkerId;

use crate::sync::{Mutex, MutexGuard, PoisonError};

/// What the queue's loop and the heartbeat thread both look at and change.
#[derive(Debug)]
pub(crate) struct Lease {
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    worker: Option<WorkerId>,
    /// When it was last extended.
    extended_at: Instant,
    /// Until when the lease surely runs, with time left for handlers to notice.
    safe_until: Instant,
    /// When it may be over.
    ends_at: Instant,
}

impl Lease {
    /// None yet.
    pub(crate) fn new(now: Instant) -> Self {
        Self { held: Mutex::new(Held { worker: None, extended_at: now, safe_until: now, ends_at: now }) }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The worker's id, while it has one.
    pub(crate) fn worker(&self) -> Option<WorkerId> {
        self.held().worker.clone()
    }

    /// Takes an id that Redis has just entered, with a lease from `since`.
    pub(crate) fn joined(&self, worker: WorkerId, since: Instant, lease: Duration) {
        *self.held() = Held {
            worker: Some(worker),
            extended_at: since,
            safe_until: since + safe_part(lease),
            ends_at: since + lease,
        };
    }

    /// Takes note of a heartbeat sent at `since`.
    pub(crate) fn extended(&self, worker: &WorkerId, since: Instant, lease: Duration) {
        let mut held = self.held();
        if held.worker.as_ref() == Some(worker) {
            held.extended_at = since;
            held.safe_until = since + safe_part(lease);
            held.ends_at = since + lease;
        }
    }

    /// When it was last extended.
    pub(crate) fn extended_at(&self) -> Instant {
        self.held().extended_at
    }

    /// Drops the id, if it is still this one; what ran under it must be told.
    pub(crate) fn lapsed(&self, worker: &WorkerId) -> bool {
        let mut held = self.held();
        let was = held.worker.as_ref() == Some(worker);
        if was {
            held.worker = None;
        }
        was
    }

    /// The id whose lease can no longer be trusted, if there is one.
    pub(crate) fn overdue(&self, now: Instant) -> Option<WorkerId> {
        let held = self.held();
        held.worker.clone().filter(|_| now >= held.safe_until)
    }

    /// When the lease that this token was made under may be over; `None` if its id was dropped.
    pub(crate) fn end_of(&self, token: &str) -> Option<Instant> {
        let held = self.held();
        held.worker.as_ref().filter(|worker| token.starts_with(worker.as_str())).map(|_| held.ends_at)
    }

    /// Until when the lease surely runs.
    pub(crate) fn safe_until(&self) -> Option<Instant> {
        let held = self.held();
        held.worker.as_ref().map(|_| held.safe_until)
    }
}

/// Handlers are stopped this much before their lease can be taken: a tenth of it, for them to notice.
fn safe_part(lease: Duration) -> Duration {
    lease.mul_f64(0.9)
}
