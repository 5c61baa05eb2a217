//! Sending dead letters back: those named, or all that match.

use clap::Args;
use ergate_client::Client;
use ergate_shared::{JobId, QueueName};
use serde_json::{Value, json};

use super::Which;
use crate::{
    cmd::{job::explained, queue::known},
    exit::{self, Code, Quiet, Refusal},
    output::{self, GREEN, Output},
    values,
};

/// `ergate dead redrive`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ergate dead redrive mail 01KB3Y6W8Q4V9T2N5R7C1D0F3G
  ergate dead redrive mail --kind timeout --since 2h --rate 10
  ergate dead redrive mail --all --dry-run")]
pub(crate) struct Redrive {
    /// Which queue
    queue: QueueName,
    /// Their ids
    #[arg(value_name = "ID")]
    ids: Vec<JobId>,
    /// Let this many start per second, instead of all at once
    #[arg(long, value_name = "N", value_parser = values::per_second, allow_hyphen_values = true)]
    rate: Option<f64>,
    /// Another payload, for one job
    #[arg(long, value_name = "JSON", value_parser = values::json)]
    payload: Option<Value>,
    /// Say how many match, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// All of them
    #[arg(long, help_heading = "Which")]
    all: bool,
    #[command(flatten)]
    which: Which,
}

impl Redrive {
    /// What can be refused without asking Redis.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let picked = !self.ids.is_empty();
        if !picked {
            self.which.chosen(self.all, "redrive")?;
        }
        let problem = match () {
            () if picked && (self.all || !self.which.is_everything()) => {
                "ids and options that choose exclude each other"
            }
            () if picked && self.rate.is_some() => "--rate is for many at once; ids go back immediately",
            () if self.payload.is_some() && self.ids.len() != 1 => "--payload is for exactly one id",
            () => return Ok(()),
        };
        Err(Refusal::usage(problem).into())
    }

    pub(super) async fn run(self, client: &Client, output: Output) -> anyhow::Result<()> {
        let queue = known(client, &self.queue).await?;
        if !self.ids.is_empty() {
            return self.each(client, output).await;
        }
        let filter = self.which.filter(client);
        let matching = queue.dead().redrive_all(&filter, None, true, |_| {}).await?.redriven;
        if self.dry_run {
            return output.either(
                &json!({"queue": self.queue, "matching": matching, "dry_run": true}),
                format!("{} would be redriven", output::counted(matching, "dead letter")),
            );
        }
        let bar = output::bar(matching, "redriving");
        let done =
            queue.dead().redrive_all(&filter, self.rate, false, |redriven| bar.set_position(redriven)).await;
        let done = output::finish(&bar, done, "dead letter", "redriven")?;
        let pace = match self.rate {
            Some(rate) if done.redriven > 1 => {
                let last = std::time::Duration::try_from_secs_f64((done.redriven - 1) as f64 / rate);
                let last = last.unwrap_or(ergate_shared::duration::LONGEST);
                format!("; the last starts in {}", output::about(last))
            }
            _ => String::new(),
        };
        let left = match done.left {
            0 => String::new(),
            left => format!(
                "; {} stayed, as another job holds their unique key or somebody was faster",
                output::grouped(left)
            ),
        };
        output.either(
            &json!({"queue": self.queue, "redriven": done.redriven, "left": done.left}),
            format!(
                "{GREEN}✓{GREEN:#} {} redriven{pace}{left}",
                output::counted(done.redriven, "dead letter")
            ),
        )
    }

    async fn each(self, client: &Client, output: Output) -> anyhow::Result<()> {
        let dead = client.queue(self.queue.as_str())?.dead();
        let mut worst: Option<Code> = None;
        for id in &self.ids {
            let outcome = if self.dry_run {
                dead.show(id.as_str()).await.map(drop)
            } else {
                dead.redrive(id.as_str(), self.payload.as_ref()).await
            };
            match outcome {
                Ok(()) if self.dry_run => {
                    output.either(
                        &json!({"id": id, "queue": self.queue, "dry_run": true}),
                        format!("{id} would be redriven"),
                    )?;
                }
                Ok(()) => {
                    let line = format!("{GREEN}✓{GREEN:#} job {id} is ready again");
                    let told = json!({"id": id, "queue": self.queue, "outcome": "ready"});
                    exit::heard_or_not(output.either(&told, line))?;
                }
                Err(error) if self.ids.len() == 1 || error.is_connection() => {
                    return Err(explained(error, &self.queue));
                }
                Err(error) => {
                    let error = explained(error, &self.queue);
                    exit::say(&error);
                    worst = worst.or(Some(exit::code(&error)));
                }
            }
        }
        match worst {
            None => Ok(()),
            Some(code) => Err(Quiet(code).into()),
        }
    }
}
