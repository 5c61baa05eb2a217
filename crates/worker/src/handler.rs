//! Handlers are plain functions: the payload first, then whatever else they ask for.

use std::sync::Arc;

use ergate_shared::Job;
use serde::Serialize;

use crate::{Context, Failure, FromContext, Result};

/// A function that performs a job: `async fn(payload, extractors…) -> Result<T>`.
///
/// You do not implement it; every such function has it, up to eight extractors. `Args` only tells the functions apart.
/// The result is kept as JSON with the completed job.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no handler",
    label = "not an `async fn(payload, extractors…) -> ergate::Result<T>`",
    note = "the payload must implement Job and be owned, not borrowed",
    note = "what follows the payload must be extractors: State<T>, Attempt, JobId, Deadline, Cancelled, Progress, Log, Client or Context",
    note = "the function must return ergate::Result<T> with a T that can be serialised",
    note = "what it holds across an `.await` must be Send: no Rc, no std mutex guard, no thread-local random generator"
)]
pub trait Handler<Args, S>: Clone + Send + Sync + 'static {
    /// The payload.
    type Job: Job;

    /// Performs one attempt and returns the result as JSON.
    fn call(
        self,
        job: Self::Job,
        context: Context,
        state: Arc<S>,
    ) -> impl Future<Output = Result<String>> + Send;
}

/// A function that performs a job and blocks its thread: `fn(payload, extractors…) -> Result<T>`.
///
/// It runs on a thread of the blocking pool. A time-out or cancellation cannot end it: it goes on, and its outcome is
/// dropped.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no blocking handler",
    label = "not a `fn(payload, extractors…) -> ergate::Result<T>`"
)]
pub trait BlockingHandler<Args, S>: Clone + Send + Sync + 'static {
    /// The payload.
    type Job: Job;

    /// Performs one attempt and returns the result as JSON.
    ///
    /// # Errors
    /// What the function returns.
    fn call(self, job: Self::Job, context: Context, state: Arc<S>) -> Result<String>;
}

pub(crate) fn to_json(result: &impl Serialize) -> Result<String> {
    serde_json::to_string(result)
        .map_err(|error| Failure::fatal(format!("result cannot be written as JSON: {error}")))
}

macro_rules! handlers {
    ($($argument:ident)*) => {
        impl<F, S, J, Fut, T, $($argument,)*> Handler<(J, $($argument,)*), S> for F
        where
            F: FnOnce(J, $($argument,)*) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future<Output = Result<T>> + Send,
            J: Job,
            T: Serialize,
            S: Send + Sync + 'static,
            $($argument: FromContext<S> + Send,)*
        {
            type Job = J;

            #[allow(unused_variables, reason = "a handler without extractors needs neither")]
            async fn call(self, job: J, context: Context, state: Arc<S>) -> Result<String> {
                to_json(&self(job, $($argument::from_context(&context, &state),)*).await?)
            }
        }

        impl<F, S, J, T, $($argument,)*> BlockingHandler<(J, $($argument,)*), S> for F
        where
            F: FnOnce(J, $($argument,)*) -> Result<T> + Clone + Send + Sync + 'static,
            J: Job,
            T: Serialize,
            S: Send + Sync + 'static,
            $($argument: FromContext<S>,)*
        {
            type Job = J;

            #[allow(unused_variables, reason = "a handler without extractors needs neither")]
            fn call(self, job: J, context: Context, state: Arc<S>) -> Result<String> {
                to_json(&self(job, $($argument::from_context(&context, &state),)*)?)
            }
        }
    };
}

handlers! {}
handlers! { A }
handlers! { A B }
handlers! { A B C }
handlers! { A B C D }
handlers! { A B C D E }
handlers! { A B C D E G }
handlers! { A B C D E G H }
handlers! { A B C D E G H I }
