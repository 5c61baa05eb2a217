//! What keeps a queue in order besides leasing and settling: reaping, sweeping, reconciling.
//!
//! Every worker does it, nobody is elected: each script judges again, so that doing it twice changes nothing.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use ergate_client::{Client, Error, Queue, reconcile_beside_others};
use ergate_shared::{FailureKind, FailureRecord, WorkerId, key::QueueKey, safety::Safety, script};

use crate::{Metrics, cut_off::cut_off, identity::Seat};

/// How often a queue is swept by this worker; all workers together do so about as often.
const SWEEP_EVERY: Duration = Duration::from_secs(15);
const SWEEP_SPACING: Duration = Duration::from_secs(12);
/// The most of each kind a sweep works off, so that it takes Redis about a millisecond; how soon the next one comes if there is more.
const SWEEP_LIMIT: u64 = 500;
const SWEEP_ON: Duration = Duration::from_millis(250);
/// How often the numbers of a queue are checked, besides after every new connection.
const RECONCILE_EVERY: Duration = Duration::from_secs(60);
/// Keys are counted anew by one worker then.
const RECOUNT_SPACING: Duration = Duration::from_secs(50);
/// How soon, and how often, a lease that should have ended is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
const LOOKS: u32 = 10;
/// Leases read at once when a worker has died.
const SLICE: usize = 500;
/// So that not all workers reap in the same moment.
const REAP_JITTER_MS: u128 = 200;

pub(crate) struct Upkeep {
    pub(crate) client: Client,
    pub(crate) queue: Queue,
    pub(crate) seat: Arc<Seat>,
    pub(crate) crash_limit: u32,
    pub(crate) metrics: Metrics,
}

impl Upkeep {
    /// Works for ever; dropped when the worker stops.
    pub(crate) async fn run(self) {
        let mut sweep_at = Instant::now() + SWEEP_EVERY.mul_f64(chance());
        let mut sweep_spacing = SWEEP_SPACING;
        let mut reconcile_at = Instant::now();
        let (mut generation, mut looks) = (0, 0);
        loop {
            let reap_at = *self.seat.reap_at.lock().unwrap_or_else(PoisonError::into_inner);
            let next = [Some(sweep_at), Some(reconcile_at), reap_at.map(|at| at + reap_jitter())]
                .into_iter()
                .flatten()
                .min()
                .expect("there are always two");
            tokio::select! {
                () = tokio::time::sleep_until(next.into()) => {}
                () = self.seat.reap.notified() => continue,
            }
            let now = Instant::now();
            if reap_at.is_some_and(|at| now >= at) {
                *self.seat.reap_at.lock().unwrap_or_else(PoisonError::into_inner) = None;
                let reaped = self.reap().await;
                // Redis' clock is known here within milliseconds only: a lease that has not quite ended is looked at again.
                if !matches!(reaped, Ok(1..)) && looks < LOOKS {
                    looks += 1;
                    *self.seat.reap_at.lock().unwrap_or_else(PoisonError::into_inner) =
                        Some(now + LOOK_AGAIN);
                } else {
                    looks = 0;
                }
                self.log("reaping", reaped.map(drop));
            }
            if now >= sweep_at {
                let swept = self.sweep(sweep_spacing).await;
                let more = matches!(swept, Ok(true));
                // Who has found more goes on with it, ahead of all others.
                (sweep_at, sweep_spacing) =
                    if more { (now + SWEEP_ON, Duration::ZERO) } else { (now + SWEEP_EVERY, SWEEP_SPACING) };
                self.log("sweeping", swept.map(drop));
                if self.client.redis().generation() != generation {
                    reconcile_at = now;
                }
            }
            if now >= reconcile_at {
                reconcile_at = now + RECONCILE_EVERY;
                generation = self.client.redis().generation();
                self.log("reconciling", self.reconcile().await);
            }
        }
    }

    fn log(&self, what: &str, done: Result<(), Error>) {
        if let Err(error) = done {
            cut_off!(error, queue = %self.seat.queue, "{what} was cut off; it is done again later");
        }
    }

