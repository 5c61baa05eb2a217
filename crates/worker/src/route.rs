//! From a job's name to what performs it, and what its type declares.

use std::{collections::HashMap, sync::Arc, time::Duration};

use ergate_shared::{Backoff, FailureKind, Job, JobRecord, OnExhausted};

use crate::{
    BlockingHandler, Context, Failure, Handler,
    failure::Course,
    middleware::{Layer, Next, Perform, Performed},
};

/// What performs jobs of one name.
pub(crate) struct Route {
    pub(crate) perform: Perform,
    pub(crate) defaults: Defaults,
}

/// What a job's type declares.
pub(crate) struct Defaults {
    pub(crate) retries: u32,
    pub(crate) timeout: Duration,
    pub(crate) soft_timeout: Option<Duration>,
    pub(crate) on_exhausted: OnExhausted,
    pub(crate) backoff: Backoff,
}

impl Defaults {
    fn of<J: Job>() -> Self {
        Self {
            retries: J::RETRIES,
            timeout: J::TIMEOUT,
            soft_timeout: J::SOFT_TIMEOUT,
            on_exhausted: J::ON_EXHAUSTED,
            backoff: J::backoff(),
        }
    }
}

/// All routes of a worker.
pub(crate) type Routes = HashMap<String, Arc<Route>>;

impl Route {
    pub(crate) fn new<S, Args, H>(handler: H, state: &Arc<S>) -> Self
    where
        S: Send + Sync + 'static,
        H: Handler<Args, S>,
    {
        let state = Arc::clone(state);
        let perform = move |context: Context| -> Performed {
            let (handler, state) = (handler.clone(), Arc::clone(&state));
            Box::pin(async move {
                let job = decode::<H::Job>(&context.inner.record)?;
                handler.call(job, context, state).await
            })
        };
        Self { perform: Arc::new(perform), defaults: Defaults::of::<H::Job>() }
    }

    pub(crate) fn blocking<S, Args, H>(handler: H, state: &Arc<S>) -> Self
    where
        S: Send + Sync + 'static,
        H: BlockingHandler<Args, S>,
    {
        let state = Arc::clone(state);
        let perform = move |context: Context| -> Performed {
            let (handler, state) = (handler.clone(), Arc::clone(&state));
            Box::pin(async move {
                let job = decode::<H::Job>(&context.inner.record)?;
                match tokio::task::spawn_blocking(move || handler.call(job, context, state)).await {
                    Ok(result) => result,
                    // It panicked: let the attempt see that as it sees any panic.
                    Err(error) => match error.try_into_panic() {
                        Ok(panic) => std::panic::resume_unwind(panic),
                        Err(error) => Err(error.into()),
                    },
                }
            })
        };
        Self { perform: Arc::new(perform), defaults: Defaults::of::<H::Job>() }
    }

    /// Puts layers around it; the first is the outermost.
    pub(crate) fn wrap(&mut self, layers: &[Arc<dyn Layer>]) {
        if layers.is_empty() {
            return;
        }
        let layers: Vec<_> = layers.iter().rev().cloned().collect();
        let perform = Arc::clone(&self.perform);
        self.perform =
            Arc::new(move |context| Box::pin(Next::new(&layers, Arc::clone(&perform)).run(context)));
    }
}

/// The bytes will not change, so what cannot be read is never tried again.
fn decode<J: Job>(record: &JobRecord) -> Result<J, Failure> {
    let wrong = |error: anyhow::Error| Failure::of_kind(FailureKind::Decode, Course::Fatal, error);
    if record.version == J::VERSION {
        return serde_json::from_slice(&record.payload)
            .map_err(|error| wrong(anyhow::Error::new(error).context(format!("payload is no {}", J::NAME))));
    }
    let old = serde_json::from_slice(&record.payload)
        .map_err(|error| wrong(anyhow::Error::new(error).context("payload is no JSON")))?;
    let new = J::upcast(record.version, old).map_err(|problem| wrong(anyhow::Error::msg(problem)))?;
    serde_json::from_value(new).map_err(|error| {
        wrong(anyhow::Error::new(error).context(format!(
            "payload brought from version {} to {} is no {}",
            record.version,
            J::VERSION,
            J::NAME
        )))
    })
}
