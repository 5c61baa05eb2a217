//! A step with a body, and what may be set for it.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context as Task, Poll},
    time::Duration,
};

use ergate_shared::Backoff;
use serde::de::DeserializeOwned;

use super::{
    StepError,
    attempt::{Body, Remembered, Trial},
};
use crate::run::Shared;

/// A step about to be done: set options, then await it.
#[must_use = "a step is done when this is awaited"]
pub struct RunStep<'a, T> {
    shared: Arc<Shared>,
    pub(super) id: String,
    retries: u32,
    backoff: Option<Backoff>,
    timeout: Option<Duration>,
    body: Option<Body<'a>>,
    pub(super) remembered: Option<Remembered<'a>>,
    performing: Option<Performing<'a, T>>,
}

type Performing<'a, T> = Pin<Box<dyn Future<Output = Result<T, StepError>> + Send + 'a>>;

impl<T> fmt::Debug for RunStep<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunStep").field("id", &self.id).finish_non_exhaustive()
    }
}

impl<'a, T> RunStep<'a, T> {
    pub(super) fn new(shared: &Arc<Shared>, id: String, body: Body<'a>) -> Self {
        Self {
            shared: Arc::clone(shared),
            id,
            retries: shared.defaults.retries,
            backoff: None,
            timeout: shared.defaults.timeout,
            body: Some(body),
            remembered: None,
            performing: None,
        }
    }

    /// Sets how often it is tried again after it failed; default: what the function declares.
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// Sets the delay between tries; default: what the function declares.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = Some(backoff);
        self
    }

    /// Sets the longest one attempt may run; default: what the function declares. It is then dropped and counts as failed.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

impl<'a, T: DeserializeOwned + Send + 'a> RunStep<'a, T> {
    /// Does a step that the run can do without: `None` if it is out of attempts or failed for good, which is logged.
    pub async fn optional(self) -> Option<T> {
        let run = Arc::clone(&self.shared);
        self.await
            .inspect_err(|error| tracing::warn!(run.id = %run.id, %error, "an optional step failed; the run goes on without"))
            .ok()
    }
}

impl<'a, T: DeserializeOwned + Send + 'a> Future for RunStep<'a, T> {
    type Output = Result<T, StepError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Task<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let Some(body) = this.body.take() {
            let trial = Trial {
                shared: Arc::clone(&this.shared),
                step: std::mem::take(&mut this.id),
                retries: this.retries,
                backoff: this.backoff.take(),
                timeout: this.timeout,
            };
            this.performing = Some(Box::pin(trial.perform(body, this.remembered.take())));
        }
        match &mut this.performing {
            Some(performing) => performing.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}
