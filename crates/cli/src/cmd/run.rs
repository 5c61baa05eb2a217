//! `ergate run`: runs of durable functions, one by function and id, or all that a filter means.

mod cancel;
mod list;
mod rerun;
mod show;
mod trace;
mod which;

use std::time::Duration;

use clap::{Args, Subcommand};
use ergate_client::{Client, Error, RunHandle};
use ergate_shared::{FunctionName, JobId, JobState, duration};

use super::job;
use crate::{
    connection::Connection,
    exit::{Code, Quiet, Refusal},
    output::{self, Output},
};

/// `ergate run`.
#[derive(Debug, Subcommand)]
pub(crate) enum Run {
    /// Runs by function, state and time: where each is, and what it waits for
    List(list::List),
    /// What is known of a run: state, input, result, and how each step stands
    Show(One),
    /// All that a run has done: each step with its attempts, times, input, output or error, on a time line
    Trace(One),
    /// Cancel runs: at once if they sleep or wait, by asking their worker if they execute
    Cancel(cancel::Cancel),
    /// Let a failed run go on where it failed, or start a run over; with --failed, replay all that failed
    Rerun(rerun::Rerun),
    /// Wait until a run has ended, and print its result; ends with 1 if it did not complete
    Wait(Wait),
}

/// One run.
#[derive(Debug, Args)]
pub(crate) struct One {
    /// Its function
    function: FunctionName,
    /// Its id
    id: JobId,
}

/// `ergate run wait`.
#[derive(Debug, Args)]
pub(crate) struct Wait {
    #[command(flatten)]
    run: One,
    /// Give up after this long [default: never]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    within: Option<Duration>,
}

impl One {
    fn of(&self, client: &Client) -> anyhow::Result<RunHandle> {
        Ok(client.run(self.function.as_str(), self.id.as_str())?)
    }
}

impl Run {
    pub(crate) async fn run(self, connection: &Connection, output: Output) -> anyhow::Result<()> {
        match &self {
            Self::Cancel(cancel) => cancel.check()?,
            Self::Rerun(rerun) => rerun.check()?,
            _ => {}
        }
        let client = connection.client().await?;
        match self {
            Self::List(list) => list.run(&client, output).await,
            Self::Show(run) => show::show(&run.of(&client)?, output).await,
            Self::Trace(run) => trace::print(&run.of(&client)?, output).await,
            Self::Cancel(cancel) => cancel.run(&client, output).await,
            Self::Rerun(rerun) => rerun.run(&client, output).await,
            Self::Wait(wait) => wait.run(&client, output).await,
        }
    }
}

/// Says what concerns a job as what concerns a run.
fn explained(error: Error, function: &FunctionName) -> anyhow::Error {
    match error {
        Error::NotFound { id, .. } => Refusal::not_found(format!(
            "function {function} has no run {id}; it may have ended and been trimmed"
        ))
        .hint(format!("list what is there with `ergate run list {function}`"))
        .into(),
        error => job::explained(error, &function.queue()),
    }
}

impl Wait {
    async fn run(self, client: &Client, output: Output) -> anyhow::Result<()> {
        let run = self.run.of(client)?;
        let spinner = output::spinner(&format!("waiting for {}", run.id()));
        let ended = run.job().ended(self.within.unwrap_or(duration::LONGEST)).await;
        spinner.finish_and_clear();
        let view = ended.map_err(|error| explained(error, &self.run.function))?;
        if output.is_json() {
            output.json(&view.to_json())?;
            return if view.state == JobState::Completed { Ok(()) } else { Err(Quiet(Code::Failed).into()) };
        }
        job::print_result(&view, output)
    }
}
