//! The worker: its options, and the phases of its life.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, atomic::AtomicBool},
    time::{Duration, Instant},
};

use ergate_client::{Client, Limit, WorkerProcess};
use ergate_shared::{
    FunctionSpec, Job, QueueName, Schedule, ScheduleName,
    function::QUEUE_PREFIX,
    schedule::{Origin, ScheduleSpec},
};
use tokio::sync::{Notify, watch};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::{
    BlockingHandler, DeadLetter, Error, Function, Handler, Metrics, Middleware, courier, declare,
    heartbeat::{self, Heart},
    identity::{Seat, Signal},
    middleware::Layer,
    pool::Pool,
    queue_loop::{DeadHook, Parts, QueueLoop},
    route::{Route, Routes},
    router::Router,
    ticker::Ticker,
    upkeep::Upkeep,
    waiter::{self, Bed},
};

/// The shortest and longest lease.
pub(crate) const LEASES: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(3600);
/// The most slots of a queue in one process.
pub(crate) const MOST_SLOTS: usize = 100_000;

/// How soon limits that Redis could not take are set again.
const LIMITS_AGAIN: Duration = Duration::from_millis(500);

/// Performs jobs: queues with their slots, handlers, and options.
///
/// ```no_run
/// # use ergate_worker::{Worker, shutdown_signal, Result};
/// # use ergate_client::Client;
/// # use ergate_shared::Job;
/// # #[derive(serde::Serialize, serde::Deserialize)] struct SendWelcome;
/// # impl Job for SendWelcome { const NAME: &str = "send-welcome"; const QUEUE: &str = "mail"; }
/// # async fn send_welcome(_: SendWelcome) -> Result<()> { Ok(()) }
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::connect("redis://localhost").await?;
///
/// Worker::new(client, ())
///     .queue("mail", 20)
///     .job(send_welcome)
///     .run_until(shutdown_signal())
///     .await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a worker works while `run_until` is awaited"]
pub struct Worker<S = ()> {
    client: Client,
    state: Arc<S>,
    queues: Vec<(String, usize, u32)>,
    slots: Option<usize>,
    limits: Vec<(String, Limit)>,
    routes: HashMap<String, Route>,
    /// By queue: each function has its own.
    functions: HashMap<String, Route>,
    specs: Vec<FunctionSpec>,
    layers: Vec<Arc<dyn Layer>>,
    schedules: Vec<(ScheduleName, ScheduleSpec)>,
    problems: Vec<String>,
    lease: Duration,
    shutdown_deadline: Duration,
    crash_limit: u32,
    on_dead: Option<DeadHook>,
    metrics: Option<Metrics>,
    health: Health,
}

impl<S> fmt::Debug for Worker<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("queues", &self.queues)
            .field("jobs", &self.routes.keys())
            .finish_non_exhaustive()
    }
}

