//! The worker: what it is made of, and its options.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use ergate_client::{Client, Limit};
use ergate_shared::{
    FunctionSpec, Job, Schedule, ScheduleName,
    function::QUEUE_PREFIX,
    schedule::{Origin, ScheduleSpec},
};

use crate::{
    BlockingHandler, DeadLetter, Function, Handler, Metrics, Middleware, middleware::Layer,
    queue_loop::DeadHook, route::Route,
};

mod health;
mod life;

pub use health::Health;

/// The shortest and longest lease.
pub(crate) const LEASES: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(3600);
/// The most slots of a queue in one process.
pub(crate) const MOST_SLOTS: usize = 100_000;

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

    /// Works on a queue, with this many jobs of it running at once in this process: 1 to 100,000.
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
    /// declared again. One of the same name that was set by hand takes precedence over it.
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
            Ok((name, spec)) => match self.client.check_schedule(&name, &spec) {
                Ok(()) => self.schedules.push((name, spec)),
                Err(error) => self.problems.push(error.to_string()),
            },
            Err(error) => self.problems.push(error.to_string()),
        }
        self
    }

    /// Puts code around every attempt, at a job or a run; the first layer is the outermost.
    pub fn layer(mut self, middleware: impl Middleware) -> Self {
        self.layers.push(Arc::new(middleware));
        self
    }

    /// Sets how long Redis keeps jobs for this worker without a heartbeat: 1 s to 1 h, default 15 s. Heartbeats are sent each
    /// third of it.
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

    /// Sets how many workers a job may take along before it is a dead letter; default 3: the third is the last.
    ///
    /// What counts is the limit of the worker that finds the dead one, so give all workers of a queue the same.
    pub fn crash_limit(mut self, limit: u32) -> Self {
        if limit == 0 {
            self.problems.push("crash limit 0 would bury every job".to_owned());
        }
        self.crash_limit = limit;
        self
    }

    /// Is called with every job that becomes a dead letter on this worker: to raise an alert.
    ///
    /// Jobs that are dead because of crashes, or because they expired, do not come here: watch
    /// [`QueueStats::dead`](ergate_client::QueueStats) for them. The hook is called between two calls to Redis, and the queue
    /// stands still meanwhile, so it must not block: hand the letter to a task or a channel. A panic in it is logged.
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
}
