//! What an attempt knows of itself: shared by its handler, the middleware, and the queue's loop.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    time::Instant,
};

use ergate_client::Client;
use ergate_shared::{JobId, JobRecord, QueueName, Tries};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    notes::Notes,
    run::{Recorder, Registered},
};

/// One attempt at a job. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Context {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) client: Client,
    pub(crate) queue: QueueName,
    pub(crate) id: JobId,
    pub(crate) token: Arc<str>,
    pub(crate) record: JobRecord,
    pub(crate) tries: Tries,
    pub(crate) retries: u32,
    pub(crate) deadline: Instant,
    pub(crate) notes: Notes,
    pub(crate) recorder: Recorder,
    /// How many entries the run's journal had when it was leased.
    pub(crate) steps: u32,
    /// How many connections had been made when it began.
    pub(crate) connection: u64,
    /// Whether this attempt has written into the run's journal.
    pub(crate) recorded: AtomicBool,
    pub(crate) waits: Registered,
    /// Whether somebody outside the queue is to be told when it completes.
    pub(crate) tells_completion: bool,
    pub(crate) stop: Stop,
}

/// Why an attempt is to end before its handler does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Reason {
    /// Its soft time-out is over.
    SoftTimeout = 1,
    /// Somebody cancelled the job.
    Cancelled = 2,
    /// The worker is stopping and its deadline is near.
    Interrupted = 3,
    /// The lease is lost: somebody else may have the job already.
    Lost = 4,
}

/// Tells an attempt to end. The gravest reason stays.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    reason: AtomicU8,
    changed: Notify,
    /// What whoever cancelled it said.
    pub(crate) why: OnceLock<String>,
    /// Made only for handlers that ask for it.
    token: OnceLock<CancellationToken>,
}

impl Stop {
    pub(crate) fn ask(&self, reason: Reason) {
        self.reason.fetch_max(reason as u8, Ordering::AcqRel);
        self.changed.notify_waiters();
        if let Some(token) = self.token.get() {
            token.cancel();
        }
    }

    pub(crate) fn reason(&self) -> Option<Reason> {
        match self.reason.load(Ordering::Acquire) {
            1 => Some(Reason::SoftTimeout),
            2 => Some(Reason::Cancelled),
            3 => Some(Reason::Interrupted),
            4 => Some(Reason::Lost),
            _ => None,
        }
    }

    /// Returns once there is a reason graver than `known`.
    pub(crate) async fn asked(&self, known: Option<Reason>) -> Reason {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            match self.reason() {
                Some(reason) if known.is_none_or(|known| (reason as u8) > known as u8) => return reason,
                _ => changed.await,
            }
        }
    }

    pub(crate) fn token(&self) -> CancellationToken {
        let token = self.token.get_or_init(CancellationToken::new);
        if self.reason().is_some() {
            token.cancel();
        }
        token.clone()
    }
}

impl Context {
    /// The job's id.
    pub fn id(&self) -> &JobId {
        &self.inner.id
    }

    /// The queue it came from.
    pub fn queue(&self) -> &QueueName {
        &self.inner.queue
    }

    /// The job as it was enqueued.
    pub fn record(&self) -> &JobRecord {
        &self.inner.record
    }

    /// What happened to the job before this attempt.
    pub fn tries(&self) -> Tries {
        self.inner.tries
    }

    /// The client the worker was made with, to enqueue further jobs.
    pub fn client(&self) -> &Client {
        &self.inner.client
    }
}
