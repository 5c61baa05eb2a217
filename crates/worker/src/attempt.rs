//! One attempt: call the handler within its time, and turn whatever happens into a settlement.

use std::{
    any::Any,
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::Ordering},
    task::Poll,
    time::{Duration, Instant},
};

use ergate_shared::{FailureKind, FailureRecord, OnExhausted, Tries, WorkerId, duration};
use futures_util::FutureExt;

use crate::{
    Context, Failure,
    context::Reason,
    failure::Course,
    identity::Seat,
    outcome::{Action, Ended, Settlement},
    route::Route,
};

/// How long a handler that was told to end may go on before it is dropped.
const GRACE: Duration = Duration::from_secs(5);

/// What the last word on an attempt may be.
enum Finish {
    Returned(Result<String, Failure>),
    Panicked(String),
    TimedOut,
    Stopped(Reason),
}

/// Runs an attempt to its end.
pub(crate) async fn run(
    context: Context,
    route: Arc<Route>,
    timeout: Duration,
    seat: Arc<Seat>,
) -> Settlement {
    let started = Instant::now();
    let judged = async {
        let finish = finish(&context, &route, timeout, &seat).await;
        judge(&context, &route, timeout, finish)
    };
    // What a handler holds may panic as it is dropped, and an error of its own as it is shown.
    let (action, ended) = AssertUnwindSafe(judged).catch_unwind().await.unwrap_or_else(|panic| {
        let finish = match context.inner.stop.reason() {
            Some(reason) if reason != Reason::SoftTimeout => Finish::Stopped(reason),
            _ => Finish::Panicked(panic_message(&*panic)),
        };
        judge(&context, &route, timeout, finish)
    });
    Settlement {
        id: context.inner.id.clone(),
        token: Arc::clone(&context.inner.token),
        action,
        ended,
        ran: started.elapsed(),
        unstarted: String::new(),
        context: Some(context),
        resent: false,
    }
}

async fn finish(context: &Context, route: &Route, timeout: Duration, seat: &Seat) -> Finish {
    let stop = &context.inner.stop;
    // The handler may panic while it is called as well as while it is polled.
    let performed = AssertUnwindSafe(async { (route.perform)(context.clone()).await }).catch_unwind();
    let mut performed = std::pin::pin!(performed);
    // A handler's code never goes on beyond its lease, which it is told of when a tenth is left: the process may have stood still, or
    // another handler have kept the thread, so that nobody could be told.
    let mut lease_ends = Instant::now();
    let mut performed = std::future::poll_fn(|cx| {
        lease_ends = seat.lease.end_of(&context.inner.token).unwrap_or(lease_ends);
        if Instant::now() < lease_ends {
            return performed.as_mut().poll(cx);
        }
        seat.give_up(&WorkerId::of_token(&context.inner.token));
        stop.ask(Reason::Lost);
        Poll::Pending
    });
    let deadline = tokio::time::Instant::from_std(context.inner.deadline);
    let mut hard = std::pin::pin!(tokio::time::sleep_until(deadline));
    // Most handlers are done before any timer is looked at.
    let mut soft = route.defaults.soft_timeout.filter(|soft| *soft < timeout);
    let started = tokio::time::Instant::now();
    let mut known = None;
    loop {
        let soft_end = soft.map(|soft| started + soft);
        tokio::select! {
            biased;
            result = &mut performed => return match (result, stop.reason()) {
                // An attempt that was told to end and came to some end itself: the reason says what that means.
                (Ok(Err(failure)), Some(reason)) if reason != Reason::SoftTimeout => {
                    tracing::debug!(job.id = %context.id(), %failure, "attempt ended as it was told to");
                    Finish::Stopped(reason)
                }
                (Ok(result), _) => Finish::Returned(result),
                (Err(panic), _) => Finish::Panicked(panic_message(&*panic)),
            },
            reason = stop.asked(known) => {
                if reason == Reason::Lost {
                    return Finish::Stopped(reason);
                }
                known = Some(reason);
                if reason != Reason::SoftTimeout {
                    hard.as_mut().reset(deadline.min(tokio::time::Instant::now() + grace(reason)));
                }
            }
            () = tokio::time::sleep_until(soft_end.unwrap_or(deadline)), if soft_end.is_some() => {
                soft = None;
                stop.ask(Reason::SoftTimeout);
            }
            () = &mut hard => return match known {
                Some(reason @ (Reason::Cancelled | Reason::Interrupted)) => Finish::Stopped(reason),
                _ => Finish::TimedOut,
            },
        }
    }
}

