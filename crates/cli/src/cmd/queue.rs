//! `ergate queue`: queues as a whole.

mod keys;
mod limit;
mod show;

use std::time::Duration;

use anstyle::Style;
use clap::{Args, Subcommand};
use ergate_client::{Client, Queue as Handle, QueueStats};
use ergate_shared::{JobState, QueueName, duration};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    confirm,
    connection::Connection,
    exit::Refusal,
    listing,
    output::{self, Cell, Column, DIM, GREEN, Output, Table, YELLOW, of_state},
};

/// `ergate queue`.
#[derive(Debug, Subcommand)]
pub(crate) enum Queue {
    /// All queues: jobs in each state, how long the first has waited, workers
    List,
    /// One queue in numbers, and with --state its jobs in that state
    Show(show::Show),
    /// Stop handing out jobs; running ones go on, and new ones may be enqueued
    Pause(One),
    /// Hand out jobs again
    Resume(One),
    /// What the keys of a queue's jobs are doing: how many wait, how many run, and what for
    Keys(keys::Keys),
    /// Pause a queue and wait until nothing of it runs
    Drain(Drain),
    /// Delete all jobs in a state
    Purge(Purge),
    /// Limit how many jobs run and start, in all or per key, and how many ended ones are kept; without options, show that
    Limit(limit::Limits),
}

/// One queue.
#[derive(Debug, Args)]
pub(crate) struct One {
    /// Which queue
    queue: QueueName,
    /// Only jobs with this key: `account=acme`; `acme` will do if the queue limits keys of one name
    #[arg(long)]
    key: Option<String>,
}

/// `ergate queue drain`.
#[derive(Debug, Args)]
pub(crate) struct Drain {
    /// Which queue
    queue: QueueName,
    /// Give up after this long; the queue stays paused
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "1m")]
    within: Duration,
}

