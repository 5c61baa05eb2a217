//! What queue systems share that are put under the same faults: a command line, one kind of work, and a ledger outside Redis.
//!
//! A subject is a program around one system: it adds jobs, works on them, or looks at them. It implements [`System`] and calls
//! [`run`]. The driver is `chaos-beside`; it knows of a system nothing but what these programs tell it.

mod ledger;
mod task;

use std::{future::Future, path::PathBuf, time::Duration};

use clap::Parser;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use ledger::{Desk, Line, What, now_us, read};
pub use task::{BACKOFF, RETRIES, TICK, Task};

/// One queue system, as far as the faults need it.
pub trait System: 'static {
    /// What it is.
    fn about() -> About;

    /// Adds these jobs; each may be tried [`RETRIES`] times more after a failure, [`BACKOFF`] later.
    fn add(redis: &str, tasks: Vec<Task>) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// Looks for the job of each id, in this order.
    fn look(redis: &str, ids: Vec<String>) -> impl Future<Output = anyhow::Result<Vec<Found>>> + Send;

    /// Works until it is killed. Calls [`Desk::ready`] when it has connected, and [`Desk::perform`] for each job.
    fn work(options: Work, desk: Desk) -> impl Future<Output = anyhow::Result<()>>;
}

/// What a system is, and how it holds a job that a worker has.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct About {
    /// Its name and version.
    pub version: String,
    /// Its default lease or lock, in ms.
    pub lease_ms: u64,
    /// How it is set up when nothing is asked for.
    pub defaults: String,
    /// How it is set up when a lease is asked for.
    pub with_lease: String,
    /// How its program was built.
    pub build: String,
}

/// What is known of one job, in the words of its system.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Found {
    /// Its id.
    pub id: String,
    /// The state it is in.
    pub state: String,
    /// Whether it has ended, well or not.
    pub ended: bool,
    /// What its handler returned: `member:call`.
    pub result: Option<String>,
    /// Why it failed.
    pub reason: Option<String>,
    /// What the system has counted: attempts, failures and the like.
    pub counts: Value,
}

/// How a worker is to work.
#[derive(Debug, Clone, clap::Args)]
pub struct Work {
    /// Where Redis is.
    #[arg(long)]
    pub redis: String,
    /// The name under which it writes into the ledger.
    #[arg(long)]
    pub member: String,
    /// The file that all workers append to.
    #[arg(long)]
    pub ledger: PathBuf,
    /// How many jobs at a time.
    #[arg(long)]
    pub slots: usize,
    /// The lease or lock; the system's default if it is not given.
    #[arg(long)]
    pub lease_ms: Option<u64>,
}

impl Work {
    /// The lease that was asked for.
    pub fn lease(&self) -> Option<Duration> {
        self.lease_ms.map(Duration::from_millis)
    }
}

#[derive(Debug, Parser)]
enum Command {
    /// Says what the system is.
    About,
    /// Adds jobs, and ends once all are acknowledged.
    Add {
        #[arg(long)]
        redis: String,
        /// Their ids, divided by commas.
        #[arg(long, value_delimiter = ',')]
        ids: Vec<String>,
        /// How many tenths of a second each takes.
        #[arg(long)]
        ticks: u32,
        /// Whether the first call of each handler panics.
        #[arg(long)]
        panics: bool,
    },
    /// Tells what is known of jobs, as JSON.
    Look {
        #[arg(long)]
        redis: String,
        #[arg(long, value_delimiter = ',')]
        ids: Vec<String>,
    },
    /// Works until it is killed.
    Work(Work),
}

/// Does what the command line asks for.
///
/// # Errors
///
/// Returns what the system reports.
pub async fn run<S: System>() -> anyhow::Result<()> {
    match Command::parse() {
        Command::About => ledger::tell(&S::about()),
        Command::Add { redis, ids, ticks, panics } => {
            S::add(&redis, ids.into_iter().map(|id| Task { id, ticks, panics }).collect()).await
        }
        Command::Look { redis, ids } => ledger::tell(&S::look(&redis, ids).await?),
        Command::Work(options) => {
            let desk = Desk::open(&options.ledger, &options.member)?;
            S::work(options, desk).await
        }
    }
}
