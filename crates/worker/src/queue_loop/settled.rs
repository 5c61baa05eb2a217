//! After Redis has answered a settlement: what is counted, logged and told.

use super::QueueLoop;
use crate::{
    DeadLetter, Ended,
    outcome::{Action, Settlement},
};

impl QueueLoop {
    pub(super) fn settled(&self, settlements: Vec<Settlement>, stale: &[String]) {
        for settlement in settlements {
            // An id that is gone after a call sent twice means that the first was applied, unless the lease lapsed.
            let is_stale = stale.iter().any(|id| id == settlement.id.as_str());
            let own = self.seat.worker().is_some_and(|worker| settlement.token.starts_with(worker.as_str()));
            if is_stale && !(own && settlement.resent) {
                self.metrics.stale(&self.seat.queue);
                tracing::warn!(queue = %self.seat.queue, job.id = %settlement.id, "outcome came too late and was dropped");
                continue;
            }
            let name = settlement.context.as_ref().map_or("", |context| context.inner.record.name.as_str());
            self.metrics.ended(&self.seat.queue, name, settlement.ended, settlement.ran);
            let Action::Other { failure: Some(failure), tries, .. } = settlement.action else { continue };
            tracing::warn!(
                queue = %self.seat.queue, job.id = %settlement.id, job.name = name, job.attempt = failure.attempt,
                outcome = settlement.ended.as_str(), error = failure.message, causes = failure.chain.join(": "), "job failed"
            );
            if settlement.ended == Ended::Dead
                && let Some(hook) = &self.on_dead
            {
                let dead = DeadLetter {
                    queue: self.seat.queue.clone(),
                    id: settlement.id,
                    name: name.to_owned(),
                    failure,
                    tries: tries.unwrap_or_default(),
                };
                // It is the user's code: a panic in it must not end the queue's loop.
                if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| hook(dead))).is_err() {
                    tracing::error!(queue = %self.seat.queue, "the hook for dead letters panicked");
                }
            }
        }
    }
}
