//! Telling workers that a schedule was changed, for haste: without a word they see it with their next look, within a third of
//! a lease.

use ergate_shared::WorkerId;

use crate::Client;

/// What a worker is called with, to have its process look at the schedules.
const LOOK_AT_SCHEDULES: &str = "2";
/// As many processes are told: one would do, and one or two may just be on their way out.
const TOLD: usize = 3;

impl Client {
    pub(super) async fn wake_ticker(&self) {
        let mut workers = match self.workers().await {
            Ok(workers) => workers,
            Err(error) => {
                tracing::debug!(%error, "no worker was told of a changed schedule; they look by themselves");
                return;
            }
        };
        workers.sort_by_key(|worker| std::cmp::Reverse(worker.seen_at));
        let seats =
            workers.iter().filter_map(|worker| worker.queues.iter().find(|queue| !queue.worker.is_empty()));
        for seat in seats.take(TOLD) {
            let key = self.keys(&seat.queue).call(&WorkerId::of_token(&seat.worker));
            let mut push = redis::pipe();
            // It goes by itself if the worker dies before it hears.
            push.rpush(&key, LOOK_AT_SCHEDULES).ignore().expire(&key, 60).ignore();
            if let Err(error) = self.redis().pipeline::<()>("a call", &push).await {
                tracing::debug!(%error, "a worker was not told of a changed schedule; it looks by itself");
            }
        }
    }
}
