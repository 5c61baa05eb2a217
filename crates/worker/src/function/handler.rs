//! The code of a function is a plain `async fn`: what started it, its steps, then whatever else it asks for.

use std::sync::Arc;

use ergate_shared::FunctionInput;
use serde::Serialize;

use crate::{Context, FromContext, Result, Step, handler::to_json};

/// The code of a durable function: `async fn(event, step, extractors…) -> Result<T>`.
///
/// You do not implement it; every such function has it, up to six extractors. `Args` only tells the functions apart. The
/// result is kept as JSON with the completed run.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no durable function",
    label = "not an `async fn(event, Step, extractors…) -> ergate::Result<T>`",
    note = "the first argument must implement Event, or be an EventRecord, and be owned, not borrowed",
    note = "the second must be Step; what follows must be extractors: State<T>, Attempt, JobId, Deadline, Cancelled, Progress, Log, Client or Context",
    note = "the function must return ergate::Result<T> with a T that can be serialised",
    note = "what it holds across an `.await` must be Send: no Rc, no std mutex guard, no thread-local random generator"
)]
pub trait FunctionHandler<Args, S>: Clone + Send + Sync + 'static {
    /// What started it.
    type Input: FunctionInput;

    /// Runs the code from the top and returns the result as JSON.
    fn call(
        self,
        input: Self::Input,
        step: Step,
        context: Context,
        state: Arc<S>,
    ) -> impl Future<Output = Result<String>> + Send;
}

macro_rules! handlers {
    ($($argument:ident)*) => {
        impl<F, S, I, Fut, T, $($argument,)*> FunctionHandler<(I, Step, $($argument,)*), S> for F
        where
            F: FnOnce(I, Step, $($argument,)*) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future<Output = Result<T>> + Send,
            I: FunctionInput,
            T: Serialize,
            S: Send + Sync + 'static,
            $($argument: FromContext<S> + Send,)*
        {
            type Input = I;

            #[allow(unused_variables, reason = "a function without extractors needs neither")]
            async fn call(self, input: I, step: Step, context: Context, state: Arc<S>) -> Result<String> {
                to_json(&self(input, step, $($argument::from_context(&context, &state),)*).await?)
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
