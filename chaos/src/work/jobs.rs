//! The jobs: some plain, some that fail as often as their id says, some limited by keys, one of a kind, and three bad ones.

use ergate::{Context, prelude::*};

use super::Desk;

/// The queue of all jobs but ticks.
pub const QUEUE: &str = "jobs";
/// The queue of what the schedule starts.
pub const TICKS: &str = "ticks";
/// How often the schedule starts a job.
pub const TICK: Duration = Duration::from_millis(500);
/// The name of the schedule.
pub const SCHEDULE: &str = "tick";

/// A job that takes a while.
#[derive(Debug, Serialize, Deserialize)]
pub struct Plain {
    /// How long its handler takes.
    pub runs_ms: u64,
}

/// A job that fails as often as its id says.
#[derive(Debug, Serialize, Deserialize)]
pub struct Flaky {
    /// How long each attempt takes.
    pub runs_ms: u64,
}

/// A job that shares a limit with others of its key.
#[derive(Debug, Serialize, Deserialize)]
pub struct Keyed {
    /// How long its handler takes.
    pub runs_ms: u64,
    /// Which limit, one of [`LIMITS`](super::LIMITS).
    pub limit: String,
    /// The value of the key.
    pub value: String,
}

/// A job of which there is one at a time for each value; enqueued with a unique key.
#[derive(Debug, Serialize, Deserialize)]
pub struct Only {
    /// How long its handler takes.
    pub runs_ms: u64,
    /// The unique key.
    pub value: String,
}

/// A job that does what handlers must not do.
#[derive(Debug, Serialize, Deserialize)]
pub struct Bad {
    /// What.
    pub sin: Sin,
}

/// What a handler must not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sin {
    /// Blocks the thread it runs on for so many ms.
    Block(u64),
    /// Panics at its first two attempts.
    Panic,
    /// Takes memory until there is none left, unless that has killed so many workers.
    Hog(u32),
}

/// What the schedule starts.
#[derive(Debug, Serialize, Deserialize)]
pub struct Tick;

impl Job for Plain {
    const NAME: &str = "plain";
    const QUEUE: &str = QUEUE;
}

impl Job for Flaky {
    const NAME: &str = "flaky";
    const QUEUE: &str = QUEUE;

    fn backoff() -> Backoff {
        Backoff::fixed(Duration::from_millis(20))
    }
}

impl Job for Keyed {
    const NAME: &str = "keyed";
    const QUEUE: &str = QUEUE;
}

impl Job for Only {
    const NAME: &str = "only";
    const QUEUE: &str = QUEUE;
}

impl Job for Bad {
    const NAME: &str = "bad";
    const QUEUE: &str = QUEUE;

    fn backoff() -> Backoff {
        Backoff::fixed(Duration::from_millis(20))
    }
}

impl Job for Tick {
    const NAME: &str = "tick";
    const QUEUE: &str = TICKS;
}

/// How often the flaky job of this id fails before it succeeds: never, once or twice.
pub fn failures_of(id: &str) -> u32 {
    id.bytes().fold(7_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte))) % 3
}

/// Adds the handlers of all jobs.
pub fn perform(worker: Worker<Desk>) -> Worker<Desk> {
    worker.job(plain).job(flaky).job(keyed).job(only).job(bad).job(tick)
}

async fn plain(job: Plain, State(desk): State<Desk>, attempt: Context) -> Result<String> {
    let call = desk.begin("plain", &attempt, None)?;
    pause(job.runs_ms).await;
    Ok(call.end())
}

async fn flaky(job: Flaky, State(desk): State<Desk>, attempt: Context) -> Result<String> {
    let call = desk.begin("flaky", &attempt, None)?;
    pause(job.runs_ms).await;
    let name = call.end();
    if attempt.tries().failures < failures_of(attempt.id().as_str()) {
        return Err(Failure::retry("this attempt was to fail"));
    }
    Ok(name)
}

async fn keyed(job: Keyed, State(desk): State<Desk>, attempt: Context) -> Result<String> {
    let call = desk.begin("keyed", &attempt, Some(format!("{}={}", job.limit, job.value)))?;
    pause(job.runs_ms).await;
    Ok(call.end())
}

async fn only(job: Only, State(desk): State<Desk>, attempt: Context) -> Result<String> {
    let call = desk.begin("only", &attempt, Some(format!("only={}", job.value)))?;
    pause(job.runs_ms).await;
    Ok(call.end())
}

async fn bad(job: Bad, State(desk): State<Desk>, attempt: Context) -> Result<String> {
    let call = desk.begin("bad", &attempt, None)?;
    match job.sin {
        Sin::Block(ms) => std::thread::sleep(Duration::from_millis(ms)),
        Sin::Panic if attempt.tries().failures < 2 => panic!("this attempt was to panic"),
        Sin::Panic => {}
        Sin::Hog(deaths) if attempt.tries().crashes < deaths => hog().await,
        Sin::Hog(_) => {}
    }
    Ok(call.end())
}

async fn tick(_: Tick, State(desk): State<Desk>, attempt: Context) -> Result<String> {
    let call = desk.begin("tick", &attempt, Some("ticks=all".to_owned()))?;
    // Long enough for several that were caught up with to be under way at once, were it not for the limit.
    pause(20).await;
    Ok(call.end())
}

async fn pause(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

/// A process with a limit on its memory does not survive this; one without is spared.
async fn hog() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::As).current;
    let mut taken = Vec::new();
    while limit.is_some() {
        // Reserved and never written to: it counts against the limit and costs the machine nothing.
        taken.push(Vec::<u8>::with_capacity(64 << 20));
        tokio::task::yield_now().await;
    }
}
