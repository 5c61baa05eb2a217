//! The measurements, one after the other.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use ergate_client::{Client, EnqueueAll};
use ergate_shared::{Job, QueueName};
use ergate_worker::{State, Worker};
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};

use super::{Bench, QUEUES, show};
use crate::output::{self, BOLD, DIM};

/// Jobs enqueued by one call in bulk.
const BULK: u32 = 4_000;
/// Idle pick-ups measured; the 99th percentile of them is the second slowest.
const PICK_UPS: usize = 200;
/// Longer than this a job that does nothing has been lost.
const STUCK: Duration = Duration::from_secs(60);

/// Held by everything that may still write to the namespace.
type Alive = mpsc::Sender<Infallible>;

/// A job that does nothing.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Nothing {
    filling: String,
}

impl Job for Nothing {
    const NAME: &str = "bench.nothing";
}

/// What came of it; rates are per second.
#[derive(Debug, Serialize)]
pub(super) struct Measured {
    jobs: u32,
    enqueue_bulk: f64,
    enqueue_concurrent: f64,
    process: f64,
    pick_up_median_us: u128,
    pick_up_p99_us: u128,
    /// Redis' own time for the whole life of a job, enqueued in bulk; `None` if it does not tell.
    redis_us_per_job: Option<f64>,
}

impl Measured {
    pub(super) fn page(&self, bench: &Bench) -> String {
        let rate = |rate: f64| format!("{:>12} per second", output::grouped(rate.round() as u64));
        let time = |micros: u128| show(Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX)));
        let mut lines = vec![
            ("enqueue, in bulk", rate(self.enqueue_bulk), String::new()),
            ("enqueue, one by one", rate(self.enqueue_concurrent), format!("{} tasks at once", bench.tasks)),
            ("process", rate(self.process), format!("one worker, {} slots", bench.slots)),
            (
                "pick up when idle",
                format!("{:>12} median", time(self.pick_up_median_us)),
                format!("99 % within {}", time(self.pick_up_p99_us)),
            ),
        ];
        if let Some(micros) = self.redis_us_per_job {
            lines.push((
                "Redis' own time",
                format!("{micros:>9.1} µs per job"),
                "enqueued, leased and completed".to_owned(),
            ));
        }
        let lines = lines
            .into_iter()
            .map(|(what, figure, remark)| format!("{what:<20} {BOLD}{figure}{BOLD:#}  {DIM}{remark}{DIM:#}"));
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// Counts what the handler sees.
#[derive(Clone)]
struct Tally {
    done: Arc<AtomicU64>,
    starts: mpsc::UnboundedSender<Instant>,
}

async fn nothing(_: Nothing, State(tally): State<Tally>) -> ergate_worker::Result<()> {
    let now = Instant::now();
    tally.done.fetch_add(1, Ordering::Relaxed);
    // Nobody listens while only the count matters.
    let _ = tally.starts.send(now);
    Ok(())
}

