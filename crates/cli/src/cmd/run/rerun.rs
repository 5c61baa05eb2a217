//! Going on with failed runs, and starting runs over.

use clap::Args;
use ergate_client::Client;
use ergate_shared::{FunctionName, JobId, run::RunState};
use serde_json::{Value, json};

use super::{
    explained,
    which::{Period, known},
};
use crate::{
    exit::Refusal,
    output::{self, GREEN, Output},
    values,
};

/// `ergate run rerun`.
#[derive(Debug, Args)]
#[command(after_help = "\
A run that failed or was cancelled goes on where it stopped; one that completed is started over as a new run with the same
input. --from, --input and --anew start a new run whatever became of the old one, which stays as it is.

Examples:
  ergate run rerun onboard 01KB3Y6W8Q4V9T2N5R7C1D0F3G
  ergate run rerun onboard 01KB3Y6W8Q4V9T2N5R7C1D0F3G --from charge --input '{\"user\": 8}'
  ergate run rerun --failed --since 2h --until 1h")]
pub(crate) struct Rerun {
    /// Its function: `onboard` is version 1 of it, `onboard@2` version 2; with --failed, the one whose runs are meant
    /// [default: all]
    function: Option<FunctionName>,
    /// Its id
    id: Option<JobId>,
    /// Start a new run that does this step and what follows again; steps before it that are done are copied
    #[arg(long, value_name = "STEP")]
    from: Option<String>,
    /// Start a new run whose event has other data
    #[arg(long, value_name = "JSON", value_parser = values::json)]
    input: Option<Value>,
    /// Start a new run from the beginning
    #[arg(long, conflicts_with = "from")]
    anew: bool,
    /// The new run's id, so that the same is not started twice [default: a new one]
    #[arg(long, value_name = "ID")]
    new_id: Option<JobId>,
    /// Let this many go on per second, instead of all at once
    #[arg(long, value_name = "N", value_parser = values::per_second, allow_hyphen_values = true)]
    rate: Option<f64>,
    /// Say how many match, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// All runs that failed, of a function or in a period; each goes on where it failed
    #[arg(long, help_heading = "Which")]
    failed: bool,
    /// However long ago, and of whichever function
    #[arg(long, help_heading = "Which")]
    all: bool,
    #[command(flatten)]
    period: Period,
}

impl Rerun {
    /// What can be refused without asking Redis.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let many = self.failed;
        let about_one = self.from.is_some() || self.input.is_some() || self.new_id.is_some();
        let about_many = self.rate.is_some() || self.dry_run || self.all || !self.period.is_always();
        let problem = match () {
            () if many && (self.id.is_some() || about_one) => {
                "--failed is for many runs, and an id, --from, --input and --new-id are for one"
            }
            () if many && self.anew && self.rate.is_some() => {
                "--rate is for runs that go on; new runs are started at once"
            }
            () if many && self.function.is_none() && self.period.is_always() && !self.all => {
                "which runs to replay is not said: name a function, a period, or --all"
            }
            () if !many && self.id.is_none() => "which run is not said: give function and id, or --failed",
            () if !many && about_many => {
                "--rate, --dry-run, --all, --since and --until are for many runs, with --failed"
            }
            () => return Ok(()),
        };
        Err(Refusal::usage(problem).into())
    }

    pub(super) async fn run(self, client: &Client, output: Output) -> anyhow::Result<()> {
        match (self.function.clone(), self.id.clone()) {
            (Some(function), Some(id)) => self.one(client, &function, &id, output).await,
            (function, _) => self.many(client, function.as_ref(), output).await,
        }
    }

    async fn one(
        self,
        client: &Client,
        function: &FunctionName,
        id: &JobId,
        output: Output,
    ) -> anyhow::Result<()> {
        let run = client.run(function.as_str(), id.as_str())?;
        let explained = |error| explained(error, function);
        let asks_for_a_new_one =
            self.anew || self.from.is_some() || self.input.is_some() || self.new_id.is_some();
        if !asks_for_a_new_one && run.state().await.map_err(explained)? != RunState::Completed {
            run.again().await.map_err(explained)?;
            let json = json!({"function": function, "id": id, "outcome": "ready"});
            return output.either(&json, format!("{GREEN}✓{GREEN:#} run {id} goes on"));
        }
        let new_id = self.new_id.unwrap_or_else(JobId::generate);
        let mut rerun = run.rerun().id(new_id.as_str());
        if let Some(step) = &self.from {
            rerun = rerun.from(step);
        }
        if let Some(data) = &self.input {
            rerun = rerun.data(data);
        }
        if rerun.unless_there().await.map_err(explained)?.is_none() {
            let json = json!({"function": function, "id": new_id, "outcome": "there"});
            return output.either(&json, format!("run {new_id} is there already; nothing was started"));
        }
        let json = json!({
            "function": function, "id": new_id, "rerun_of": id, "from": self.from, "outcome": "started",
        });
        let from = self.from.map(|step| format!(", from {step:?} on")).unwrap_or_default();
        output.either(&json, format!("{GREEN}✓{GREEN:#} run {new_id} does run {id} again{from}"))
    }

    async fn many(
        self,
        client: &Client,
        function: Option<&FunctionName>,
        output: Output,
    ) -> anyhow::Result<()> {
        known(client, function).await?;
        let runs = client.runs(self.period.filter(client, function).state(RunState::Failed));
        let matching = runs.count().await?;
        if self.dry_run {
            return output.either(
                &json!({"function": function, "matching": matching, "dry_run": true}),
                format!("{} would be replayed", output::counted(matching, "failed run")),
            );
        }
        let bar = output::bar(matching, "replaying");
        let done = if self.anew {
            runs.anew(|done| bar.set_position(done)).await
        } else {
            runs.again(self.rate, |done| bar.set_position(done)).await
        };
        let done = output::finish(&bar, done, "failed run", "replayed")?;
        let (how, why) = match self.anew {
            true => ("started over", "they were started over before"),
            false => ("go on where they failed", "somebody was faster"),
        };
        let left = match done.left {
            0 => String::new(),
            left => {
                format!("; {} stayed, as another run holds their unique key or {why}", output::grouped(left))
            }
        };
        output.either(
            &json!({"function": function, "replayed": done.redriven, "left": done.left}),
            format!("{GREEN}✓{GREEN:#} {} {how}{left}", output::counted(done.redriven, "failed run")),
        )
    }
}