/// `ergate queue purge`.
#[derive(Debug, Args)]
pub(crate) struct Purge {
    /// Which queue
    queue: QueueName,
    /// Which jobs: `scheduled`, `ready`, `completed`, `cancelled` or `dead`
    #[arg(long)]
    state: JobState,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Queue {
    pub(crate) async fn run(self, connection: &Connection, output: Output) -> anyhow::Result<()> {
        let client = connection.client().await?;
        match self {
            Self::List => list(&client, output).await,
            Self::Show(show) => show.run(&client, output).await,
            Self::Pause(One { queue, key: Some(key) }) => {
                keys::pause(&client, &queue, &key, true, output).await
            }
            Self::Resume(One { queue, key: Some(key) }) => {
                keys::pause(&client, &queue, &key, false, output).await
            }
            Self::Pause(One { queue, key: None }) => {
                let queue = maybe_new(&client, &queue).await?;
                queue.pause().await?;
                let name = queue.name();
                output.either(
                    &json!({"queue": name, "paused": true}),
                    format!("{GREEN}✓{GREEN:#} queue {name} is paused {DIM}(go on with `ergate queue resume {name}`){DIM:#}"),
                )
            }
            Self::Resume(One { queue, key: None }) => {
                let queue = maybe_new(&client, &queue).await?;
                queue.resume().await?;
                let name = queue.name();
                output.either(
                    &json!({"queue": name, "paused": false}),
                    format!("{GREEN}✓{GREEN:#} queue {name} hands out jobs"),
                )
            }
            Self::Keys(keys) => keys.run(&client, output).await,
            Self::Drain(drain) => drain.run(&client, output).await,
            Self::Purge(purge) => purge.run(&client, output).await,
            Self::Limit(limits) => limits.run(&client, output).await,
        }
    }
}

/// A queue that has been used or configured; a name that was not is likely mistyped.
pub(crate) async fn known(client: &Client, name: &QueueName) -> anyhow::Result<Handle> {
    let queues = client.queues().await?;
    let queue = client.queue(name.as_str())?;
    if queues.contains(name) {
        return Ok(queue);
    }
    let stats = queue.stats().await?;
    let is_set = !stats.settings.is_empty() || !queue.limits().await?.is_empty();
    if stats.records > 0 || stats.workers > 0 || is_set {
        return Ok(queue);
    }
    let refusal = Refusal::not_found(format!(
        "no queue {name}; none of that name ever had a job, a worker or a setting"
    ));
    let names: Vec<_> = queues.iter().take(10).map(QueueName::as_str).collect();
    Err(match names.len() {
        0 => refusal.hint("a queue comes into being with its first job: `ergate enqueue QUEUE JOB PAYLOAD`"),
        _ => refusal.hint(format!("there are: {}", names.join(", "))),
    }
    .into())
}

/// A queue that may be set up before its first job, with a word in case the name is mistyped.
async fn maybe_new(client: &Client, name: &QueueName) -> anyhow::Result<Handle> {
    if !client.queues().await?.contains(name) {
        output::note(format!("queue {name} has had no job and no worker yet"));
    }
    Ok(client.queue(name.as_str())?)
}

async fn list(client: &Client, output: Output) -> anyhow::Result<()> {
    let names = client.queues().await?;
    let mut asked = JoinSet::new();
    for (place, name) in names.iter().enumerate() {
        let queue = client.queue(name.as_str())?;
        asked.spawn(async move { queue.stats().await.map(|stats| (place, stats)) });
    }
    let mut all = vec![QueueStats::default(); names.len()];
    while let Some(answer) = asked.join_next().await {
        let (place, stats) = answer??;
        all[place] = stats;
    }
    if output.is_json() {
        let queues: Vec<_> = names.iter().zip(&all).map(|(name, stats)| as_json(name, stats)).collect();
        return output.json(&queues);
    }
    if names.is_empty() {
        output::note("no queue has ever had a job or a worker here");
        return Ok(());
    }
    let table = wide(&names, &all);
    output.line(if table.fits() { table.render() } else { narrow(&names, &all).render() })
}

/// Whether nobody takes its jobs, which is what an operator looks for.
fn is_stuck(stats: &QueueStats) -> bool {
    stats.workers == 0 && stats.ready > 0 && !stats.paused
}

/// A column for each state.
fn wide(names: &[QueueName], all: &[QueueStats]) -> Table {
    let states = JobState::ALL.map(|state| Column::Number(state.as_str()));
    let columns = [Column::Word("queue")].into_iter().chain(states);
    let mut table = Table::new(columns.chain([Column::Number("oldest"), Column::Word("workers")]));
    for (name, stats) in names.iter().zip(all) {
        let counts = JobState::ALL.map(|state| Cell::count(stats.count(state), of_state(state)));
        let workers = match (stats.paused, is_stuck(stats)) {
            (true, _) => Cell::styled(format!("{}, paused", stats.workers), YELLOW),
            (false, true) => Cell::styled("none", YELLOW),
            (false, false) => Cell::count(stats.workers, Style::new()),
        };
        let oldest = listing::waited(stats.oldest_ready_ms).into();
        table.row([name.as_str().into()].into_iter().chain(counts).chain([oldest, workers]));
    }
    table
}

/// Only what is there, in words.
fn narrow(names: &[QueueName], all: &[QueueStats]) -> Table {
    let mut table = Table::new([Column::Word("queue"), Column::Prose("jobs")]);
    for (name, stats) in names.iter().zip(all) {
        let counts = JobState::ALL.into_iter().filter(|state| stats.count(*state) > 0);
        let mut parts: Vec<_> =
            counts.map(|state| format!("{} {state}", output::grouped(stats.count(state)))).collect();
        if let Some(ms) = stats.oldest_ready_ms {
            parts.push(format!("oldest {}", listing::waited(Some(ms))));
        }
        match (stats.paused, stats.workers) {
            (true, _) => parts.push("paused".to_owned()),
            (false, 0) => parts.push("no worker".to_owned()),
            (false, workers) => parts.push(output::counted(workers, "worker")),
        }
        let style = if is_stuck(stats) || stats.paused { YELLOW } else { Style::new() };
        table.row([name.as_str().into(), Cell::styled(parts.join(" · "), style)]);
    }
    table
}

/// A queue's numbers, with its name.
fn as_json(name: &QueueName, stats: &QueueStats) -> Value {
    let mut json = serde_json::to_value(stats).unwrap_or_default();
    json["queue"] = name.as_str().into();
    json
}

impl Drain {
    async fn run(self, client: &Client, output: Output) -> anyhow::Result<()> {
        let queue = known(client, &self.queue).await?;
        let spinner = output::spinner(&format!("draining {}", self.queue));
        let mut left = 0;
        let drained = queue
            .drain(self.within, |running| {
                left = running;
                spinner.set_message(format!(
                    "draining {}: {} still running",
                    self.queue,
                    output::counted(running, "job")
                ));
            })
            .await;
        spinner.finish_and_clear();
        match drained {
            Ok(()) => output.either(
                &json!({"queue": self.queue, "paused": true, "leased": 0}),
                format!("{GREEN}✓{GREEN:#} queue {0} is paused and nothing of it runs {DIM}(go on with `ergate queue resume {0}`){DIM:#}", self.queue),
            ),
            Err(ergate_client::Error::Option(message)) => Err(Refusal::failed(message)
                .hint(format!("it stays paused; run it again to wait longer, or `ergate queue resume {}`", self.queue))
                .into()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Purge {
    async fn run(self, client: &Client, output: Output) -> anyhow::Result<()> {
        if self.state == JobState::Leased {
            return Err(Refusal::usage("running jobs cannot be purged")
                .hint(format!("cancel them, or `ergate queue drain {}` first", self.queue))
                .into());
        }
        let queue = known(client, &self.queue).await?;
        let kind = format!("{} job", self.state);
        let count = queue.stats().await?.count(self.state);
        let mut removed = 0;
        if count > 0 {
            let what = format!("{} of queue {}", output::counted(count, &kind), self.queue);
            confirm::deletion(&what, self.queue.as_str(), self.yes)?;
            let bar = output::bar(count, "deleting");
            let purged = queue.purge(self.state, |removed| bar.set_position(removed)).await;
            removed = output::finish(&bar, purged, &kind, "deleted")?;
        }
        output.either(
            &json!({"queue": self.queue, "state": self.state, "removed": removed}),
            format!("{GREEN}✓{GREEN:#} {} deleted", output::counted(removed, &kind)),
        )
    }
}
