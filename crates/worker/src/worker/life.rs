//! The phases of a worker's life: checked, started, told to stop, over.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use ergate_client::{Client, WorkerProcess};
use ergate_shared::{QueueName, function::QUEUE_PREFIX};
use tokio::sync::{Notify, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use super::Worker;
use crate::{
    Error, courier, declare,
    heartbeat::{self, Heart},
    identity::{Seat, Signal},
    limits,
    pool::Pool,
    queue_loop::{Parts, QueueLoop},
    route::Routes,
    router::Router,
    ticker::Ticker,
    upkeep::Upkeep,
    waiter::{self, Bed},
};

impl<S: Send + Sync + 'static> Worker<S> {
    fn check(&mut self) -> Result<Vec<QueueName>, Error> {
        let mut problems = std::mem::take(&mut self.problems);
        if self.queues.is_empty() {
            problems.push("it has no queue; add one with .queue(name, slots), or a function".to_owned());
        }
        let mut names = Vec::new();
        for (name, ..) in &self.queues {
            match name.parse::<QueueName>() {
                Ok(name) => names.push(name),
                Err(error) => problems.push(error.to_string()),
            }
        }
        for (queue, limit) in &self.limits {
            if !self.queues.iter().any(|(known, ..)| known == queue) {
                problems.push(format!(
                    "limit per {} is for queue {queue}, which it does not work on",
                    limit.name()
                ));
            }
            if let Err(error) = limit.check() {
                problems.push(error.to_string());
            }
        }
        for name in self.routes.keys() {
            if let Err(error) = ergate_shared::JobName::new(name.clone()) {
                problems.push(error.to_string());
            }
        }
        if problems.is_empty() { Ok(names) } else { Err(Error::Setup(problems)) }
    }

    /// Works until `stop` resolves, then stops in order: leases no more, lets handlers finish until the shutdown
    /// deadline, tells the rest to end, hands them back, and leaves. Dropped before that it ends at once, as if it had been killed:
    /// handlers are dropped, and others take their jobs over when the lease runs out.
    ///
    /// While Redis cannot be reached it waits, however long, also at the start.
    ///
    /// # Errors
    /// [`Error::Setup`] with everything that is wrong with the options. [`Error::Client`] if Redis refuses a
    /// [limit](Self::limit), as it does where the user lacks the rights. [`Error::Thread`] if the thread for heartbeats cannot
    /// be started.
    pub async fn run_until(mut self, stop: impl Future<Output = ()>) -> Result<(), Error> {
        let names = self.check()?;
        for route in self.routes.values_mut().chain(self.functions.values_mut()) {
            route.wrap(&self.layers);
        }
        let routes: Arc<Routes> = Arc::new(
            std::mem::take(&mut self.routes)
                .into_iter()
                .map(|(name, route)| (name, Arc::new(route)))
                .collect(),
        );
        let metrics = self.metrics.take().unwrap_or_default();
        metrics.watch(&self.client);

        let mut stop = std::pin::pin!(stop);
        let limited = tokio::select! {
            limited = limits::set(&self.client, &self.limits) => limited?,
            () = &mut stop => return Ok(()),
        };
        let declared = tokio::select! {
            declared = declare::declare(&self.client, &self.specs) => declared,
            () = &mut stop => return Ok(()),
        };
        let tracker = TaskTracker::new();
        let helpers = TaskTracker::new();
        let end = CancellationToken::new();
        let (give_up, given_up) = watch::channel(false);
        let abandoned = Abandoned { give_up, end: end.clone() };
        let poke = Arc::new(Notify::new());
        let (mut seats, mut all_signals, mut beds) = (Vec::new(), Vec::new(), Vec::new());
        for (name, (_, slots, _)) in names.iter().zip(&self.queues) {
            let (seat, signals) = Seat::new(name.clone(), self.client.keys(name), *slots);
            seats.push(seat);
            all_signals.push(signals);
        }
        let mut functions: HashMap<String, Arc<Routes>> = std::mem::take(&mut self.functions)
            .into_iter()
            .map(|(queue, route)| {
                let name = queue[QUEUE_PREFIX.len()..].split('@').next().unwrap_or_default().to_owned();
                (queue, Arc::new(Routes::from([(name, Arc::new(route))])))
            })
            .collect();
        let audience = Arc::new(AtomicBool::new(false));
        let weights: Vec<u32> = self.queues.iter().map(|(.., weight)| *weight).collect();
        let pool = self.slots.map(|total| Arc::new(Pool::new(total, seats.clone(), &weights)));
        for (place, (seat, signals)) in seats.iter().zip(all_signals).enumerate() {
            let (name, slots) = (&seat.queue, seat.slots);
            let bed = Bed::new(Arc::clone(seat));
            metrics.slots(name, slots);
            tracker.spawn(
                QueueLoop::new(Parts {
                    client: self.client.clone(),
                    seat: Arc::clone(seat),
                    pool: pool.clone().map(|pool| (pool, place)),
                    bed: Arc::clone(&bed),
                    routes: functions.remove(name.as_str()).unwrap_or_else(|| Arc::clone(&routes)),
                    lease: self.lease,
                    metrics: metrics.clone(),
                    on_dead: self.on_dead.clone(),
                    audience: name.as_str().starts_with(QUEUE_PREFIX).then(|| Arc::clone(&audience)),
                    signals,
                    give_up: given_up.clone(),
                })
                .run(),
            );
            let upkeep = Upkeep {
                client: self.client.clone(),
                queue: self.client.queue(name.as_str())?,
                seat: Arc::clone(seat),
                crash_limit: self.crash_limit,
                metrics: metrics.clone(),
            };
            helpers.spawn(end.clone().run_until_cancelled_owned(upkeep.run()));
            let courier = courier::run(self.client.clone(), Arc::clone(seat));
            helpers.spawn(end.clone().run_until_cancelled_owned(courier));
            beds.push(bed);
        }
        let groups: Vec<Vec<Arc<Bed>>> = if self.client.redis().is_cluster() {
            beds.into_iter().map(|bed| vec![bed]).collect()
        } else {
            vec![beds]
        };
        let poke_ticker = Arc::new(Notify::new());
        for beds in groups {
            let waiting = waiter::run(self.client.clone(), beds, Arc::clone(&poke), Arc::clone(&poke_ticker));
            helpers.spawn(end.clone().run_until_cancelled_owned(waiting));
        }
        let ticker = Ticker::new(
            self.client.clone(),
            std::mem::take(&mut self.schedules),
            self.lease,
            metrics.clone(),
            poke_ticker,
        );
        helpers.spawn(end.clone().run_until_cancelled_owned(ticker.run()));
        if !self.limits.is_empty() {
            let limits = limits::keep(self.client.clone(), std::mem::take(&mut self.limits), limited);
            helpers.spawn(end.clone().run_until_cancelled_owned(limits));
        }
        if !self.specs.is_empty() {
            let (client, specs) = (self.client.clone(), std::mem::take(&mut self.specs));
            helpers.spawn(
                end.clone().run_until_cancelled_owned(declare::keep_declared(client, specs, declared)),
            );
            let listening = courier::look_for_audience(self.client.clone(), audience);
            helpers.spawn(end.clone().run_until_cancelled_owned(listening));
            let router = Router::new(self.client.clone()).metrics(metrics.clone());
            helpers.spawn(router.run_until(end.clone().cancelled_owned()));
        }
        let (orders, mut ordered) = watch::channel(String::new());
        let (phase, phases) = watch::channel("running");
        self.health.start(&seats);
        let about = describe(&self.client, &seats);
        let process = about.id.clone();
        let heart = heartbeat::start(Heart {
            client: self.client.clone(),
            about,
            seats: seats.clone(),
            lease: self.lease,
            metrics: metrics.clone(),
            poke: Arc::clone(&poke),
            orders,
            phase: phases,
        })
        .map_err(Error::Thread)?;

        let tell = |signal: fn() -> Signal| seats.iter().for_each(|seat| seat.tell(signal()));
        loop {
            tokio::select! {
                () = &mut stop => break,
                changed = ordered.changed() => {
                    if changed.is_err() {
                        tracing::error!("there are no heartbeats any more, so no lease is kept: the worker stops");
                        break;
                    }
                    let order = ordered.borrow_and_update().clone();
                    match order.as_str() {
                        "quiet" => {
                            tracing::info!("told to go quiet: no more jobs are leased");
                            let _ = phase.send("quiet");
                            // The loops end once they have nothing to do; the process stays until it is stopped.
                            tell(|| Signal::Quiet);
                        }
                        "stop" => break,
                        _ => {}
                    }
                }
            }
        }
        tracing::info!(deadline = ?self.shutdown_deadline, "stopping: no more jobs are leased");
        let _ = phase.send("stopping");
        self.health.stop();
        tell(|| Signal::Quiet);
        tracker.close();
        if tokio::time::timeout(self.shutdown_deadline, tracker.wait()).await.is_err() {
            let running: usize = seats.iter().map(|seat| seat.running()).sum();
            tracing::warn!(running, "deadline is over: what still runs is handed back");
            tell(|| Signal::Interrupt);
            if tokio::time::timeout(self.lease.max(Duration::from_secs(5)), tracker.wait()).await.is_err() {
                let _ = abandoned.give_up.send(true);
                tracker.wait().await;
            }
        }
        end.cancel();
        helpers.close();
        helpers.wait().await;
        drop(heart);
        forget_process(&self.client, &process).await;
        Ok(())
    }
}

