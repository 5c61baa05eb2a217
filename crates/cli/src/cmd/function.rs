//! `ergate function`: durable functions by name.

mod list;
mod pause;
mod remove;
mod show;
mod versions;

use clap::{Args, Subcommand};
use ergate_shared::{FunctionName, JobId};
use serde_json::{Value, json};

use crate::{
    connection::Connection,
    exit::Refusal,
    output::{self, Output},
};

/// `ergate function`.
#[derive(Debug, Subcommand)]
pub(crate) enum Function {
    /// All functions: what starts them, their runs in numbers, who serves them
    List,
    /// Everything that is known of a function
    Show(One),
    /// Start a run of a function by hand, and print its id
    Invoke(Invoke),
    /// Let a function start and go on with no runs; what executes goes on to its next sleep or end
    Pause(Versions),
    /// Let a paused function go on
    Resume(Versions),
    /// Take a function off that no worker has any more: events start it no longer, its runs stay
    Remove(Versions),
}

/// One function.
#[derive(Debug, Args)]
pub(crate) struct One {
    /// Its name
    function: FunctionName,
}

/// All versions of a function, or one.
#[derive(Debug, Args)]
pub(crate) struct Versions {
    /// Its name: `onboard` means all its versions, `onboard@2` one of them
    function: FunctionName,
}

/// `ergate function invoke`.
#[derive(Debug, Args)]
pub(crate) struct Invoke {
    /// Its name
    function: FunctionName,
    /// The data of the event it is started with, as JSON
    #[arg(default_value = "null")]
    data: String,
    /// The run's id, so that the same is not started twice [default: a new one]
    #[arg(long, value_name = "ID")]
    id: Option<JobId>,
}

impl Function {
    pub(crate) async fn run(self, connection: &Connection, output: Output) -> anyhow::Result<()> {
        match self {
            Self::List => list::run(&connection.client().await?, output).await,
            Self::Show(one) => show::run(&connection.client().await?, &one.function, output).await,
            Self::Invoke(invoke) => invoke.run(connection, output).await,
            Self::Pause(Versions { function }) => {
                pause::run(&connection.client().await?, &function, true, output).await
            }
            Self::Resume(Versions { function }) => {
                pause::run(&connection.client().await?, &function, false, output).await
            }
            Self::Remove(Versions { function }) => {
                remove::run(&connection.client().await?, &function, output).await
            }
        }
    }
}

impl Invoke {
    async fn run(self, connection: &Connection, output: Output) -> anyhow::Result<()> {
        let data: Value = serde_json::from_str(&self.data).map_err(|error| {
            Refusal::usage(format!("data is not JSON: {error}"))
                .hint("quote it for your shell: '{\"user\": 7}'")
        })?;
        let client = connection.client().await?;
        let mut start = client.invoke(self.function.as_str(), &data);
        if let Some(id) = &self.id {
            start = start.id(id.as_str());
        }
        let receipt = start.await?;
        if receipt.duplicate {
            output::note(format!("run {} is there already; nothing was started", receipt.id));
        }
        // Of several versions the newest is started, which has a name of its own.
        let function = FunctionName::of_queue(&receipt.queue).unwrap_or_else(|| self.function.clone());
        if function != self.function {
            output::note(format!("it is a run of {function}"));
        }
        let json = json!({"function": function, "id": receipt.id, "duplicate": receipt.duplicate});
        if output.is_json() { output.json(&json) } else { output.raw(&receipt.id) }
    }
}
