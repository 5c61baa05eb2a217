//! What stands around each execution of a run: the time by which it must have ended, and events that cancel it.

use std::{sync::Arc, time::Duration};

use ergate_client::cancelled_by;
use ergate_shared::{
    duration,
    function::{Cancel, FunctionOptions},
};

use super::{RunCode, given};
use crate::{Context, Failure, Result, cut_off::cut_off, failure::Course, run::Store};

mod started_again;

use started_again::StartedAgain;

/// The wait before a call that failed is made again.
const AGAIN: Duration = Duration::from_millis(200);

/// Cancels runs that have not ended `within` after they were due to start. One that leaves memory comes back by then at the
/// latest, so nothing else need watch the time.
pub(super) fn ending_within(within: Duration, code: RunCode) -> RunCode {
    Arc::new(move |context, store| {
        let (code, now) = (Arc::clone(&code), store.now_ms());
        let due = context.inner.record.enqueued_at.max(context.inner.record.due_at);
        let deadline = due.saturating_add(within.as_millis() as u64);
        Box::pin(async move {
            let late = || Failure::cancel(format!("it has not ended within {}", duration::show(within)));
            let left = Duration::from_millis(deadline.saturating_sub(now));
            if left.is_zero() {
                return Err(late());
            }
            match tokio::time::timeout(left, code(context, store)).await {
                Err(_) => Err(late()),
                Ok(Err(Failure { course: Course::Suspend { due, known }, .. })) if due > deadline => {
                    Err(Failure::suspend(deadline, known))
                }
                Ok(ended) => ended,
            }
        })
    })
}

/// Keeps the waits for events that cancel runs while these are there, as whoever starts a run does: an event that came
/// meanwhile is found here before anything is done.
pub(super) fn cancelled_by_events(options: FunctionOptions, code: RunCode) -> RunCode {
    let options = Arc::new(options);
    Arc::new(move |context, store| {
        let (code, options) = (Arc::clone(&code), Arc::clone(&options));
        Box::pin(async move {
            let store: Box<dyn Store> = if context.inner.steps == 0 {
                watch(&options, &context, began_at(&options, &context)).await?;
                store
            } else {
                // A run that goes on has its waits, but for one that its journal says was started again.
                Box::new(StartedAgain::new(store, &context, &options))
            };
            let ended = code(context.clone(), store).await;
            // A run that failed may be made to go on.
            if matches!(ended, Ok(_) | Err(Failure { course: Course::Cancel, .. })) {
                let cancels = cancels(&options, &context)?;
                tokio::spawn(async move {
                    let inner = &context.inner;
                    inner.client.let_no_events_cancel(&inner.queue, &inner.id, &cancels).await;
                });
            }
            ended
        })
    })
}

fn cancels(options: &FunctionOptions, context: &Context) -> Result<Vec<Cancel>> {
    match given(&context.inner.record)?.events.first() {
        Some(event) => options.cancels(event).map_err(Failure::fatal),
        None => Ok(Vec::new()),
    }
}

/// Since when events cancel a run, in ms since the epoch.
fn began_at(options: &FunctionOptions, context: &Context) -> u64 {
    let record = &context.inner.record;
    match &options.debounce {
        // It counts from the last event, which is the one the run has.
        Some(debounce) => record.due_at.saturating_sub(debounce.period_ms),
        None => record.enqueued_at,
    }
}

/// Keeps the waits, or fails as the run is cancelled by an event that came since then. Goes on until Redis answers: once the lease
/// is lost, the attempt is dropped with this.
async fn watch(options: &FunctionOptions, context: &Context, since: u64) -> Result<()> {
    let (inner, cancels) = (&context.inner, cancels(options, context)?);
    loop {
        match inner.client.let_events_cancel(&inner.queue, &inner.id, &cancels, since).await {
            Ok(None) => return Ok(()),
            Ok(Some(event)) => return Err(Failure::cancel(cancelled_by(&event))),
            Err(error) if error.is_temporary() => {
                cut_off!(error, run.id = %inner.id, "a run's waits could not be kept; it is tried again");
                tokio::time::sleep(AGAIN).await;
            }
            Err(error) => return Err(Failure::fatal(error)),
        }
    }
}
