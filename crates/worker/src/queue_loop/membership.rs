//! Entering a queue under a new identity, and leaving it.

use std::{sync::atomic::Ordering, time::Instant};

use ergate_shared::{WorkerId, script};

use super::QueueLoop;

impl QueueLoop {
    pub(super) async fn join(&mut self) -> bool {
        let worker = WorkerId::generate();
        let since = Instant::now();
        let call = script::WORKER_JOIN
            .on(&self.seat.keys)
            .arg("")
            .arg(worker.as_str())
            .number(self.lease.as_millis() as i128);
        let redis = self.client.redis().clone();
        // What ran under the id that was lost may not have been told so yet.
        match self.answer(redis.run::<(u64, String)>(&call)).await {
            Ok((now, code)) if code == "ok" => {
                self.client.redis().saw_time(now);
                tracing::info!(queue = %self.seat.queue, %worker, slots = self.seat.slots, "worker joined");
                self.seat.lease.joined(worker, since, self.lease);
                self.seat.first_lease_ends(Instant::now());
                self.calls = 0;
                self.hint = true;
                self.answered();
                true
            }
            Ok(_) => false,
            Err(error) => {
                self.failed(&error);
                false
            }
        }
    }

    pub(super) async fn leave(&mut self) {
        // Its waiter may hear the call that is meant for others: it passes that on.
        self.bed.set_idle(false);
        self.seat.left.store(true, Ordering::Relaxed);
        let Some(worker) = self.seat.worker() else { return };
        let call = script::WORKER_LEAVE.on(&self.seat.keys).arg(worker.as_str());
        match self.client.redis().run::<(String, u64)>(&call).await {
            Ok((code, held)) if code != "ok" => {
                tracing::warn!(queue = %self.seat.queue, held, "jobs are left to be taken over");
            }
            Ok(_) => tracing::info!(queue = %self.seat.queue, %worker, "worker left"),
            Err(error) => tracing::warn!(queue = %self.seat.queue, %error, "worker left without saying so"),
        }
        self.seat.lease.lapsed(&worker);
        self.metrics.left(&self.seat.queue);
    }
}
