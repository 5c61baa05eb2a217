//! The verbs. Each module owns the arguments of its verb and does it.

mod bench;
mod dead;
mod dev;
mod doctor;
mod enqueue;
mod event;
mod function;
mod job;
mod queue;
mod run;
mod schedule;
mod shell;
mod worker;

use clap::Subcommand;

use crate::{connection::Connection, output::Output};

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Start a Redis that keeps its data in `.ergate/` and a worker on it: all that is needed to try Ergate
    Dev(dev::Dev),
    /// Run a worker with the stock handlers, or look after those that run
    Worker(worker::Worker),
    /// Enqueue a job, or one for each line of a file, and print its id
    Enqueue(enqueue::Enqueue),
    /// Look at one job, wait for it, or change its course
    #[command(subcommand)]
    Job(job::Job),
    /// Send events, and look at what they started
    #[command(subcommand)]
    Event(event::Event),
    /// Look at queues, pause and resume them, set their limits
    #[command(subcommand)]
    Queue(queue::Queue),
    /// Look at durable functions, start one by hand, pause it and let it go on
    #[command(subcommand)]
    Function(function::Function),
    /// Look at runs of durable functions, wait for one, cancel, rerun and replay them
    #[command(subcommand)]
    Run(run::Run),
    /// Look at dead letters, send them back or delete them
    #[command(subcommand)]
    Dead(dead::Dead),
    /// Look at schedules, run, pause and preview them, fill in what was missed, set them
    #[command(subcommand)]
    Schedule(schedule::Schedule),
    /// Check Redis and the queues on it; ends with 1 if something may lose work
    Doctor(doctor::Doctor),
    /// Measure how fast this Redis is for Ergate, in a namespace that is deleted afterwards
    Bench(bench::Bench),
    /// Write a completion script for a shell
    Completions(shell::Completions),
    /// Write the manual page, or one page per command
    Man(shell::Man),
}

impl Verb {
    /// Whether it sets up logging of its own, as worker processes do.
    pub(crate) fn logs_by_itself(&self) -> bool {
        match self {
            Self::Dev(_) => true,
            Self::Worker(worker) => worker.runs(),
            _ => false,
        }
    }
}

/// Does it.
pub(crate) async fn run(
    verb: Verb,
    connection: &Connection,
    output: Output,
    log: Option<String>,
) -> anyhow::Result<()> {
    match verb {
        Verb::Dev(dev) => dev.run(connection, output, log).await,
        Verb::Worker(worker) => worker.run(connection, output, log).await,
        Verb::Enqueue(enqueue) => enqueue.run(connection, output).await,
        Verb::Job(job) => job.run(connection, output).await,
        Verb::Event(event) => event.run(connection, output).await,
        Verb::Queue(queue) => queue.run(connection, output).await,
        Verb::Function(function) => function.run(connection, output).await,
        Verb::Run(run) => run.run(connection, output).await,
        Verb::Dead(dead) => dead.run(connection, output).await,
        Verb::Schedule(schedule) => schedule.run(connection, output).await,
        Verb::Doctor(doctor) => doctor.run(connection, output).await,
        Verb::Bench(bench) => bench.run(connection, output).await,
        Verb::Completions(completions) => completions.run(),
        Verb::Man(man) => man.run(),
    }
}
