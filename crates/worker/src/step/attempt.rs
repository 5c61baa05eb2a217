//! One attempt at a step's body, and what becomes of the step after it.

use std::{
    any::Any,
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use ergate_shared::{
    Backoff, FailureKind, FailureRecord, JobId, duration,
    run::{LARGEST_RESULT, Op},
};
use futures_util::FutureExt;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use super::{StepError, changed, mismatch, sleep::until};
use crate::{
    Failure,
    failure::Course,
    run::{Instead, Shared, Standing},
};

/// Which attempt at a step this is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StepAttempt {
    /// Counted from 1. An attempt that a crash or a deploy cut off is not counted.
    pub number: u32,
    /// How many there are at most.
    pub of: u32,
    /// Made of the run's id and the step's name, so the same at every attempt: hand it to services that take an idempotency
    /// key, so that they do the same thing once.
    pub key: String,
}

/// A step's body: what it returns becomes JSON.
pub(super) type Body<'a> = Box<dyn FnOnce(StepAttempt) -> Returning<'a> + Send + 'a>;
type Returning<'a> = Pin<Box<dyn Future<Output = Result<Box<RawValue>, Failure>> + Send + 'a>>;

pub(super) fn body<'a, T, E, F>(body: impl FnOnce(StepAttempt) -> F + Send + 'a) -> Body<'a>
where
    T: Serialize + Send + 'a,
    E: Into<Failure>,
    F: Future<Output = Result<T, E>> + Send + 'a,
{
    Box::new(move |attempt| {
        // Called in the future, so that a closure that panics is caught as well.
        Box::pin(async move {
            let value = body(attempt).await.map_err(Into::into)?;
            serde_json::value::to_raw_value(&value)
                .map_err(|error| Failure::fatal(format!("result cannot be written as JSON: {error}")))
        })
    })
}

/// What is done once, when what the body returned is in the journal.
pub(super) type Remembered<'a> = Box<dyn FnOnce() + Send + 'a>;

/// What a step hands to those it calls: the same at every attempt.
pub(super) fn key(run: &JobId, step: &str) -> String {
    format!("{run}/{step}")
}

/// How a step is to be tried.
pub(super) struct Trial {
    pub(super) shared: Arc<Shared>,
    pub(super) step: String,
    pub(super) retries: u32,
    pub(super) backoff: Option<Backoff>,
    pub(super) timeout: Option<Duration>,
}

impl Trial {
    pub(super) async fn perform<T: DeserializeOwned>(
        self,
        body: Body<'_>,
        remembered: Option<Remembered<'_>>,
    ) -> Result<T, StepError> {
        let (seen, standing) = self.shared.standing(&self.step);
        let (standing, is_new) = match standing {
            Standing::Fresh => (self.attempt(body, 1, seen).await, true),
            Standing::Retry { attempt, due } => {
                until(&self.shared, due).await;
                (self.attempt(body, attempt + 1, seen).await, true)
            }
            standing => (standing, false),
        };
        if let (Standing::Done(_), true, Some(remembered)) = (&standing, is_new, remembered) {
            remembered();
        }
        match standing {
            Standing::Done(result) => match serde_json::from_str(&result) {
                Ok(value) => Ok(value),
                Err(error) => Err(self.undecodable(&error)),
            },
            Standing::Failed(failure) => Err(StepError::new(&self.step, failure)),
            Standing::Retry { due, .. } => {
                let _pending = self.shared.pending(due);
                // The body is used up. The run is suspended once no other runs, and comes back here with a new one.
                std::future::pending().await
            }
            _ => mismatch(&self.shared, &self.step, "run").await,
        }
    }

