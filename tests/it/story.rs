//! Fluent helpers: a server, a client, and workers whose handlers leave a trace.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ergate::{DeadLetter, Health, Metrics, prelude::*};
use ergate_chaos::audit::audit;
use tokio::{sync::oneshot, task::JoinHandle};

use crate::support::{RedisServer, until};

pub(crate) mod by_hand;
pub(crate) mod plan;
pub(crate) mod routing;

/// The queue all stories are about.
pub(crate) const QUEUE: &str = "story";

/// A job that does what it says, and is remembered by its number.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Act {
    pub(crate) number: u64,
    pub(crate) does: Does,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Does {
    Succeed,
    /// Fails this many times, then succeeds.
    Fail(u32),
    FailForGood,
    Panic,
    /// Runs until its gate is opened.
    Wait,
    /// Runs until it is told to end.
    Listen,
    Snooze(Duration),
    CancelItself,
}

impl Job for Act {
    const NAME: &str = "act";
    const QUEUE: &str = QUEUE;

    fn backoff() -> Backoff {
        Backoff::fixed(Duration::from_millis(5))
    }
}

pub(crate) fn act(number: u64, does: Does) -> Act {
    Act { number, does }
}

/// What handlers did, in order, and the gates they wait at.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trace {
    inner: Arc<Mutex<Inner>>,
    changed: Arc<tokio::sync::Notify>,
}

#[derive(Debug, Default)]
struct Inner {
    started: Vec<u64>,
    told: Vec<u64>,
    finished: Vec<u64>,
    dead: Vec<DeadLetter>,
    open: Vec<u64>,
    attempts: HashMap<u64, Vec<u32>>,
}

impl Trace {
    fn with<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let result = change(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_waiters();
        result
    }

    pub(crate) fn started(&self) -> Vec<u64> {
        self.with(|trace| trace.started.clone())
    }

    pub(crate) fn finished(&self) -> Vec<u64> {
        self.with(|trace| trace.finished.clone())
    }

    pub(crate) fn told(&self) -> Vec<u64> {
        self.with(|trace| trace.told.clone())
    }

    pub(crate) fn dead(&self) -> Vec<DeadLetter> {
        self.with(|trace| trace.dead.clone())
    }

    pub(crate) fn attempts(&self, number: u64) -> Vec<u32> {
        self.with(|trace| trace.attempts.get(&number).cloned().unwrap_or_default())
    }

    /// Lets the job of this number go on.
    pub(crate) fn open(&self, number: u64) {
        self.with(|trace| trace.open.push(number));
    }

    /// Notes that this number has begun, and waits until it is let go on.
    pub(crate) async fn pass(&self, number: u64) {
        self.with(|trace| trace.started.push(number));
        self.gate(number).await;
    }

