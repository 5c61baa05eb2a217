//! A worker process for chaos runs to torment: jobs, functions and a schedule, and a ledger of what their handlers did.

use std::{path::PathBuf, time::Duration};

use clap::Parser;
use ergate::{Client, Limit, Schedule, Worker, prelude::CatchUp, shutdown_signal};
use ergate_chaos::{
    ledger::Ledger,
    work::{
        Desk, THREADS, functions,
        jobs::{self, Tick},
    },
};
use rustix::process::{Resource, Rlimit, setrlimit};

#[derive(Parser)]
struct Options {
    /// Where Redis is, as every client reads it: one server, `redis+sentinel`, `redis+cluster`.
    #[arg(long)]
    url: String,
    /// The name under which it writes into the ledger.
    #[arg(long)]
    member: String,
    /// The file all workers append to.
    #[arg(long)]
    ledger: PathBuf,
    #[arg(long)]
    lease_ms: u64,
    #[arg(long)]
    slots: usize,
    /// How long handlers may go on after SIGTERM.
    #[arg(long)]
    deadline_ms: u64,
    /// By how much its clock is wrong.
    #[arg(long, allow_hyphen_values = true, default_value_t = 0)]
    clock_ms: i64,
    /// Which release of the code it is.
    #[arg(long, default_value_t = 1)]
    release: u32,
    /// The most address space it may have.
    #[arg(long)]
    memory_mb: Option<u64>,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if let Some(most) = options.memory_mb {
        let most = Some(most << 20);
        setrlimit(Resource::As, Rlimit { current: most, maximum: most })?;
    }
    ergate_shared::clock::set_wrong_by(options.clock_ms);
    tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr).init();
    // As many whatever the machine has.
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()?
        .block_on(work(options))
}

async fn work(options: Options) -> anyhow::Result<()> {
    let desk = Desk::new(Ledger::open(&options.ledger)?, &options.member);
    let client = Client::builder().connect_within(Duration::from_secs(60)).connect(&options.url).await?;
    let schedule = Schedule::every(jobs::SCHEDULE, jobs::TICK).job(Tick).catch_up(CatchUp::All(1000));

    let worker = Worker::new(client, desk)
        .queue(jobs::QUEUE, options.slots)
        .queue(jobs::TICKS, 4)
        .limit(jobs::QUEUE, Limit::per_key("single").concurrency(1))
        .limit(jobs::QUEUE, Limit::per_key("trio").concurrency(3))
        .schedule(schedule)
        .lease(Duration::from_millis(options.lease_ms))
        // Killed as often as here, workers take the same job along several times.
        .crash_limit(1000)
        .shutdown_deadline(Duration::from_millis(options.deadline_ms));
    let worker = functions::declare(jobs::perform(worker), options.release, options.slots);
    worker.run_until(shutdown_signal()).await?;
    Ok(())
}