    /// Runs the body once; returns what the journal says then.
    async fn attempt(&self, body: Body<'_>, number: u32, seen: u32) -> Standing {
        let of = self.retries.saturating_add(1);
        let key = key(&self.shared.id, &self.step);
        let started = Instant::now();
        let returned = match self.shared.store.instead(&self.step) {
            Some(Instead::Return(result)) => Ok(result),
            Some(Instead::Fail(why)) => Err(Failure::fatal(why)),
            Some(Instead::Stop) => {
                self.shared.end(Failure::cancel("stopped here"));
                return std::future::pending().await;
            }
            Some(Instead::Wait) => {
                let _pending = self.shared.pending(u64::MAX);
                return std::future::pending().await;
            }
            None => {
                let _running = self.shared.running();
                self.within_time(body(StepAttempt { number, of, key })).await
            }
        };
        let ran = started.elapsed().as_millis() as u64;
        let op = match returned {
            Ok(result) if result.get().len() > LARGEST_RESULT => {
                let failure = Failure::fatal(format!(
                    "result has {} bytes, the most is {LARGEST_RESULT}; keep it elsewhere and return where it is",
                    result.get().len()
                ));
                Op::Failed { failure: self.record(&failure, number), attempt: number, ran }
            }
            Ok(result) => Op::Done { result, attempt: number, ran },
            Err(failure) if failure.course == Course::Cancel => {
                self.shared.end(failure);
                return std::future::pending().await;
            }
            Err(failure) => self.failed(&failure, number, ran),
        };
        self.shared.write(&self.step, op);
        changed(&self.shared, &self.step, seen).await.1
    }

    async fn within_time(&self, body: Returning<'_>) -> Result<Box<RawValue>, Failure> {
        let caught = AssertUnwindSafe(body).catch_unwind();
        let result = match self.timeout {
            None => caught.await,
            Some(timeout) => match tokio::time::timeout(timeout, caught).await {
                Ok(result) => result,
                Err(_) => {
                    let error =
                        anyhow::anyhow!("ran longer than its time-out of {}", duration::show(timeout));
                    return Err(Failure::of_kind(FailureKind::Timeout, Course::Retry, error));
                }
            },
        };
        result.unwrap_or_else(|panic| Err(panicked(&*panic)))
    }

    fn failed(&self, failure: &Failure, number: u32, ran: u64) -> Op {
        let now = self.shared.store.now_ms();
        let record = self.record(failure, number);
        let delay = match failure.course {
            Course::Fatal => None,
            // It does not count, so it never runs out.
            Course::Snooze(delay) => {
                let due = now.saturating_add(delay.as_millis() as u64);
                return Op::Retry { failure: record, attempt: number - 1, due, ran };
            }
            _ if number > self.retries => None,
            Course::RetryIn(delay) => Some(delay),
            _ => {
                let backoff = self.backoff.as_ref().unwrap_or(&self.shared.defaults.backoff);
                Some(backoff.delay(number, self.shared.store.chance()))
            }
        };
        match delay {
            Some(delay) => {
                let due = now.saturating_add(delay.as_millis() as u64);
                Op::Retry { failure: record, attempt: number, due, ran }
            }
            None => Op::Failed { failure: record, attempt: number, ran },
        }
    }

    fn record(&self, failure: &Failure, attempt: u32) -> FailureRecord {
        let (message, chain) = failure.messages();
        FailureRecord {
            kind: failure.kind,
            message,
            chain,
            attempt,
            worker: self.shared.store.worker(),
            at: self.shared.store.now_ms(),
        }
    }

    /// The type in the code is not the one that was remembered.
    fn undecodable(&self, error: &serde_json::Error) -> StepError {
        let failure = Failure::of_kind(
            FailureKind::Decode,
            Course::Fatal,
            anyhow::anyhow!("its remembered result is no longer of the type in the code: {error}"),
        );
        StepError::new(&self.step, self.record(&failure, 0))
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Failure {
    let error = anyhow::anyhow!("panicked: {}", crate::attempt::panic_message(panic));
    Failure::of_kind(FailureKind::Panic, Course::Retry, error)
}