    async fn gate(&self, number: u64) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.with_quiet(|trace| trace.open.contains(&number)) {
                return;
            }
            changed.await;
        }
    }

    fn with_quiet<T>(&self, look: impl FnOnce(&Inner) -> T) -> T {
        look(&self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn perform(
    job: Act,
    State(trace): State<Trace>,
    attempt: Attempt,
    cancelled: Cancelled,
) -> Result<u64> {
    trace.with(|trace| {
        trace.started.push(job.number);
        trace.attempts.entry(job.number).or_default().push(attempt.number);
    });
    match job.does {
        Does::Succeed => {}
        Does::Fail(times) if attempt.number <= times => {
            return Err(Failure::retry(format!("failure {} of {times}", attempt.number)));
        }
        Does::Fail(_) => {}
        Does::FailForGood => return Err(Failure::fatal("no use trying again")),
        Does::Panic => panic!("job {} panics", job.number),
        Does::Wait => trace.gate(job.number).await,
        Does::Listen => {
            cancelled.wait().await;
            trace.with(|trace| trace.told.push(job.number));
            return Err(Failure::retry("told to end"));
        }
        Does::Snooze(time) if attempt.tries.snoozes == 0 => return Err(Failure::snooze(time)),
        Does::Snooze(_) => {}
        Does::CancelItself => return Err(Failure::cancel("not needed any more")),
    }
    trace.with(|trace| trace.finished.push(job.number));
    Ok(job.number)
}

/// A server, a client on it, and what the workers did.
#[derive(Debug)]
pub(crate) struct Story {
    pub(crate) redis: RedisServer,
    pub(crate) client: Client,
    pub(crate) trace: Trace,
}

impl Story {
    /// On a server of its own; or, when this program was started to, in a namespace of its own on a given one.
    pub(crate) async fn begin() -> Self {
        match std::env::var("ERGATE_TEST_URL") {
            Ok(url) => Self::at(&url).await,
            Err(_) => Self::on(RedisServer::start().await).await,
        }
    }

    /// In a namespace of its own on a server given by its address; `redis` is another server then.
    pub(crate) async fn at(url: &str) -> Self {
        let namespace =
            format!("ergate:{}", uuid::Uuid::new_v4().simple()).parse().expect("the name is valid");
        let client =
            Client::builder().namespace(namespace).connect(url).await.expect("the server takes clients");
        Self { redis: RedisServer::start().await, client, trace: Trace::default() }
    }

    pub(crate) async fn on(redis: RedisServer) -> Self {
        let client = Client::connect(&redis.url()).await.expect("the server takes clients");
        Self { redis, client, trace: Trace::default() }
    }

    pub(crate) fn queue(&self) -> ergate::Queue {
        self.client.queue(QUEUE).expect("the name is valid")
    }

    pub(crate) fn job(&self, id: &JobId) -> ergate::JobHandle {
        self.client.job(QUEUE, id.as_str()).expect("the id is valid")
    }

    /// Enqueues and returns the id.
    pub(crate) async fn enqueue(&self, number: u64, does: Does) -> JobId {
        self.client.enqueue(act(number, does)).await.expect("redis takes the job").id
    }

    /// A worker with the story's handler, on the story's client.
    pub(crate) fn worker(&self, slots: usize) -> RunningWorker {
        self.worker_with(&self.client, slots, |worker| worker)
    }

    pub(crate) fn worker_with(
        &self,
        client: &Client,
        slots: usize,
        options: impl FnOnce(Worker<Trace>) -> Worker<Trace>,
    ) -> RunningWorker {
        let trace = self.trace.clone();
        let metrics = Metrics::new();
        let worker = Worker::new(client.clone(), self.trace.clone())
            .queue(QUEUE, slots)
            .job(perform)
            .metrics(metrics.clone())
            .on_dead(move |dead| trace.with(|trace| trace.dead.push(dead)));
        RunningWorker::start(options(worker), metrics)
    }

    pub(crate) async fn state(&self, id: &JobId) -> Option<JobState> {
        match self.client.job(QUEUE, id.as_str()).expect("the id is valid").status().await {
            Ok(state) => Some(state),
            Err(error) if error.is_not_found() => None,
            Err(error) => panic!("the job's state cannot be read: {error}"),
        }
    }

    pub(crate) async fn until_state(&self, id: &JobId, state: JobState) {
        until(&format!("job {id} is {state}"), async || self.state(id).await == Some(state)).await;
    }

    pub(crate) async fn until_started(&self, number: u64) {
        until(&format!("job {number} has started"), async || self.trace.started().contains(&number)).await;
    }

    pub(crate) async fn until_finished(&self, count: usize) {
        until(&format!("{count} jobs have finished"), async || self.trace.finished().len() >= count).await;
    }

    /// Everything the queue must be when nothing is under way: all adds up, nothing was repaired, and no key of the namespace says
    /// what another denies.
    pub(crate) async fn all_adds_up(&self) {
        self.all_adds_up_but(&[]).await;
    }

    /// The same, but for findings that name what the test damaged on purpose.
    pub(crate) async fn all_adds_up_but(&self, damaged: &[&str]) {
        let stats = self.queue().stats().await.expect("redis answers");
        assert!(stats.adds_up(), "{stats:?}");
        let repairs = ergate::reconcile(&self.queue()).await.expect("redis answers");
        assert_eq!(repairs.total(), 0, "{repairs:?}");
        let mut findings = audit(&self.client).await.expect("redis answers");
        findings.retain(|finding| !damaged.iter().any(|damaged| finding.0.contains(damaged)));
        assert!(findings.is_empty(), "{findings:#?}");
    }
}

/// A worker that runs in this process until it is stopped or dropped.
pub(crate) struct RunningWorker {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), ergate::WorkerError>>,
    pub(crate) metrics: Metrics,
    pub(crate) health: Health,
}

impl RunningWorker {
    pub(crate) fn start<S: Send + Sync + 'static>(worker: Worker<S>, metrics: Metrics) -> Self {
        let (stop, stopped) = oneshot::channel();
        let health = worker.health();
        let task = tokio::spawn(worker.run_until(async {
            let _ = stopped.await;
        }));
        Self { stop: Some(stop), task, metrics, health }
    }

    /// Stops in order and waits for the end.
    pub(crate) async fn stop(mut self) {
        self.stop.take();
        (&mut self.task).await.expect("the worker does not panic").expect("the worker was set up well");
    }

    /// Tells it to stop and goes on.
    pub(crate) fn begin_to_stop(&mut self) {
        self.stop.take();
    }

    /// Whether it has ended by itself.
    pub(crate) fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    /// The sum of a counter over all its labels.
    pub(crate) fn count(&self, name: &str) -> u64 {
        self.metrics
            .render()
            .expect("metrics are text")
            .lines()
            .filter(|line| line.starts_with(name))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum::<f64>() as u64
    }
}
