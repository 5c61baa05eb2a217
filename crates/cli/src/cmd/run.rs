//! `ergate run`: one run of a durable function at a time, by function and id.

mod trace;

use std::time::Duration;

use clap::{Args, Subcommand};
use ergate_client::{Cancelled, Client, RunHandle};
use ergate_shared::{FunctionName, JobId, JobState, duration};
use serde_json::json;

use super::job;
use crate::{
    connection::Connection,
    exit::{Code, Quiet},
    output::{self, GREEN, Output, YELLOW},
};

/// `ergate run`.
#[derive(Debug, Subcommand)]
pub(crate) enum Run {
    /// Everything that is known of a run: state, each step with its attempts and result, what it waits for
    #[command(visible_alias = "trace")]
    Show(One),
    /// Cancel a run: at once if it sleeps or waits, by asking its worker if it executes
    Cancel(Cancel),
    /// Let a run that failed go on where it failed; steps that worked are not done again
    Rerun(One),
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

/// `ergate run cancel`.
#[derive(Debug, Args)]
pub(crate) struct Cancel {
    #[command(flatten)]
    run: One,
    /// Why, for those who look at it later
    #[arg(long, value_name = "TEXT", default_value = "cancelled from the command line")]
    reason: String,
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
        let client = connection.client().await?;
        match self {
            Self::Show(run) => trace::show(&run.of(&client)?, output).await,
            Self::Cancel(Cancel { run, reason }) => {
                let asked = run.of(&client)?.cancel(&reason).await;
                let (done, line) = match asked.map_err(|error| explained(error, &run))? {
                    Cancelled::Done => {
                        ("cancelled", format!("{GREEN}✓{GREEN:#} run {} is cancelled", run.id))
                    }
                    Cancelled::Asked => (
                        "asked",
                        format!(
                            "{YELLOW}…{YELLOW:#} run {} executes; its worker has been asked to stop it",
                            run.id
                        ),
                    ),
                };
                output.either(&json!({"function": run.function, "id": run.id, "outcome": done}), line)
            }
            Self::Rerun(run) => {
                run.of(&client)?.again().await.map_err(|error| explained(error, &run))?;
                let line = format!("{GREEN}✓{GREEN:#} run {} goes on", run.id);
                output.either(&json!({"function": run.function, "id": run.id, "outcome": "ready"}), line)
            }
            Self::Wait(wait) => wait.run(&client, output).await,
        }
    }
}

fn explained(error: ergate_client::Error, run: &One) -> anyhow::Error {
    job::explained(error, &run.function.queue())
}

impl Wait {
    async fn run(self, client: &Client, output: Output) -> anyhow::Result<()> {
        let run = self.run.of(client)?;
        let spinner = output::spinner(&format!("waiting for {}", run.id()));
        let ended = run.job().ended(self.within.unwrap_or(duration::LONGEST)).await;
        spinner.finish_and_clear();
        let view = ended.map_err(|error| explained(error, &self.run))?;
        if output.is_json() {
            output.json(&view.to_json())?;
            return if view.state == JobState::Completed { Ok(()) } else { Err(Quiet(Code::Failed).into()) };
        }
        job::print_result(&view, output)
    }
}
