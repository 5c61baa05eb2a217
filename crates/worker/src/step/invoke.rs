//! Starting another run, or a job, and waiting for its result: the run leaves memory until that has ended.

use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context as Task, Poll},
    time::Duration,
};

use ergate_client::Enqueue;
use ergate_shared::{
    FailureKind, JobId, QueueName, duration,
    run::{LONGEST_SLEEP, Op, Resolution},
};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::{StepError, changed, mismatch, open::outlast};
use crate::{
    Failure,
    run::{Instead, Shared, Standing},
};

/// Something about to be started: set options, then await its result.
///
/// It fails if what was started fails or is cancelled, if it has not ended in time, or if it could not be started. What was
/// started goes on by itself when the time is over, and when this run is cancelled.
#[must_use = "it is started when this is awaited"]
pub struct Invoke<T> {
    shared: Arc<Shared>,
    step: String,
    enqueue: Option<Enqueue>,
    within: Duration,
    invoking: Option<Invoking>,
    result: PhantomData<fn() -> T>,
}

type Invoking = Pin<Box<dyn Future<Output = Result<Box<RawValue>, StepError>> + Send>>;

impl<T> fmt::Debug for Invoke<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invoke").field("step", &self.step).finish_non_exhaustive()
    }
}

impl<T> Invoke<T> {
    pub(super) fn new(shared: &Arc<Shared>, step: String, enqueue: Enqueue) -> Self {
        Self {
            shared: Arc::clone(shared),
            step,
            enqueue: Some(enqueue),
            within: LONGEST_SLEEP,
            invoking: None,
            result: PhantomData,
        }
    }

    /// Sets how long the result is waited for; default and at most 366 days.
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// Sets options of what is started: `.with(|run| run.delay(…).tags(…))`.
    pub fn with(mut self, options: impl FnOnce(Enqueue) -> Enqueue) -> Self {
        self.enqueue = self.enqueue.map(options);
        self
    }
}

impl<T: DeserializeOwned> Future for Invoke<T> {
    type Output = Result<T, StepError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Task<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let Some(enqueue) = this.enqueue.take() {
            let shared = Arc::clone(&this.shared);
            this.invoking = Some(Box::pin(invoke(shared, this.step.clone(), enqueue, this.within)));
        }
        let Some(invoking) = &mut this.invoking else { return Poll::Pending };
        invoking.as_mut().poll(cx).map(|result| {
            serde_json::from_str(result?.get()).map_err(|error| {
                let message = format!("its result is not of the type in the code: {error}");
                StepError::new(&this.step, this.shared.failure(FailureKind::Decode, message))
            })
        })
    }
}

async fn invoke(
    shared: Arc<Shared>,
    step: String,
    enqueue: Enqueue,
    within: Duration,
) -> Result<Box<RawValue>, StepError> {
    let (mut number, mut standing) = shared.standing(&step);
    if matches!(standing, Standing::Fresh) {
        begin(&shared, &step, &enqueue, within).await;
        (number, standing) = changed(&shared, &step, number).await;
    }
    let mut enqueue = Some(enqueue);
    loop {
        let (job, due) = match standing {
            Standing::Resolved(Resolution::Result(result)) => return Ok(result),
            Standing::Resolved(Resolution::Failure(failure)) | Standing::Failed(failure) => {
                return Err(StepError::new(&step, failure));
            }
            Standing::Resolved(Resolution::TimedOut) => {
                let message = "what it started has not ended in time".to_owned();
                return Err(StepError::new(&step, shared.failure(FailureKind::Timeout, message)));
            }
            Standing::Done(result) => {
                return RawValue::from_string(result).map_err(|error| {
                    StepError::new(&step, shared.failure(FailureKind::Decode, error.to_string()))
                });
            }
            Standing::Invoke { job, due } => (job, due),
            _ => return mismatch(&shared, &step, "an invocation").await,
        };
        let Some(Op::Invoke { queue, .. }) = shared.entry(number) else {
            return mismatch(&shared, &step, "an invocation").await;
        };
        let start = start(&shared, number, &queue, &job, enqueue.take());
        (number, standing) = outlast(&shared, &step, number, due, start).await;
    }
}

/// Has the start written down, with the queue of the version that is the newest now: whatever is deployed until the result is there, no
/// replay starts another. Or ends the run.
async fn begin(shared: &Arc<Shared>, step: &str, enqueue: &Enqueue, within: Duration) {
    let op = match shared.store.instead(step) {
        Some(Instead::Return(result)) => Op::Done { result, attempt: 1, ran: 0 },
        Some(Instead::Fail(why)) => {
            Op::Failed { failure: shared.failure(FailureKind::Error, why), attempt: 1, ran: 0 }
        }
        Some(Instead::Stop) => {
            shared.end(Failure::cancel("stopped here"));
            return std::future::pending().await;
        }
        Some(Instead::Wait) => {
            let _pending = shared.pending(u64::MAX);
            return std::future::pending().await;
        }
        None => {
            let due = shared.store.now_ms().saturating_add(within.as_millis() as u64);
            match destination(shared, enqueue, within).await {
                Ok(queue) => return shared.open(step, Op::Invoke { queue, job: JobId::generate(), due }),
                Err(problem) => {
                    shared.end(Failure::fatal(format!("step {step} cannot start anything: {problem}")));
                    return std::future::pending().await;
                }
            }
        }
    };
    shared.write(step, op);
}

/// The queue that what is started goes to.
async fn destination(shared: &Arc<Shared>, enqueue: &Enqueue, within: Duration) -> Result<QueueName, String> {
    let named = enqueue.queue_name().map_err(ToString::to_string)?;
    if within > LONGEST_SLEEP {
        return Err(format!("{} is over the most, 366 days", duration::show(within)));
    }
    let _running = shared.running();
    let newest = enqueue.insist_on_newest().await.map_err(|error| error.to_string())?;
    Ok(newest.unwrap_or_else(|| named.clone()))
}

/// Starts what the open entry says, in the queue and under the id that it says: whether it was started before does not matter. What it
/// came to, if it could not be started.
async fn start(
    shared: &Arc<Shared>,
    entry: u32,
    queue: &QueueName,
    job: &JobId,
    enqueue: Option<Enqueue>,
) -> Option<Resolution> {
    let started = shared.store.start(entry, queue, job, enqueue?).await;
    started.err().map(|why| {
        let message = format!("it could not be started: {}", why.messages().0);
        Resolution::Failure(shared.failure(FailureKind::Error, message))
    })
}
