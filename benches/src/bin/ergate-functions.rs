//! Durable functions of Ergate under load: client and worker in one process, which ends with the figures as a line of JSON.
//!
//! `benches/README.md` says what each figure is. Counters of Redis are read in here, between portions of the work, as only
//! this process knows when one is done.

use std::{
    collections::BTreeMap,
    future::pending,
    io::Write as _,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use clap::Parser;
use ergate::{EnqueueAll, Metrics, prelude::*};
use tokio::time::{Instant, sleep};

/// Runs that execute at once.
const SLOTS: usize = 100;
/// Runs handed over by one call.
const CHUNK: usize = 1000;
/// How often is looked whether something has come to pass.
const LOOK: Duration = Duration::from_millis(20);
/// Events of a portion, and portions: the medians of these are told.
const PORTION: usize = 100;
const PORTIONS: usize = 20;
/// Far enough away that nothing wakes during a measurement.
const LONG: Duration = Duration::from_hours(24 * 300);

#[derive(Debug, Parser)]
struct Program {
    #[arg(long)]
    redis: String,
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, clap::Subcommand)]
enum Task {
    /// Preloaded runs of some steps each that do nothing.
    Steps {
        #[arg(long)]
        runs: usize,
        #[arg(long)]
        steps: u32,
    },
    /// Puts runs to sleep.
    Sleep {
        #[arg(long)]
        runs: usize,
    },
    /// Runs that wake so many per second.
    Wake {
        #[arg(long)]
        runs: usize,
        #[arg(long)]
        per_second: u64,
    },
    /// An event each so many milliseconds, each of which starts a run.
    Start {
        #[arg(long)]
        events: usize,
        #[arg(long)]
        every_ms: u64,
    },
    /// Events that nobody waits for, while runs wait for others of their name.
    Wait {
        #[arg(long)]
        runs: usize,
    },
}

type Figures = BTreeMap<&'static str, f64>;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Program { redis, task } = Program::parse();
    let client = Client::connect(&redis).await?;
    let figures = match task {
        Task::Steps { runs, steps } => many_steps(&client, runs, steps).await?,
        Task::Sleep { runs } => put_to_sleep(&client, runs).await?,
        Task::Wake { runs, per_second } => wake(&client, runs, per_second).await?,
        Task::Start { events, every_ms } => start(&client, events, every_ms).await?,
        Task::Wait { runs } => wait(&client, runs).await?,
    };
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&figures)?)?;
    Ok(())
}

/// When bodies ran, and how late.
#[derive(Debug, Clone, Default)]
struct Seen {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    count: AtomicU64,
    first_us: AtomicU64,
    last_us: AtomicU64,
    late_ms: Mutex<Vec<f64>>,
}

impl Seen {
    fn body(&self) {
        let now = now_us();
        if self.inner.count.fetch_add(1, Ordering::Relaxed) == 0 {
            self.inner.first_us.store(now, Ordering::Relaxed);
        }
        self.inner.last_us.fetch_max(now, Ordering::Relaxed);
    }

    fn late(&self, due_us: u64) {
        let late = (now_us() as f64 - due_us as f64) / 1000.0;
        self.inner.late_ms.lock().unwrap_or_else(PoisonError::into_inner).push(late);
        self.inner.count.fetch_add(1, Ordering::Relaxed);
    }

    async fn until(&self, count: u64) {
        while self.inner.count.load(Ordering::Relaxed) < count {
            sleep(LOOK).await;
        }
    }

