//! `ergate worker`: runs one, or looks after those that run.

mod list;

use clap::{Args, Subcommand};
use ergate_client::{Client, Order, WorkerProcess};
use ergate_worker::{
    binary::{self, Options, Work},
    shutdown_signal,
};
use serde_json::json;

use crate::{
    connection::Connection,
    exit::Refusal,
    output::{GREEN, Output},
};

/// `ergate worker`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "Options go after a verb: `ergate worker list --json`.")]
pub(crate) struct Worker {
    #[command(flatten)]
    work: Work,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Worker processes heard of lately
    List,
    /// Tell a worker to take no more jobs, and stay
    Quiet(One),
    /// Tell a worker to finish as at SIGTERM, and end
    Stop(One),
}

#[derive(Debug, Args)]
struct One {
    /// Its id, or the beginning of it
    id: String,
}

impl Worker {
    /// Whether this process becomes a worker.
    pub(crate) fn runs(&self) -> bool {
        self.verb.is_none()
    }

    pub(crate) async fn run(
        self,
        connection: &Connection,
        output: Output,
        log: Option<String>,
    ) -> anyhow::Result<()> {
        let Some(verb) = self.verb else {
            let options = Options { connection: connection.of_worker(), work: with_log(self.work, log) };
            binary::start_logging(&options.work);
            return binary::run(options, shutdown_signal()).await;
        };
        let client = connection.client().await?;
        match verb {
            Verb::List => list::run(&client, output).await,
            Verb::Quiet(One { id }) => order(&client, &id, Order::Quiet, output).await,
            Verb::Stop(One { id }) => order(&client, &id, Order::Stop, output).await,
        }
    }
}

/// `--log` means the worker's log here.
pub(super) fn with_log(work: Work, log: Option<String>) -> Work {
    Work { log_filter: work.log_filter.or(log), ..work }
}

async fn order(client: &Client, beginning: &str, order: Order, output: Output) -> anyhow::Result<()> {
    let workers = client.workers().await?;
    let id = &found(&workers, beginning)?.id;
    client.order(id, order).await?;
    let (word, will) = match order {
        Order::Quiet => ("quiet", "takes no more jobs"),
        Order::Stop => ("stop", "finishes and ends"),
    };
    output.either(
        &json!({"id": id, "order": word}),
        format!("{GREEN}✓{GREEN:#} worker {id} {will} as soon as it hears of it, within a few seconds"),
    )
}

/// The one process whose id begins so.
fn found<'a>(workers: &'a [WorkerProcess], beginning: &str) -> anyhow::Result<&'a WorkerProcess> {
    let mut matching = workers.iter().filter(|worker| worker.id.starts_with(beginning));
    match (matching.next(), matching.next()) {
        (Some(worker), None) if !beginning.is_empty() => Ok(worker),
        (Some(_), _) => Err(Refusal::usage(format!("several workers' ids begin with {beginning:?}"))
            .hint("give more of it; `ergate worker list` shows them")
            .into()),
        (None, _) => Err(Refusal::not_found(format!("no worker process {beginning}"))
            .hint("`ergate worker list` shows those heard of lately")
            .into()),
    }
}
