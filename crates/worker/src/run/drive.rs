//! Polls a function's code over its journal until it returns, or until all that goes on in it is waiting.

use std::{future::Future, sync::Arc, task::Poll};

use super::{Boxed, Recorded, Shared, Write};
use crate::{Failure, Result, StepError, failure::Course};

/// What is being written, and the call that writes it.
type Writing = (Vec<Write>, Boxed<'static, Recorded>);

/// Returns what the code returns, or a failure that suspends the run.
///
/// The code is polled until it is not ready. What its steps have done since is written then, in one call at a time, while
/// other steps go on. Once no body runs, nothing is to be written and at least one step waits for time or for something
/// from outside, the code is dropped: it starts over when the run goes on, and its journal brings it to the same place.
pub(crate) async fn drive(
    shared: &Arc<Shared>,
    code: impl Future<Output = Result<String>>,
) -> Result<String> {
    let mut code = std::pin::pin!(code);
    let mut writing: Option<Writing> = None;
    let result = std::future::poll_fn(|cx| {
        loop {
            if let Some((_, call)) = &mut writing
                && let Poll::Ready(recorded) = call.as_mut().poll(cx)
                && let Some((writes, _)) = writing.take()
            {
                shared.recorded(writes, recorded);
            }
            let polled = code.as_mut().poll(cx);
            if let Some(failure) = shared.take_end() {
                return Poll::Ready(Err(failure));
            }
            if let Poll::Ready(result) = polled {
                return Poll::Ready(result);
            }
            if writing.is_some() {
                return Poll::Pending;
            }
            if let Some((known, writes)) = shared.take_writes() {
                let call = shared.store.record(known, &writes);
                writing = Some((writes, call));
                continue;
            }
            return match shared.suspension() {
                Some((due, known)) => Poll::Ready(Err(Failure::suspend(due, known))),
                None => Poll::Pending,
            };
        }
    })
    .await;
    result.map_err(judged)
}

/// A step that is out of attempts fails the same way at every replay, so there is no use in trying again.
fn judged(failure: Failure) -> Failure {
    let of_a_step = failure.error.chain().any(|cause| cause.is::<StepError>());
    if of_a_step && failure.course == Course::Retry {
        return Failure { course: Course::Fatal, ..failure };
    }
    failure
}