    fn late_ms(&self) -> Vec<f64> {
        self.inner.late_ms.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What every run of the benchmark is started with.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Load {
    number: u64,
    steps: u32,
    at_us: u64,
}

impl Event for Load {
    const NAME: &str = "bench/load";
}

#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    number: i64,
}

impl Event for Answer {
    const NAME: &str = "bench/answer";
}

async fn stepping(load: Load, step: Step, State(seen): State<Seen>) -> Result<()> {
    for number in 0..load.steps {
        let seen = seen.clone();
        let body = async move {
            seen.body();
            Ok::<_, Failure>(number)
        };
        step.run(format!("step {number}"), body).await?;
    }
    Ok(())
}

async fn sleeping(load: Load, step: Step, State(seen): State<Seen>) -> Result<()> {
    if load.at_us == 0 {
        step.sleep("nap", LONG).await;
        return Ok(());
    }
    let due = ergate::Timestamp::from_microsecond(load.at_us.cast_signed()).unwrap_or_default();
    step.sleep_until("nap", due).await;
    seen.late(load.at_us);
    Ok(())
}

async fn starting(load: Load, _: Step, State(seen): State<Seen>) -> Result<()> {
    seen.late(load.at_us);
    Ok(())
}

async fn waiting(load: Load, step: Step) -> Result<()> {
    step.wait_for::<Answer>("answer").on("number", load.number).await?;
    Ok(())
}

async fn many_steps(client: &Client, runs: usize, steps: u32) -> anyhow::Result<Figures> {
    invoke(client, "stepping", (0..runs).map(|number| load(number, steps, 0))).await?;
    let seen = Seen::default();
    let cpu = redis_cpu_us(client).await?;
    let worker = work(client, Function::new("stepping", stepping), &seen, &Metrics::new());
    let all = runs as u64 * u64::from(steps);
    seen.until(all).await;
    let cpu = redis_cpu_us(client).await? - cpu;
    worker.abort();
    let (first, last) = (&seen.inner.first_us, &seen.inner.last_us);
    let seconds = (last.load(Ordering::Relaxed) - first.load(Ordering::Relaxed)) as f64 / 1e6;
    Ok([("steps_per_s", all as f64 / seconds), ("redis_cpu_us_per_step", cpu / all as f64)].into())
}

async fn put_to_sleep(client: &Client, runs: usize) -> anyhow::Result<Figures> {
    let seen = Seen::default();
    let before = client.queue("fn/sleeping")?.stats().await?.scheduled;
    let worker = work(client, Function::new("sleeping", sleeping), &seen, &Metrics::new());
    let clock = Instant::now();
    invoke(client, "sleeping", (0..runs).map(|number| load(number, 0, 0))).await?;
    until_scheduled(client, "sleeping", before + runs as u64).await?;
    worker.abort();
    Ok([("suspended_per_s", runs as f64 / clock.elapsed().as_secs_f64())].into())
}

async fn wake(client: &Client, runs: usize, per_second: u64) -> anyhow::Result<Figures> {
    let seen = Seen::default();
    let before = client.queue("fn/sleeping")?.stats().await?.scheduled;
    let worker = work(client, Function::new("sleeping", sleeping), &seen, &Metrics::new());
    // All must be asleep before the first wakes; the slowest machine seen puts 2,000 to sleep in a second.
    let begin = now_us() + 3_000_000 + runs as u64 * 500;
    let due = |number: usize| begin + number as u64 * 1_000_000 / per_second;
    invoke(client, "sleeping", (0..runs).map(|number| load(number, 0, due(number)))).await?;
    until_scheduled(client, "sleeping", before + runs as u64).await?;
    anyhow::ensure!(now_us() < begin, "not all runs were asleep when the first was due");
    seen.until(runs as u64).await;
    worker.abort();
    percentiles(seen.late_ms(), ["resume_late_p50_ms", "resume_late_p99_ms"])
}

async fn start(client: &Client, events: usize, every_ms: u64) -> anyhow::Result<Figures> {
    const WARMUP: usize = 20;
    const ROUND_TRIPS: usize = 5;
    let seen = Seen::default();
    let worker = work(client, Function::new("starting", starting), &seen, &Metrics::new());
    until_declared(client, "starting").await?;
    let half = Duration::from_millis(every_ms) / 2;
    let mut round_trips_ms = Vec::new();
    for number in 0..WARMUP + events {
        client.send(load(number, 0, now_us())).await?;
        sleep(half).await;
        let clock = Instant::now();
        for _ in 0..ROUND_TRIPS {
            client.redis().command::<String>("PING", &redis::cmd("PING")).await?;
        }
        round_trips_ms.push(clock.elapsed().as_secs_f64() * 1e3);
        sleep(half).await;
    }
    seen.until((WARMUP + events) as u64).await;
    worker.abort();
    let mut figures =
        percentiles(seen.late_ms().split_off(WARMUP), ["event_start_p50_ms", "event_start_p99_ms"])?;
    figures.extend(percentiles(round_trips_ms, ["five_round_trips_p50_ms", "five_round_trips_p99_ms"])?);
    Ok(figures)
}

async fn wait(client: &Client, runs: usize) -> anyhow::Result<Figures> {
    let metrics = Metrics::new();
    let worker = work(client, Function::new("waiting", waiting), &Seen::default(), &metrics);
    invoke(client, "waiting", (0..runs).map(|number| load(number, 0, 0))).await?;
    until_scheduled(client, "waiting", runs as u64).await?;
    // The fields that waits are indexed by are heard of with the first events.
    portion(client, &metrics, 0).await?;
    let (mut cpu, mut time) = (Vec::new(), Vec::new());
    for place in 1..=PORTIONS {
        let (clock, before) = (Instant::now(), redis_cpu_us(client).await?);
        portion(client, &metrics, place).await?;
        time.push(clock.elapsed().as_secs_f64() * 1e6 / PORTION as f64);
        cpu.push((redis_cpu_us(client).await? - before) / PORTION as f64);
    }
    worker.abort();
    Ok([("cpu_us", percentile(cpu, 0.5)?), ("time_us", percentile(time, 0.5)?)].into())
}

/// Sends events that no run waits for, and returns once they are routed.
async fn portion(client: &Client, metrics: &Metrics, place: usize) -> anyhow::Result<()> {
    client.send_all((0..PORTION).map(|_| Answer { number: -1 })).await?;
    let all = ((place + 1) * PORTION) as u64;
    while routed(metrics)? < all {
        sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

fn routed(metrics: &Metrics) -> anyhow::Result<u64> {
    let text = metrics.render()?;
    let line = text.lines().find(|line| line.starts_with("ergate_events_routed_total"));
    Ok(line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).unwrap_or(0.0) as u64)
}

fn load(number: usize, steps: u32, at_us: u64) -> Load {
    Load { number: number as u64, steps, at_us }
}

fn work(
    client: &Client,
    function: Function<Seen>,
    seen: &Seen,
    metrics: &Metrics,
) -> tokio::task::JoinHandle<()> {
    let worker =
        Worker::new(client.clone(), seen.clone()).metrics(metrics.clone()).function(function.slots(SLOTS));
    tokio::spawn(async move {
        if let Err(error) = worker.run_until(pending()).await {
            eprintln!("the worker ended: {error}");
        }
    })
}

async fn invoke(client: &Client, function: &str, loads: impl Iterator<Item = Load>) -> anyhow::Result<()> {
    let mut loads = loads.peekable();
    while loads.peek().is_some() {
        let some: EnqueueAll =
            loads.by_ref().take(CHUNK).map(|load| client.invoke(function, &load)).collect();
        some.await?;
    }
    Ok(())
}

async fn until_scheduled(client: &Client, function: &str, count: u64) -> anyhow::Result<()> {
    let queue = client.queue(&format!("fn/{function}"))?;
    loop {
        let stats = queue.stats().await?;
        if stats.scheduled >= count && stats.ready + stats.leased == 0 {
            return Ok(());
        }
        sleep(LOOK).await;
    }
}

async fn until_declared(client: &Client, function: &str) -> anyhow::Result<()> {
    while !client.functions().await?.keys().any(|name| name.as_str() == function) {
        sleep(LOOK).await;
    }
    Ok(())
}

/// User and system time of the server, in microseconds.
async fn redis_cpu_us(client: &Client) -> anyhow::Result<f64> {
    let mut info = redis::cmd("INFO");
    info.arg("cpu");
    let text: String = client.redis().command("INFO", &info).await?;
    let seconds = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.strip_prefix(':')?.trim_end().parse::<f64>().ok()
    };
    let user = seconds("used_cpu_user").context("redis does not tell its CPU time")?;
    Ok((user + seconds("used_cpu_sys").unwrap_or(0.0)) * 1e6)
}

fn percentiles(values: Vec<f64>, names: [&'static str; 2]) -> anyhow::Result<Figures> {
    let [median, last] = names;
    Ok([(median, percentile(values.clone(), 0.5)?), (last, percentile(values, 0.99)?)].into())
}

fn percentile(mut values: Vec<f64>, part: f64) -> anyhow::Result<f64> {
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1).context("nothing was measured")?;
    Ok(values[(part * last as f64).round() as usize])
}

/// By the machine's clock, which the server shares.
#[allow(clippy::disallowed_methods, reason = "times are compared within one machine")]
fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}
