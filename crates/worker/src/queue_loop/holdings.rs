//! What this worker holds, as Redis says and as it is known here.

use std::{collections::HashMap, sync::Arc};

use ergate_shared::{JobId, WorkerId, safety::Safety};

use super::QueueLoop;
use crate::{
    context::Reason,
    turn::{self, Leased},
};

/// The most records read by one call.
pub(super) const RECORDS_AT_ONCE: usize = 50;

impl QueueLoop {
    /// How many jobs Redis should say `worker` holds.
    pub(super) fn holding(&self, worker: &WorkerId) -> u64 {
        let of = |token: &str| token.starts_with(worker.as_str());
        let running = self.running.values().filter(|context| of(&context.inner.token)).count();
        let unsettled = self.unsettled.iter().filter(|settled| of(&settled.token)).count();
        (running + unsettled) as u64
    }

    /// Compares what Redis says this worker holds with what it knows; false if Redis could not be asked.
    ///
    /// Records are read some at a time, and what has come is started before the next are asked for; half as many after each call that
    /// failed, so that they come in the end however large they are and slow the link is.
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
        self.stop_lost(&worker, &held);
        let mut left = unknown.as_slice();
        // Given up meanwhile: nothing of it is held any more.
        while !left.is_empty() && self.seat.worker().as_ref() == Some(&worker) {
            let (next, rest) = left.split_at(self.records_at_once.min(left.len()));
            match self.answer(turn::records(&redis, &seat, next)).await {
                Ok(records) if self.seat.worker().as_ref() == Some(&worker) => {
                    self.start_found(&records, &held);
                }
                Ok(_) => {}
                Err(error) => {
                    self.records_at_once = (self.records_at_once / 2).max(1);
                    self.failed(&error);
                    return false;
                }
            }
            left = rest;
        }
        self.records_at_once = RECORDS_AT_ONCE;
        self.uncertain = false;
        self.answered();
        true
    }

    /// Stops attempts whose lease is held no more.
    fn stop_lost(&self, worker: &WorkerId, held: &HashMap<JobId, Arc<str>>) {
        for context in self.running.values() {
            let mine = context.inner.token.starts_with(worker.as_str());
            if mine && held.get(&context.inner.id) != Some(&context.inner.token) {
                tracing::warn!(queue = %self.seat.queue, job.id = %context.inner.id, "lease is lost: its attempt is stopped");
                context.inner.stop.ask(Reason::Lost);
            }
        }
    }

    /// Starts what was leased by a call whose reply was lost.
    fn start_found(&mut self, records: &[Leased], held: &HashMap<JobId, Arc<str>>) {
        for job in records {
            tracing::info!(queue = %self.seat.queue, job.id = job.id, "leased by a call whose reply was lost");
            self.metrics.lost_reply(&self.seat.queue);
            let Some(token) = held.get(job.id.as_str()) else { continue };
            let before = self.running.len();
            self.start(job, Arc::clone(token), self.client.redis().now_ms());
            if let Some((pool, place)) = &self.pool {
                pool.take_surely(*place, self.running.len() - before);
            }
        }
    }

    fn knows(&self, id: &JobId, token: &str) -> bool {
        self.running.get(id).is_some_and(|context| &*context.inner.token == token)
            || self.unsettled.iter().any(|settled| settled.id == *id && &*settled.token == token)
    }
}