    /// Returns whether there is more to sweep.
    async fn sweep(&self, spacing: Duration) -> Result<bool, Error> {
        let call = script::QUEUE_SWEEP
            .on(&self.seat.keys)
            .arg("")
            .number(SWEEP_LIMIT)
            .number(spacing.as_millis() as i128);
        let (_, _, trimmed, expired, more): (u64, String, u64, u64, u64) =
            self.client.redis().run(&call).await?;
        if trimmed + expired > 0 {
            tracing::debug!(queue = %self.seat.queue, trimmed, expired, "queue swept");
        }
        Ok(more == 1)
    }

    async fn reconcile(&self) -> Result<(), Error> {
        if !Safety::Reconciler.is_on() {
            return Ok(());
        }
        let repairs = reconcile_beside_others(&self.queue, RECOUNT_SPACING).await?;
        if repairs.total() > 0 {
            self.metrics.repaired(&self.seat.queue, repairs.total());
            tracing::error!(queue = %self.seat.queue, ?repairs, "states that must not exist were repaired");
        }
        Ok(())
    }

    /// Returns what dead workers held, and how many of them there were.
    async fn reap(&self) -> Result<usize, Error> {
        if !Safety::Reaper.is_on() {
            return Ok(0);
        }
        let redis = self.client.redis();
        let mut due = redis::cmd("ZRANGEBYSCORE");
        due.arg(self.seat.keys.get(QueueKey::workers))
            .arg("-inf")
            .arg(redis.now_ms())
            .arg("LIMIT")
            .arg(0)
            .arg(100);
        let dead: Vec<String> = redis.command("ZRANGEBYSCORE", &due).await?;
        for worker in &dead {
            self.reap_worker(&WorkerId::of_token(worker)).await?;
        }
        Ok(dead.len())
    }

    async fn reap_worker(&self, worker: &WorkerId) -> Result<(), Error> {
        let redis = self.client.redis();
        let failure = FailureRecord {
            kind: FailureKind::Crashed,
            message: format!(
                "its worker died or lost its lease {} times while it ran; the last was {worker}",
                self.crash_limit
            ),
            chain: Vec::new(),
            attempt: 0,
            worker: worker.to_string(),
            at: redis.now_ms(),
        }
        .to_json();
        let (mut cursor, mut returned, mut buried) = (0_u64, 0, 0);
        loop {
            let mut scan = redis::cmd("HSCAN");
            scan.arg(self.seat.keys.get(QueueKey::leased)).arg(cursor).arg("COUNT").arg(SLICE);
            let (next, entries): (u64, Vec<(String, String)>) = redis.command("HSCAN", &scan).await?;
            cursor = next;
            let mut call = script::WORKER_REAP
                .on(&self.seat.keys)
                .arg("")
                .arg(worker.as_str())
                .number(self.crash_limit)
                .arg(&failure)
                .arg(if cursor == 0 { "1" } else { "" });
            for (id, token) in entries.iter().filter(|(_, token)| WorkerId::of_token(token) == *worker) {
                call.push(id);
                call.push(token);
            }
            let (_, code, back, dead): (u64, String, u64, u64) = redis.run(&call).await?;
            if code == "alive" {
                return Ok(());
            }
            returned += back;
            buried += dead;
            if cursor == 0 {
                break;
            }
        }
        if returned + buried > 0 {
            self.metrics.recovered(&self.seat.queue, returned + buried, buried);
            tracing::warn!(queue = %self.seat.queue, %worker, returned, dead = buried, "jobs of a worker that died were taken back");
        }
        Ok(())
    }
}

fn chance() -> f64 {
    (uuid::Uuid::new_v4().as_u128() % 1000) as f64 / 1000.0
}

fn reap_jitter() -> Duration {
    Duration::from_millis((uuid::Uuid::new_v4().as_u128() % REAP_JITTER_MS) as u64)
}
