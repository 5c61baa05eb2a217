//! Cancelling runs: one, or all that are meant.

use clap::Args;
use ergate_client::{Cancelled, CancelledRuns, Client, Error};
use ergate_shared::{FunctionName, JobId};
use serde_json::json;

use super::{
    explained,
    which::{Which, known},
};
use crate::{
    confirm,
    exit::Refusal,
    output::{self, GREEN, Output, YELLOW},
};

/// `ergate run cancel`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ergate run cancel onboard 01KB3Y6W8Q4V9T2N5R7C1D0F3G
  ergate run cancel onboard --state suspended --until 30d
  ergate run cancel --all --dry-run")]
pub(crate) struct Cancel {
    /// Its function: `onboard` is version 1 of it, `onboard@2` version 2; without an id, all of its runs that are meant
    /// [default: of all functions]
    function: Option<FunctionName>,
    /// Its id
    id: Option<JobId>,
    /// Why, for those who look at it later
    #[arg(long, value_name = "TEXT", default_value = "cancelled from the command line")]
    reason: String,
    /// Say how many match, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// All that have not ended
    #[arg(long, help_heading = "Which")]
    all: bool,
    #[command(flatten)]
    which: Which,
}

impl Cancel {
    /// What can be refused without asking Redis.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let chooses = self.all || !self.which.is_everything();
        match (&self.id, chooses) {
            (Some(_), true) => Err(Refusal::usage("an id and options that choose exclude each other").into()),
            (None, false) => Err(Refusal::usage("which runs to cancel is not said")
                .hint("give an id, options such as --state or --since, or --all")
                .into()),
            _ => Ok(()),
        }
    }

    pub(super) async fn run(self, client: &Client, output: Output) -> anyhow::Result<()> {
        if let (Some(function), Some(id)) = (&self.function, &self.id) {
            return self.one(client, function, id, output).await;
        }
        known(client, self.function.as_ref()).await?;
        let now = client.redis().now_ms();
        let mut filter = self.which.filter(client, self.function.as_ref());
        // What is started while somebody is asked is not what they were asked about.
        filter.until = Some(filter.until.map_or(now, |until| until.min(now)));
        let runs = client.runs(filter).going_on()?;
        let matching = runs.count().await?;
        if self.dry_run {
            return output.either(
                &json!({"function": self.function, "matching": matching, "dry_run": true}),
                format!("{} would be cancelled", output::counted(matching, "run")),
            );
        }
        let mut done = CancelledRuns::default();
        if matching > 0 {
            let of = self.function.as_ref().map(|function| format!(" of function {function}"));
            let what = format!("{}{}", output::counted(matching, "run"), of.unwrap_or_default());
            let name = self.function.as_ref().map_or("all", FunctionName::as_str);
            confirm::cancellation(&what, name, self.yes)?;
            let bar = output::bar(matching, "cancelling");
            let cancelled = runs.cancel(&self.reason, |done| bar.set_position(done)).await;
            done = output::finish(&bar, cancelled, "run", "seen to")?;
        }
        let asked = match done.asked {
            0 => String::new(),
            asked => format!(
                "; {} more execute, and their workers have been asked to stop them",
                output::grouped(asked)
            ),
        };
        output.either(
            &json!({"function": self.function, "cancelled": done.cancelled, "asked": done.asked, "left": done.left}),
            format!("{GREEN}✓{GREEN:#} {} cancelled{asked}", output::counted(done.cancelled, "run")),
        )
    }

    async fn one(
        &self,
        client: &Client,
        function: &FunctionName,
        id: &JobId,
        output: Output,
    ) -> anyhow::Result<()> {
        let run = client.run(function.as_str(), id.as_str())?;
        if self.dry_run {
            let state = run.job().status().await.map_err(|error| explained(error, function))?;
            if state.is_ended() {
                let error = Error::WrongState { id: id.clone(), state, action: "cancelled" };
                return Err(explained(error, function));
            }
            let json = json!({"function": function, "id": id, "dry_run": true});
            return output.either(&json, format!("run {id} would be cancelled"));
        }
        let asked = run.cancel(&self.reason).await;
        let (done, line) = match asked.map_err(|error| explained(error, function))? {
            Cancelled::Done => ("cancelled", format!("{GREEN}✓{GREEN:#} run {id} is cancelled")),
            Cancelled::Asked => (
                "asked",
                format!("{YELLOW}…{YELLOW:#} run {id} executes; its worker has been asked to stop it"),
            ),
        };
        output.either(&json!({"function": function, "id": id, "outcome": done}), line)
    }
}
