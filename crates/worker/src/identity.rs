//! Who the worker is in a queue, shared by the queue's loop, the heartbeat thread and the waiter.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use ergate_shared::{QueueName, WorkerId, key::QueueKeys};
use tokio::sync::mpsc;

mod lease;

pub(crate) use lease::Lease;

/// What the queue's loop is told by others.
#[derive(Debug)]
pub(crate) enum Signal {
    /// There may be work.
    Wake,
    /// What a heartbeat answered.
    Beat(Beat),
    /// The worker's entry ran out or is about to: all it holds under this id is lost.
    Lapsed(WorkerId),
    /// Lease no more; finish what runs.
    Quiet,
    /// Tell what still runs to end, and hand it back.
    Interrupt,
}

/// What a heartbeat answered.
#[derive(Debug)]
pub(crate) struct Beat {
    pub(crate) worker: WorkerId,
    /// Jobs Redis says the worker holds.
    pub(crate) held: u64,
    /// The number of turns begun when the heartbeat was sent: only if no other has begun since is `held` comparable.
    pub(crate) turns: u64,
    pub(crate) next_in: Option<Duration>,
    pub(crate) backlog: bool,
    /// Ids of jobs to cancel, with what was said of it.
    pub(crate) cancelled: Vec<(String, String)>,
}

/// One queue of a worker process, as its parts share it.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) queue: QueueName,
    pub(crate) keys: QueueKeys,
    pub(crate) slots: usize,
    pub(crate) signals: mpsc::UnboundedSender<Signal>,
    /// Jobs running now.
    pub(crate) running: AtomicUsize,
    /// Turns begun so far; odd values do not mean anything, only change does.
    pub(crate) turns: AtomicU64,
    /// Whether a turn is under way.
    pub(crate) in_turn: AtomicBool,
    /// Ends are kept that are to be told outside the queue.
    pub(crate) to_tell: tokio::sync::Notify,
    /// When the first of all workers' leases in this queue runs out, for the reaper.
    pub(crate) reap: tokio::sync::Notify,
    pub(crate) reap_at: Mutex<Option<Instant>>,
    /// The last turn that was answered.
    pub(crate) last_turn: Mutex<Instant>,
    /// Whether the last turn was not.
    pub(crate) turn_fails: AtomicBool,
    /// Whether the worker has left the queue in order, and asks nothing of Redis for it any more.
    pub(crate) left: AtomicBool,
    pub(crate) lease: Lease,
}

impl Seat {
    pub(crate) fn new(
        queue: QueueName,
        keys: QueueKeys,
        slots: usize,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<Signal>) {
        let (signals, receiver) = mpsc::unbounded_channel();
        let now = Instant::now();
        let seat = Self {
            queue,
            keys,
            slots,
            signals,
            running: AtomicUsize::new(0),
            turns: AtomicU64::new(0),
            in_turn: AtomicBool::new(false),
            to_tell: tokio::sync::Notify::new(),
            reap: tokio::sync::Notify::new(),
            reap_at: Mutex::new(None),
            last_turn: Mutex::new(now),
            turn_fails: AtomicBool::new(false),
            left: AtomicBool::new(false),
            lease: Lease::new(now),
        };
        (Arc::new(seat), receiver)
    }

    pub(crate) fn tell(&self, signal: Signal) {
        // The loop is gone only when the worker has ended.
        let _ = self.signals.send(signal);
    }

    /// The worker's id, while it has one.
    pub(crate) fn worker(&self) -> Option<WorkerId> {
        self.lease.worker()
    }

    /// Lets go of an id whose lease cannot be trusted any more, and has all that runs under it told.
    pub(crate) fn give_up(&self, worker: &WorkerId) {
        if self.lease.lapsed(worker) {
            tracing::error!(queue = %self.queue, %worker, "lease cannot be trusted any more: its jobs are stopped");
            self.tell(Signal::Lapsed(worker.clone()));
        }
    }

    /// The last lease round trip that was answered: a turn or a heartbeat, but only a turn as long as turns fail. A worker
    /// with all slots taken, or with nothing to do, makes no turns.
    pub(crate) fn last_answer(&self) -> Instant {
        let last_turn = *self.last_turn.lock().unwrap_or_else(PoisonError::into_inner);
        if self.turn_fails.load(Ordering::Relaxed) {
            last_turn
        } else {
            last_turn.max(self.lease.extended_at())
        }
    }

    /// When a reaper should look, at the latest.
    pub(crate) fn first_lease_ends(&self, at: Instant) {
        *self.reap_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
        self.reap.notify_one();
    }

    pub(crate) fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }
}
