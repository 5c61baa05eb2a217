//! Heartbeats, on a thread and connection of their own, so that a handler that blocks the runtime costs no lease.
//!
//! One script call per queue each third of a lease, and one for the process, which however long the lease is must not drop off
//! the list of workers. When Redis does not answer, the thread tries again soon; when the lease can no longer be trusted by this
//! process' own clock, it says so before anybody else can take the jobs.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use ergate_client::{Client, Error, Redis, WorkerProcess};
use ergate_shared::{WorkerId, safety::Safety, script};
use tokio::sync::{Notify, watch};

use crate::{
    Metrics,
    cut_off::cut_off,
    identity::{Beat, Seat, Signal},
};

/// How soon a heartbeat that was not answered is tried again.
const AGAIN: Duration = Duration::from_millis(250);
/// How long a worker process that says nothing stays in the list.
const SILENCE: Duration = Duration::from_secs(60);
/// The longest between two times that it says something, and so until it hears an order.
const ANNOUNCED_EVERY: Duration = Duration::from_secs(5);

/// What the heartbeat thread is given.
pub(crate) struct Heart {
    pub(crate) client: Client,
    pub(crate) seats: Vec<Arc<Seat>>,
    pub(crate) lease: Duration,
    pub(crate) metrics: Metrics,
    /// Asks for a heartbeat at once.
    pub(crate) poke: Arc<Notify>,
    /// What operators want: told on.
    pub(crate) orders: watch::Sender<String>,
    /// What this process is, as it stands.
    pub(crate) about: WorkerProcess,
    pub(crate) phase: watch::Receiver<&'static str>,
}

/// Starts the thread; it ends when the returned handle is dropped.
pub(crate) fn start(heart: Heart) -> std::io::Result<Running> {
    let (stop, mut stopped) = watch::channel(false);
    let thread = std::thread::Builder::new().name("ergate-heartbeat".to_owned()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match runtime {
            Ok(runtime) => runtime.block_on(async {
                tokio::select! {
                    () = heart.run() => {}
                    _ = stopped.changed() => {}
                }
            }),
            // The worker hears of it, as nobody tells it orders any more, and stops.
            Err(error) => tracing::error!(%error, "heartbeats have no runtime"),
        }
    })?;
    Ok(Running { stop, thread: Some(thread) })
}

/// The running thread.
#[derive(Debug)]
pub(crate) struct Running {
    stop: watch::Sender<bool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Heart {
    async fn run(mut self) {
        // A connection that falls silent must be dropped well before a lease is over, or the process off the list.
        let redis = self.client.redis().separate((self.lease / 6).min(ANNOUNCED_EVERY));
        let period = self.lease / 3;
        let mut next_beat = Instant::now();
        loop {
            let started = Instant::now();
            let mut answered = true;
            if started >= next_beat {
                answered = self.watching(self.beat_all(&redis)).await;
                next_beat = if answered { started + period } else { Instant::now() + AGAIN };
            }
            if answered && let Err(error) = self.announce(&redis).await {
                tracing::debug!(%error, "the list of workers was not updated");
            }
            let next = if answered { next_beat.min(started + ANNOUNCED_EVERY) } else { next_beat };
            let pause = next.saturating_duration_since(Instant::now());
            let poked = self.watching(async {
                tokio::select! {
                    () = tokio::time::sleep(pause.max(Duration::from_millis(10))) => false,
                    () = self.poke.notified() => true,
                }
            });
            if poked.await {
                next_beat = Instant::now();
            }
        }
    }

    /// Side by side, so that a queue that cannot be reached does not cost the others their lease; true if all answered.
    async fn beat_all(&self, redis: &Redis) -> bool {
        let beats =
            self.seats.iter().filter_map(|seat| Some((seat, seat.worker()?))).map(async |(seat, worker)| {
                let beat = self.beat(redis, seat, &worker).await;
                if let Err(error) = &beat {
                    cut_off!(error, queue = %seat.queue, "heartbeat was not answered");
                }
                beat.is_ok()
            });
        futures_util::future::join_all(beats).await.into_iter().all(|answered| answered)
    }

    /// Does `work`, and says so as soon as a lease can no longer be trusted meanwhile.
    async fn watching<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            for seat in &self.seats {
                if let Some(worker) = seat.lease.overdue(Instant::now()) {
                    seat.give_up(&worker);
                }
            }
            let ends = self.seats.iter().filter_map(|seat| seat.lease.safe_until()).min();
            let look_again = ends.unwrap_or_else(|| Instant::now() + self.lease) + Duration::from_millis(1);
            tokio::select! {
                done = &mut work => return done,
                () = tokio::time::sleep_until(look_again.into()) => {}
            }
        }
    }

    async fn beat(&self, redis: &Redis, seat: &Seat, worker: &WorkerId) -> Result<(), Error> {
        let sent = Instant::now();
        let turns = seat.turns.load(Ordering::Acquire);
        let in_turn = seat.in_turn.load(Ordering::Acquire);
        let call = script::WORKER_HEARTBEAT
            .on(&seat.keys)
            .arg("")
            .arg(worker.as_str())
            .number(self.lease.as_millis() as i128);
        type Reply = (u64, String, u64, i64, u64, i64, u64, Vec<(String, String)>);
        let (now, code, held, next, backlog, first_expiry, told, cancelled): Reply = redis.run(&call).await?;
        redis.saw_time(now);
        if code == "lapsed" {
            if seat.lease.lapsed(worker) {
                tracing::error!(queue = %seat.queue, %worker, "lease has run out: its jobs are stopped");
                seat.tell(Signal::Lapsed(worker.clone()));
            }
            return Ok(());
        }
        seat.lease.extended(worker, sent, self.lease);
        if !seat.left.load(Ordering::Relaxed) {
            self.metrics.heartbeat_at(&seat.queue);
        }
        if told == 1 {
            seat.to_tell.notify_one();
        }
        let first_ends = match u64::try_from(first_expiry) {
            Ok(left) => Instant::now() + Duration::from_millis(left),
            Err(_) => Instant::now(),
        };
        seat.first_lease_ends(first_ends);
        seat.tell(Signal::Beat(Beat {
            worker: worker.clone(),
            held,
            turns: if in_turn { u64::MAX } else { turns },
            next_in: u64::try_from(next).ok().map(Duration::from_millis),
            backlog: backlog == 1,
            cancelled,
        }));
        Ok(())
    }

    async fn announce(&mut self, redis: &Redis) -> Result<(), Error> {
        self.about.phase = (*self.phase.borrow()).to_owned();
        for (about, seat) in self.about.queues.iter_mut().zip(&self.seats) {
            about.running = seat.running();
            about.worker = seat.worker().map(|worker| worker.to_string()).unwrap_or_default();
        }
        let about = serde_json::to_string(&self.about).expect("strings and numbers always serialise");
        let mut call = script::REGISTRY_ANNOUNCE
            .on_registry(self.client.registry_keys())
            .arg("")
            .arg(&self.about.id)
            .arg(about)
            .number(SILENCE.as_millis() as i128);
        for seat in &self.seats {
            call.push(seat.queue.as_str());
        }
        let (_, order, epoch): (u64, String, String) = redis.run(&call).await?;
        if epoch != self.client.server().epoch && Safety::EpochCheck.is_on() {
            // Everything enqueued before is gone, whoever emptied or replaced it; nothing here can bring it back.
            self.metrics.data_replaced();
            tracing::error!(expected = %self.client.server().epoch, found = %epoch, "redis holds another data set than when this process started");
        }
        if *self.orders.borrow() != order {
            let _ = self.orders.send(order);
        }
        Ok(())
    }
}
