//! After Redis has answered a settlement: what is counted, logged and told.

use super::QueueLoop;
use crate::{
    DeadLetter, Ended,
    outcome::{Action, Settlement},
    run::Unneeded,
};

impl QueueLoop {
    pub(super) fn settled(&self, settlements: Vec<Settlement>, stale: &[String]) {
        let mut unneeded = Unneeded::default();
        for settlement in settlements {
            // An id that is gone after a call sent twice means that the first was applied, unless the lease lapsed.
            let is_stale = stale.iter().any(|id| id == settlement.id.as_str());
            let own = self.seat.worker().is_some_and(|worker| settlement.token.starts_with(worker.as_str()));
            if is_stale && !(own && settlement.resent) {
                self.metrics.stale(&self.seat.queue);
                tracing::warn!(queue = %self.seat.queue, job.id = %settlement.id, "outcome came too late and was dropped");
                continue;
            }
            self.count(&settlement);
            let Settlement { id, action, context, unstarted, ended, .. } = settlement;
            // A dead one may be made to go on, and would miss what came meanwhile; so would one that only seems to have been settled.
            if let (Ended::Completed | Ended::Discarded, Some(context), false) = (ended, &context, is_stale) {
                unneeded.add_all(context);
            }
            let Action::Other { failure: Some(failure), tries, .. } = action else { continue };
            let name =
                context.as_ref().map_or(unstarted.as_str(), |context| context.inner.record.name.as_str());
            tracing::warn!(
                queue = %self.seat.queue, job.id = %id, job.name = name, job.attempt = failure.attempt,
                outcome = ended.as_str(), error = failure.message, causes = failure.chain.join(": "), "job failed"
            );
            if ended == Ended::Dead
                && let Some(hook) = &self.on_dead
            {
                let (queue, name) = (self.seat.queue.clone(), name.to_owned());
                let dead = DeadLetter { queue, id, name, failure, tries: tries.unwrap_or_default() };
                // It is the user's code: a panic in it must not end the queue's loop.
                if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| hook(dead))).is_err() {
                    tracing::error!(queue = %self.seat.queue, "the hook for dead letters panicked");
                }
            }
        }
        unneeded.withdraw(&self.client);
    }

    fn count(&self, settlement: &Settlement) {
        let (queue, ended) = (&self.seat.queue, settlement.ended);
        match &settlement.context {
            Some(context) => {
                self.metrics.ended(queue, context.inner.record.name.as_str(), ended, settlement.ran);
            }
            // Jobs of any names may come here: only those that have a handler are told apart.
            None => self.metrics.turned_away(queue, ended),
        }
    }
}
