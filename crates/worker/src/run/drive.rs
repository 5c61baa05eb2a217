//! Polls a function's code over its journal until it returns, or until all that goes on in it is waiting.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::Sleep;

use super::{Boxed, Recorded, Shared, Write};
use crate::{Failure, Result, StepError, failure::Course};

/// What is being written, and the call that writes it.
type Writing = (Vec<Write>, Boxed<'static, Recorded>);

/// Returns what the code returns, or a failure that suspends the run.
///
/// The code is polled until it is not ready. What its steps have done since is written then, in one call at a time, while
/// other steps go on. Once no body runs, nothing is to be written and at least one step waits for time or for something
/// from outside, the code is dropped: it starts over when the run goes on, and its journal brings it to the same place.
///
/// What is to be written when the code has returned is written first: a body whose step was waited for no more has had its
/// effect all the same, and must be remembered if the run ever goes on.
pub(crate) async fn drive(
    shared: &Arc<Shared>,
    code: impl Future<Output = Result<String>>,
) -> Result<String> {
    let mut code = std::pin::pin!(code);
    let mut writing: Option<Writing> = None;
    let mut ended: Option<Result<String>> = None;
    let mut alarm = Alarm::default();
    let result = std::future::poll_fn(|cx| {
        loop {
            if let Some((_, call)) = &mut writing
                && let Poll::Ready(recorded) = call.as_mut().poll(cx)
                && let Some((writes, _)) = writing.take()
            {
                shared.recorded(writes, recorded);
            }
            if ended.is_none() {
                let polled = code.as_mut().poll(cx);
                ended = match (shared.take_end(), polled) {
                    (Some(failure), _) => Some(Err(failure)),
                    (None, Poll::Ready(result)) => Some(result),
                    (None, Poll::Pending) => None,
                };
            }
            if writing.is_none() {
                if let Some((known, writes)) = shared.take_writes() {
                    let call = shared.store.record(known, &writes);
                    writing = Some((writes, call));
                    continue;
                }
                if let Some(result) = ended.take() {
                    return Poll::Ready(result);
                }
                if let Some((due, known)) = shared.suspension() {
                    return Poll::Ready(Err(Failure::suspend(due, known)));
                }
            }
            if ended.is_some() || !alarm.rings(shared, cx) {
                return Poll::Pending;
            }
            shared.wake();
        }
    })
    .await;
    result.map_err(judged)
}

/// Set to when something that waits is next due, while a body keeps the run from being suspended until then.
#[derive(Default)]
struct Alarm {
    set: Option<(u64, Pin<Box<Sleep>>)>,
}

impl Alarm {
    fn rings(&mut self, shared: &Shared, cx: &mut Context<'_>) -> bool {
        loop {
            if let Some((_, sleep)) = &mut self.set
                && sleep.as_mut().poll(cx).is_ready()
            {
                self.set = None;
                return true;
            }
            let Some(due) = shared.next_due() else {
                self.set = None;
                return false;
            };
            if self.set.as_ref().is_some_and(|(at, _)| *at == due) {
                return false;
            }
            let left = Duration::from_millis(due.saturating_sub(shared.store.now_ms()));
            self.set = Some((due, Box::pin(tokio::time::sleep(left))));
        }
    }
}

/// A step that is out of attempts fails the same way at every replay, so there is no use in trying again.
fn judged(failure: Failure) -> Failure {
    let of_a_step = failure.error.chain().any(|cause| cause.is::<StepError>());
    if of_a_step && failure.course == Course::Retry {
        return Failure { course: Course::Fatal, ..failure };
    }
    failure
}