/// What a worker has going on ends with this, however the worker itself ends: nobody would extend the lease of what it takes.
struct Abandoned {
    give_up: watch::Sender<bool>,
    end: CancellationToken,
}

impl Drop for Abandoned {
    fn drop(&mut self) {
        let _ = self.give_up.send(true);
        self.end.cancel();
    }
}

/// Takes the process out of the list of workers, so that one that ended in order is not taken for one that fell silent.
async fn forget_process(client: &Client, process: &str) {
    let keys = client.registry_keys();
    let mut forget = redis::pipe();
    forget.zrem(&keys.seen, process).ignore();
    forget.hdel(&keys.about, process).ignore();
    forget.hdel(&keys.orders, process).ignore();
    if let Err(error) = client.redis().pipeline::<()>("the list of workers", &forget).await {
        tracing::debug!(%error, "the list of workers was not updated");
    }
}

fn describe(client: &Client, seats: &[Arc<Seat>]) -> WorkerProcess {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .map(|host| host.trim().to_owned())
        .unwrap_or_default();
    let queues = seats
        .iter()
        .map(|seat| ergate_client::QueueSlots {
            queue: seat.queue.clone(),
            slots: seat.slots,
            running: 0,
            worker: String::new(),
        })
        .collect();
    WorkerProcess::new(Uuid::now_v7().simple().to_string(), host, queues, client.redis().now_ms())
}