impl<S: Send + Sync + 'static> Worker<S> {
    /// A worker without queues or handlers; `state` is what handlers get as [`State`](crate::State), `()` for none.
    pub fn new(client: Client, state: S) -> Self {
        Self {
            client,
            state: Arc::new(state),
            queues: Vec::new(),
            slots: None,
            limits: Vec::new(),
            routes: HashMap::new(),
            functions: HashMap::new(),
            specs: Vec::new(),
            layers: Vec::new(),
            schedules: Vec::new(),
            problems: Vec::new(),
            lease: Duration::from_secs(15),
            shutdown_deadline: Duration::from_secs(25),
            crash_limit: 3,
            on_dead: None,
            metrics: None,
            health: Health::default(),
        }
    }

    /// Works on a queue, with this many jobs of it running at once.
    pub fn queue(self, name: &str, slots: usize) -> Self {
        self.weighted_queue(name, slots, 1)
    }

    /// Works on a queue that has a weight in the slots all queues share; see [`slots`](Self::slots).
    pub fn weighted_queue(mut self, name: &str, slots: usize, weight: u32) -> Self {
        if slots == 0 || slots > MOST_SLOTS {
            self.problems.push(format!("queue {name} has {slots} slots, 1 to {MOST_SLOTS} are allowed"));
        }
        if weight == 0 {
            self.problems.push(format!("queue {name} has weight 0 and would never get a slot"));
        }
        if self.queues.iter().any(|(known, ..)| known == name) {
            self.problems.push(format!("queue {name} is named twice"));
        }
        self.queues.push((name.to_owned(), slots, weight));
        self
    }

    /// Limits how many jobs run at once over all queues; default: as many as the queues' own slots add up to.
    ///
    /// A queue that is alone in having work uses all of them. When several have, each is sure of its share: the total
    /// times its weight over the sum of the weights, at least one.
    pub fn slots(mut self, total: usize) -> Self {
        if total == 0 {
            self.problems.push("0 slots in all would never run a job".to_owned());
        }
        self.slots = Some(total);
        self
    }

    /// Sets a limit per key of one of its queues when it starts, before any job is leased.
    ///
    /// Limits are the queue's: they hold for all its workers, the last one set counts, and one that is declared no more stays
    /// until it is cleared.
    pub fn limit(mut self, queue: &str, limit: Limit) -> Self {
        self.limits.push((queue.to_owned(), limit));
        self
    }

    /// Performs jobs of the handler's payload type.
    pub fn job<Args, H: Handler<Args, S>>(mut self, handler: H) -> Self {
        let route = Route::new(handler, &self.state);
        self.add(<H::Job as Job>::NAME, route);
        self
    }

    /// Performs jobs with a function that blocks its thread.
    pub fn blocking<Args, H: BlockingHandler<Args, S>>(mut self, handler: H) -> Self {
        let route = Route::blocking(handler, &self.state);
        self.add(<H::Job as Job>::NAME, route);
        self
    }

    fn add(&mut self, name: &'static str, route: Route) {
        if self.routes.insert(name.to_owned(), route).is_some() {
            self.problems.push(format!("job {name} has two handlers"));
        }
    }

    /// Runs a durable function. Its runs are jobs of a queue of its own, so that nothing else need be named.
    pub fn function(mut self, mut function: Function<S>) -> Self {
        if let Some(on_failure) = function.take_on_failure() {
            self = self.function(on_failure);
        }
        if function.problems().is_empty() {
            self = function.schedules().fold(self, Self::schedule);
        }
        self.problems.extend(function.problems());
        self.specs.extend(function.spec());
        let (name, slots) = (function.full_name(), function.slot_count());
        let queue = format!("{QUEUE_PREFIX}{name}");
        if self.functions.insert(queue.clone(), function.into_route(&self.state)).is_some() {
            self.problems.push(format!("function {name} is given twice"));
            return self;
        }
        self.queue(&queue, slots)
    }

    /// Declares a schedule: it is set when the worker starts, and kept as long as any worker declares it.
    ///
    /// What it starts goes to a queue like everything else; this worker need not work on it. When no worker has declared
    /// it for two minutes it is *retired*: it starts nothing, keeps its state, and goes on with it when it is
    /// declared again. One of the same name that was set by hand goes before it.
    ///
    /// ```
    /// # use ergate_worker::Worker;
    /// # use ergate_client::Client;
    /// # use ergate_shared::{Job, Schedule};
    /// # #[derive(serde::Serialize, serde::Deserialize)] struct Nightly;
    /// # impl Job for Nightly { const NAME: &str = "nightly"; }
    /// # fn example(client: Client) -> Worker {
    /// Worker::new(client, ())
    ///     .queue("default", 20)
    ///     .schedule(Schedule::cron("nightly", "0 3 * * *").zone("Europe/Berlin").job(Nightly))
    /// # }
    /// ```
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        match schedule.build(Origin::Code) {
            Ok((name, _)) if self.schedules.iter().any(|(known, _)| *known == name) => {
                self.problems.push(format!("schedule {name} is declared twice"));
            }
            Ok(built) => self.schedules.push(built),
            Err(error) => self.problems.push(error.to_string()),
        }
        self
    }

    /// Puts code around every attempt, at a job or a run; the first layer is the outermost.
    pub fn layer(mut self, middleware: impl Middleware) -> Self {
        self.layers.push(Arc::new(middleware));
        self
    }

    /// Sets how long Redis keeps jobs for this worker without a heartbeat; default 15 s, heartbeats each third of it.
    ///
    /// A worker that dies costs its jobs at most this plus two seconds.
    pub fn lease(mut self, lease: Duration) -> Self {
        if !LEASES.contains(&lease) {
            self.problems
                .push(format!("lease {} is not within 1s to 1h", ergate_shared::duration::show(lease)));
        }
        self.lease = lease;
        self
    }

    /// Sets how long running jobs may go on after the worker was told to stop; default 25 s. What still runs then is
    /// handed back and costs no attempt. Zero hands back at once.
    pub fn shutdown_deadline(mut self, deadline: Duration) -> Self {
        self.shutdown_deadline = deadline;
        self
    }

    /// Sets how many workers may die under a job before it is a dead letter; default 3.
    pub fn crash_limit(mut self, limit: u32) -> Self {
        if limit == 0 {
            self.problems.push("crash limit 0 would bury every job".to_owned());
        }
        self.crash_limit = limit;
        self
    }

    /// Is called with every job that becomes a dead letter on this worker: to raise an alert.
    pub fn on_dead(mut self, hook: impl Fn(DeadLetter) + Send + Sync + 'static) -> Self {
        self.on_dead = Some(Arc::new(hook));
        self
    }

    /// Counts into these metrics instead of ones of its own.
    pub fn metrics(mut self, metrics: Metrics) -> Self {
        self.metrics = Some(metrics);
        self
    }

    /// What readiness checks may ask while it runs.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

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
    /// deadline, tells the rest to end, hands them back, and leaves.
    ///
    /// # Errors
    /// [`Error::Setup`] with everything that is wrong with the options.
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
        tokio::select! {
            set = set_limits(&self.client, &self.limits) => set?,
            () = &mut stop => return Ok(()),
        }
        let declared = tokio::select! {
            declared = declare::declare(&self.client, &self.specs) => declared,
            () = &mut stop => return Ok(()),
        };
        let tracker = TaskTracker::new();
        let helpers = TaskTracker::new();
        let end = tokio_util::sync::CancellationToken::new();
        let (give_up, given_up) = watch::channel(false);
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
                    let order = if changed.is_ok() { ordered.borrow_and_update().clone() } else { String::new() };
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
                let _ = give_up.send(true);
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