/// Measures everything; `alive` is dropped once the last worker is gone.
pub(super) async fn all(bench: &Bench, client: &Client, alive: Alive) -> anyhow::Result<Measured> {
    let [load, pick_up] = QUEUES.map(|name| QueueName::new(name).expect("they are valid names"));
    let job = Nothing { filling: "x".repeat(bench.payload.saturating_sub(r#"{"filling":""}"#.len())) };
    let payload = serde_json::to_vec(&job)?;

    let enqueue_concurrent = one_by_one(bench, client, &load, &payload).await?;
    let queue = client.queue(load.as_str())?;
    queue.purge(ergate_shared::JobState::Ready, |_| {}).await?;

    let before = redis_seconds(client).await;
    let enqueue_bulk = in_bulk(bench, client, &load, &payload).await?;
    let process = process(bench, client, &load, alive.clone()).await?;
    let after = redis_seconds(client).await;

    let mut times = pick_ups(client, &pick_up, &payload, alive).await?;
    times.sort_unstable();
    Ok(Measured {
        jobs: bench.jobs,
        enqueue_bulk,
        enqueue_concurrent,
        process,
        pick_up_median_us: times[times.len() / 2].as_micros(),
        pick_up_p99_us: times[times.len() * 99 / 100].as_micros(),
        redis_us_per_job: before
            .zip(after)
            .map(|(before, after)| (after - before) * 1e6 / f64::from(bench.jobs)),
    })
}

fn per_second(jobs: u32, time: Duration) -> f64 {
    f64::from(jobs) / time.as_secs_f64()
}

async fn in_bulk(bench: &Bench, client: &Client, queue: &QueueName, payload: &[u8]) -> anyhow::Result<f64> {
    let bar = output::bar(bench.jobs.into(), "enqueueing in bulk  ");
    let started = Instant::now();
    let mut left = bench.jobs;
    while left > 0 {
        let count = left.min(BULK);
        let name = <Nothing as Job>::NAME;
        let job = || anyhow::Ok(client.enqueue_raw(queue.clone(), name.parse()?, payload));
        let jobs = (0..count).map(|_| job()).collect::<anyhow::Result<EnqueueAll>>()?;
        jobs.await?;
        left -= count;
        bar.inc(count.into());
    }
    let time = started.elapsed();
    bar.finish_and_clear();
    Ok(per_second(bench.jobs, time))
}

async fn one_by_one(
    bench: &Bench,
    client: &Client,
    queue: &QueueName,
    payload: &[u8],
) -> anyhow::Result<f64> {
    let bar = output::bar(bench.jobs.into(), "enqueueing one by one");
    let payload: Arc<[u8]> = payload.into();
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for task in 0..u32::from(bench.tasks) {
        let share =
            bench.jobs / u32::from(bench.tasks) + u32::from(task < bench.jobs % u32::from(bench.tasks));
        let (client, queue, payload, bar) =
            (client.clone(), queue.clone(), Arc::clone(&payload), bar.clone());
        tasks.spawn(async move {
            for _ in 0..share {
                client.enqueue_raw(queue.clone(), <Nothing as Job>::NAME.parse()?, &*payload).await?;
                bar.inc(1);
            }
            anyhow::Ok(())
        });
    }
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    let time = started.elapsed();
    bar.finish_and_clear();
    Ok(per_second(bench.jobs, time))
}

/// A worker in this process, until it is told to stop.
struct Running {
    done: Arc<AtomicU64>,
    starts: mpsc::UnboundedReceiver<Instant>,
    stop: oneshot::Sender<()>,
    ended: tokio::task::JoinHandle<Result<(), ergate_worker::Error>>,
}

fn worker(client: &Client, queue: &QueueName, slots: usize, alive: Alive) -> Running {
    let (starts_in, starts) = mpsc::unbounded_channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let done = Arc::<AtomicU64>::default();
    let tally = Tally { done: Arc::clone(&done), starts: starts_in };
    let worker = Worker::new(client.clone(), tally).queue(queue.as_str(), slots).job(nothing);
    let working = worker.run_until(async move {
        // Dropped is stopped too.
        let _ = stopped.await;
    });
    let ended = tokio::spawn(async move {
        let worked = working.await;
        drop(alive);
        worked
    });
    Running { done, starts, stop, ended }
}

impl Running {
    async fn end(self) -> anyhow::Result<()> {
        let _ = self.stop.send(());
        Ok(self.ended.await??)
    }
}

async fn process(bench: &Bench, client: &Client, queue: &QueueName, alive: Alive) -> anyhow::Result<f64> {
    let bar = output::bar(bench.jobs.into(), "processing           ");
    let started = Instant::now();
    let worker = worker(client, queue, bench.slots.into(), alive);
    let time = finished(&worker, bench.jobs.into(), started, &bar).await;
    bar.finish_and_clear();
    worker.end().await?;
    Ok(per_second(bench.jobs, time?))
}

/// Looks every millisecond: a wake-up at each job would be measured too.
async fn finished(
    worker: &Running,
    jobs: u64,
    started: Instant,
    bar: &ProgressBar,
) -> anyhow::Result<Duration> {
    let (mut last, mut moved) = (0, Instant::now());
    loop {
        let done = worker.done.load(Ordering::Relaxed);
        bar.set_position(done);
        if done >= jobs {
            return Ok(started.elapsed());
        }
        if done > last {
            (last, moved) = (done, Instant::now());
        }
        anyhow::ensure!(moved.elapsed() < STUCK, "the worker stopped at {done} of {jobs} jobs");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// From before the enqueue to the first line of the handler, with a worker that waits.
async fn pick_ups(
    client: &Client,
    queue: &QueueName,
    payload: &[u8],
    alive: Alive,
) -> anyhow::Result<Vec<Duration>> {
    let bar = output::bar(PICK_UPS as u64, "picking up when idle ");
    let mut worker = worker(client, queue, 1, alive);
    let mut times = Vec::with_capacity(PICK_UPS);
    // The first one waits for the worker to get ready.
    for number in 0..=PICK_UPS {
        let started = Instant::now();
        client.enqueue_raw(queue.clone(), <Nothing as Job>::NAME.parse()?, payload).await?;
        let start =
            tokio::time::timeout(STUCK, worker.starts.recv()).await.context("no job was picked up")?;
        if let Some(start) = start.filter(|_| number > 0) {
            times.push(start - started);
        }
        bar.inc(1);
        // Long enough for it to settle the job and wait again.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    bar.finish_and_clear();
    worker.end().await?;
    anyhow::ensure!(times.len() == PICK_UPS, "only {} of {PICK_UPS} jobs were picked up", times.len());
    Ok(times)
}

/// Redis' processor time so far; `None` if it does not tell, as in a cluster.
async fn redis_seconds(client: &Client) -> Option<f64> {
    let info: String = client.redis().command("INFO", redis::cmd("INFO").arg("cpu")).await.ok()?;
    let field = |name: &str| -> Option<f64> {
        info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.trim().parse().ok())
    };
    Some(field("used_cpu_sys")? + field("used_cpu_user")?)
}
