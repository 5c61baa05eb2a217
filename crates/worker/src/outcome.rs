//! How an attempt ended, and what the turn script is told of it.

use std::{sync::Arc, time::Duration};

use ergate_shared::{FailureRecord, JobId, OnExhausted, QueueName, Tries, UniqueScope};

use crate::context::Context;

/// How an attempt ended, in the words metrics and hooks use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ended {
    /// It worked.
    Completed,
    /// It failed and is tried again.
    Retried,
    /// It failed and is a dead letter.
    Dead,
    /// It failed for the last time and was forgotten, as its type asks.
    Discarded,
    /// Its handler put it off.
    Snoozed,
    /// It was cancelled.
    Cancelled,
    /// It was handed back by a worker that is stopping.
    Interrupted,
    /// No handler was found for it.
    Unhandled,
    /// A run that sleeps or waits.
    Suspended,
}

impl Ended {
    /// The label metrics have.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Retried => "retried",
            Self::Dead => "dead",
            Self::Discarded => "discarded",
            Self::Snoozed => "snoozed",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
            Self::Unhandled => "unhandled",
            Self::Suspended => "suspended",
        }
    }
}

/// A job that has just become a dead letter, as the alert hook sees it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The queue.
    pub queue: QueueName,
    /// The job.
    pub id: JobId,
    /// Its name; empty if its record cannot be read.
    pub name: String,
    /// What ended it.
    pub failure: FailureRecord,
    /// Everything that happened to it.
    pub tries: Tries,
}

/// What is to be told to Redis about an attempt that ended.
#[derive(Debug)]
pub(crate) struct Settlement {
    pub(crate) id: JobId,
    pub(crate) token: Arc<str>,
    pub(crate) action: Action,
    pub(crate) ended: Ended,
    pub(crate) context: Option<Context>,
    /// The job's name if it never started, and so has no context.
    pub(crate) unstarted: String,
    pub(crate) ran: Duration,
    /// Whether it has been sent before, without an answer.
    pub(crate) resent: bool,
}

impl Settlement {
    /// For a job that was leased and never started.
    pub(crate) fn unstarted(id: JobId, token: Arc<str>, name: String, action: Action, ended: Ended) -> Self {
        Self { id, token, action, ended, context: None, unstarted: name, ran: Duration::ZERO, resent: false }
    }
}

impl Settlement {
    /// Whether somebody outside the queue is to be told of it.
    pub(crate) fn is_told(&self) -> bool {
        self.context.as_ref().is_some_and(|context| match self.ended {
            Ended::Completed => context.inner.tells_completion,
            Ended::Dead | Ended::Discarded | Ended::Cancelled => context.inner.record.tells,
            _ => false,
        })
    }
}

#[derive(Debug)]
pub(crate) enum Action {
    /// With the result, as JSON.
    Complete(String),
    Other {
        kind: &'static str,
        delay: Duration,
        tries: Option<Tries>,
        detail: Vec<u8>,
        failure: Option<FailureRecord>,
    },
    /// A run that leaves memory until `due`, ms since the epoch, or until something comes that the `known` entries of its journal do
    /// not have.
    Suspend {
        due: u64,
        known: u32,
        /// How many connections had been made when its attempt began. On a later one, the waits it registered and the jobs it
        /// started may be gone, if Redis came back without the last it had acknowledged: the run is ready at once then, and its
        /// replay sees to them.
        connection: u64,
    },
    /// The lease is lost: nothing is told.
    Nothing,
}

impl Action {
    /// How many bytes are kept of how it ended.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Complete(result) => result.len(),
            Self::Other { detail, .. } => detail.len(),
            Self::Suspend { .. } | Self::Nothing => 0,
        }
    }

    fn other(kind: &'static str, delay: Duration, tries: Option<Tries>) -> Self {
        Self::Other { kind, delay, tries, detail: Vec::new(), failure: None }
    }

    /// A completed job; told of apart if it has a unique key that must be let go, keys whose next jobs may start, or somebody
    /// who is to be told of it.
    pub(crate) fn complete(context: &Context, result: String) -> Self {
        let record = &context.inner.record;
        let holds_key = matches!(&record.unique, Some((UniqueScope::Finished | UniqueScope::Started, _)));
        if holds_key || record.lane.is_some() || context.inner.tells_completion {
            return Self::Other {
                kind: if context.inner.tells_completion { "tell" } else { "complete" },
                delay: Duration::ZERO,
                tries: None,
                detail: result.into_bytes(),
                failure: None,
            };
        }
        Self::Complete(result)
    }

    pub(crate) fn hand_back(tries: Tries) -> Self {
        let tries = Tries { interruptions: tries.interruptions + 1, ..tries };
        Self::other("hand_back", Duration::ZERO, Some(tries))
    }

    pub(crate) fn snooze(delay: Duration, tries: Tries) -> Self {
        Self::other("snooze", delay, Some(Tries { snoozes: tries.snoozes + 1, ..tries }))
    }

    pub(crate) fn unhandled(delay: Duration, tries: Tries) -> Self {
        Self::other("snooze", delay, Some(Tries { unhandled: tries.unhandled + 1, ..tries }))
    }

    pub(crate) fn cancel(reason: String) -> Self {
        Self::Other {
            kind: "cancel",
            delay: Duration::ZERO,
            tries: None,
            detail: reason.into_bytes(),
            failure: None,
        }
    }

    pub(crate) fn retry(delay: Duration, tries: Tries, failure: FailureRecord) -> Self {
        let detail = failure.to_json();
        Self::Other { kind: "retry", delay, tries: Some(tries), detail, failure: Some(failure) }
    }

    pub(crate) fn dead(tries: Tries, failure: FailureRecord) -> Self {
        let detail = failure.to_json();
        Self::Other {
            kind: "dead",
            delay: Duration::ZERO,
            tries: Some(tries),
            detail,
            failure: Some(failure),
        }
    }

    fn discard(failure: FailureRecord) -> Self {
        let detail = failure.to_json();
        Self::Other { kind: "discard", delay: Duration::ZERO, tries: None, detail, failure: Some(failure) }
    }

    /// What becomes of a job that is out of tries.
    pub(crate) fn exhausted(then: OnExhausted, tries: Tries, failure: FailureRecord) -> (Self, Ended) {
        match then {
            OnExhausted::DeadLetter => (Self::dead(tries, failure), Ended::Dead),
            OnExhausted::Discard => (Self::discard(failure), Ended::Discarded),
            OnExhausted::RetryLater(delay) => {
                (Self::retry(delay, Tries { failures: 0, ..tries }, failure), Ended::Retried)
            }
        }
    }
}