const fn grace(reason: Reason) -> Duration {
    match reason {
        // The worker's own deadline has been waited for already.
        Reason::Interrupted => Duration::from_millis(500),
        _ => GRACE,
    }
}

fn judge(context: &Context, route: &Route, timeout: Duration, finish: Finish) -> (Action, Ended) {
    // A run that got anywhere has nothing against it any more, as `run/record` says too.
    let tries =
        if context.inner.recorded.load(Ordering::Acquire) { Tries::default() } else { context.inner.tries };
    let failure = match finish {
        Finish::Returned(Ok(result)) => return (Action::complete(context, result), Ended::Completed),
        Finish::Returned(Err(failure)) => failure,
        Finish::Panicked(message) => {
            Failure::of_kind(FailureKind::Panic, Course::Retry, anyhow::anyhow!("panicked: {message}"))
        }
        Finish::TimedOut => Failure::of_kind(
            FailureKind::Timeout,
            Course::Retry,
            anyhow::anyhow!("ran longer than its time-out of {}", duration::show(timeout)),
        ),
        Finish::Stopped(Reason::Cancelled) => {
            return (
                Action::cancel(context.inner.stop.why.get().cloned().unwrap_or_default()),
                Ended::Cancelled,
            );
        }
        Finish::Stopped(Reason::Interrupted) => return (Action::hand_back(tries), Ended::Interrupted),
        Finish::Stopped(Reason::Lost | Reason::SoftTimeout) => return (Action::Nothing, Ended::Interrupted),
    };
    settle_failure(context, route, tries, &failure)
}

/// What the jitter of a delay is drawn from: at least 0, below 1.
pub(crate) fn chance() -> f64 {
    (uuid::Uuid::new_v4().as_u128() % 10_000) as f64 / 10_000.0
}

fn settle_failure(context: &Context, route: &Route, tries: Tries, failure: &Failure) -> (Action, Ended) {
    let options = &context.inner.record.options;
    let failed = Tries { failures: tries.failures + 1, ..tries };
    let delay = match failure.course {
        Course::Suspend { due, known } => {
            let connection = context.inner.connection;
            return (Action::Suspend { due, known, connection }, Ended::Suspended);
        }
        Course::Snooze(delay) => return (Action::snooze(delay, tries), Ended::Snoozed),
        Course::Cancel => return (Action::cancel(failure.messages().0), Ended::Cancelled),
        Course::Fatal => None,
        Course::RetryIn(delay) => Some(delay),
        Course::Retry => {
            let backoff = options.backoff.as_ref().unwrap_or(&route.defaults.backoff);
            Some(backoff.delay(failed.failures, chance()))
        }
    };
    let record = failure_record(context, failure);
    match delay {
        Some(delay) if tries.failures < context.inner.retries => {
            (Action::retry(delay, failed, record), Ended::Retried)
        }
        Some(_) => {
            Action::exhausted(options.on_exhausted.unwrap_or(route.defaults.on_exhausted), failed, record)
        }
        // What failed for good is not tried later either.
        None => match options.on_exhausted.unwrap_or(route.defaults.on_exhausted) {
            OnExhausted::Discard => Action::exhausted(OnExhausted::Discard, failed, record),
            _ => Action::exhausted(OnExhausted::DeadLetter, failed, record),
        },
    }
}

fn failure_record(context: &Context, failure: &Failure) -> FailureRecord {
    let (message, chain) = failure.messages();
    FailureRecord {
        kind: failure.kind,
        message,
        chain,
        attempt: context.inner.tries.attempt(),
        worker: ergate_shared::WorkerId::of_token(&context.inner.token).to_string(),
        at: context.inner.client.redis().now_ms(),
    }
}

pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "with a value that is no text".to_owned())
}
