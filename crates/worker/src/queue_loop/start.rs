//! From a leased job to a running attempt, or to a settlement at once if it cannot be run.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use ergate_shared::{FailureKind, FailureRecord, JobId, JobRecord, Tries, WorkerId};
use tracing::Instrument;

use super::QueueLoop;
use crate::{
    Context, Ended, attempt,
    context::{Inner, Reason, Stop},
    outcome::{Action, Settlement},
    run::Registered,
    turn::Leased,
};

/// The waits after each time no handler was found, some other worker having one: together about a minute.
const UNHANDLED_GRACE: [u64; 6] = [1, 2, 4, 8, 16, 30];

impl QueueLoop {
    pub(super) fn start(&mut self, job: &Leased, token: Arc<str>, now: u64) {
        let id = JobId::stored(&job.id);
        let tries = job.tries.as_deref().map(Tries::parse).transpose().ok().flatten().unwrap_or_default();
        let record = match JobRecord::decode(&job.record) {
            Ok(record) => record,
            Err(error) => {
                return self.reject(id, token, String::new(), tries, FailureKind::Decode, error.to_string());
            }
        };
        let Some(route) = self.routes.get(record.name.as_str()).map(Arc::clone) else {
            return self.unhandled(id, token, tries, &record);
        };
        // A run that goes on did not wait since it was enqueued: it slept.
        let waited = (job.steps == 0).then(|| now.saturating_sub(record.due_at.max(record.enqueued_at)));
        self.metrics.started(
            &self.seat.queue,
            record.name.as_str(),
            waited,
            tries == Tries::default() && record.due_at > record.enqueued_at,
        );
        let tells_completion = record.tells
            && (record.options.parent.is_some()
                || self.audience.as_ref().is_some_and(|heard| heard.load(Ordering::Relaxed)));
        let timeout = record.options.timeout.unwrap_or(route.defaults.timeout);
        let context = Context {
            inner: Arc::new(Inner {
                client: self.client.clone(),
                queue: self.seat.queue.clone(),
                id: id.clone(),
                token,
                retries: record.options.retries.unwrap_or(route.defaults.retries),
                record,
                tries,
                deadline: after(timeout),
                notes: self.notes.clone(),
                recorder: self.recorder.clone(),
                steps: job.steps,
                connection: self.client.redis().generation(),
                recorded: AtomicBool::new(false),
                waits: Registered::default(),
                tells_completion,
                stop: Stop::default(),
            }),
        };
        if self.interrupted {
            context.inner.stop.ask(Reason::Interrupted);
        }
        self.running.insert(id, context.clone());
        self.seat.running.store(self.running.len(), Ordering::Relaxed);
        self.metrics.slots_in_use(&self.seat.queue, self.running.len());
        let (outcomes, seat) = (self.outcome_sender.clone(), Arc::clone(&self.seat));
        let span = tracing::info_span!(
            "attempt", queue = %self.seat.queue, job.id = %context.inner.id, job.name = %context.inner.record.name,
            job.attempt = tries.attempt()
        );
        let attempt = async move {
            // The loop outlives every attempt unless it was given up.
            let _ = outcomes.send(attempt::run(context, route, timeout, seat).await);
        };
        tokio::spawn(attempt.instrument(span));
    }

    /// A job nobody here can perform: others may, for a while; then it is a dead letter.
    fn unhandled(&mut self, id: JobId, token: Arc<str>, tries: Tries, record: &JobRecord) {
        match UNHANDLED_GRACE.get(tries.unhandled as usize) {
            Some(seconds) => {
                tracing::warn!(queue = %self.seat.queue, job.id = %id, job.name = %record.name, "no handler here; another worker may have one");
                let action = Action::unhandled(Duration::from_secs(*seconds), tries);
                let name = record.name.to_string();
                self.unsettled.push(Settlement::unstarted(id, token, name, action, Ended::Unhandled));
            }
            None => {
                let message =
                    format!("no worker of queue {} has a handler for job {}", self.seat.queue, record.name);
                self.reject(id, token, record.name.to_string(), tries, FailureKind::Unhandled, message);
            }
        }
    }

    fn reject(
        &mut self,
        id: JobId,
        token: Arc<str>,
        name: String,
        tries: Tries,
        kind: FailureKind,
        message: String,
    ) {
        let worker = WorkerId::of_token(&token).to_string();
        let at = self.client.redis().now_ms();
        let failure = FailureRecord { kind, message, chain: Vec::new(), attempt: 0, worker, at };
        let action = Action::dead(tries, failure);
        self.unsettled.push(Settlement::unstarted(id, token, name, action, Ended::Dead));
    }
}

/// The end of `timeout` from now; a time-out too long to be reckoned with means the longest there is.
fn after(timeout: Duration) -> Instant {
    Instant::now() + timeout.min(ergate_shared::duration::LONGEST)
}