/// Tries until Redis has taken all limits: a job that started without them could not be undone.
async fn set_limits(client: &Client, limits: &[(String, Limit)]) -> Result<(), Error> {
    for (queue, limit) in limits {
        let queue = client.queue(queue)?;
        while let Err(error) = queue.set_limit(limit).await {
            if !error.is_connection() {
                return Err(error.into());
            }
            tracing::warn!(queue = %queue.name(), %error, "limits are not set yet; trying again");
            tokio::time::sleep(LIMITS_AGAIN).await;
        }
    }
    Ok(())
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

/// What readiness checks may ask of a worker.
#[derive(Debug, Clone, Default)]
pub struct Health {
    seats: Arc<std::sync::Mutex<Option<Vec<Arc<Seat>>>>>,
}

impl Health {
    fn start(&self, seats: &[Arc<Seat>]) {
        *self.seats.lock().unwrap_or_else(PoisonError::into_inner) = Some(seats.to_vec());
    }

    fn stop(&self) {
        *self.seats.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The age of the last round trip that Redis answered, of the queue for which it is longest; `None` before the worker
    /// runs and once it is stopping.
    pub fn last_answer(&self) -> Option<Duration> {
        let seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        seats.as_ref()?.iter().map(|seat| now - seat.last_answer()).max()
    }
}
