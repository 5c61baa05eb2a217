//! What this worker holds, as Redis says and as it is known here.

use std::{collections::HashMap, sync::Arc};

use ergate_shared::{JobId, WorkerId, safety::Safety};

use super::QueueLoop;
use crate::{context::Reason, turn};

impl QueueLoop {
    /// How many jobs Redis should say `worker` holds.
    pub(super) fn holding(&self, worker: &WorkerId) -> u64 {
        let of = |token: &str| token.starts_with(worker.as_str());
        let running = self.running.values().filter(|context| of(&context.inner.token)).count();
        let unsettled = self.unsettled.iter().filter(|settled| of(&settled.token)).count();
        (running + unsettled) as u64
    }

    /// Compares what Redis says this worker holds with what it knows; false if Redis could not be asked.
    pub(super) async fn check_holdings(&mut self) -> bool {
        let Some(worker) = self.seat.worker() else { return true };
        if !Safety::CountCheck.is_on() {
            self.uncertain = false;
            return true;
        }
        let redis = self.client.redis().clone();
        let seat = Arc::clone(&self.seat);
        let held = match self.answer(turn::holdings(&redis, &seat, &worker)).await {
            Ok(held) => held.into_iter().collect::<HashMap<JobId, Arc<str>>>(),
            Err(error) => {
                self.failed(&error);
                return false;
            }
        };
        let unknown: Vec<JobId> =
            held.iter().filter(|(id, token)| !self.knows(id, token)).map(|(id, _)| id.clone()).collect();
        let records = if unknown.is_empty() {
            Vec::new()
        } else {
            match self.answer(turn::records(&redis, &seat, &unknown)).await {
                Ok(records) => records,
                Err(error) => {
                    self.failed(&error);
                    return false;
                }
            }
        };
        if self.seat.worker().as_ref() != Some(&worker) {
            // Given up meanwhile: nothing of it is held any more.
            self.uncertain = false;
            return true;
        }
        self.uncertain = false;
        self.answered();
        for context in self.running.values() {
            let mine = context.inner.token.starts_with(worker.as_str());
            if mine && held.get(&context.inner.id) != Some(&context.inner.token) {
                tracing::warn!(queue = %self.seat.queue, job.id = %context.inner.id, "lease is lost: its attempt is stopped");
                context.inner.stop.ask(Reason::Lost);
            }
        }
        for job in &records {
            tracing::info!(queue = %self.seat.queue, job.id = job.id, "leased by a call whose reply was lost");
            self.metrics.lost_reply(&self.seat.queue);
            let token = held.iter().find(|(id, _)| id.as_str() == job.id).map(|(_, token)| Arc::clone(token));
            if let Some(token) = token {
                let before = self.running.len();
                self.start(job, token, redis.now_ms());
                if let Some((pool, place)) = &self.pool {
                    pool.take_surely(*place, self.running.len() - before);
                }
            }
        }
        true
    }

    fn knows(&self, id: &JobId, token: &str) -> bool {
        self.running.get(id).is_some_and(|context| &*context.inner.token == token)
            || self.unsettled.iter().any(|settled| settled.id == *id && &*settled.token == token)
    }
}
