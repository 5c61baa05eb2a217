//! `ergate job`: one job at a time, by queue and id.

mod log;
mod show;

use std::time::Duration;

use clap::{Args, Subcommand};
use ergate_client::{Cancelled, Client, Error, JobHandle, JobView};
use ergate_shared::{JobId, JobState, QueueName, duration};
use serde_json::json;

use crate::{
    connection::Connection,
    exit::{self, Code, Quiet, Refusal},
    output::{self, GREEN, Output, YELLOW},
};

pub(crate) use show::show;

/// `ergate job`.
#[derive(Debug, Subcommand)]
pub(crate) enum Job {
    /// Everything that is known of a job: state, tries, payload, failure, result
    Show(One),
    /// Cancel jobs: at once if they wait, by asking their worker if they run
    Cancel(Cancel),
    /// Make ended jobs ready again, with all their attempts
    Retry(Several),
    /// Run delayed jobs now
    Promote(Several),
    /// Delete jobs and all that is kept about them; running ones are refused
    Remove(Several),
    /// Wait until a job has ended, and print its result; ends with 1 if it did not complete
    Wait(Wait),
    /// The log lines a job's handler wrote
    Log(One),
}

/// One job.
#[derive(Debug, Args)]
pub(crate) struct One {
    /// The queue it is in
    queue: QueueName,
    /// Its id
    id: JobId,
}

/// Jobs of one queue.
#[derive(Debug, Args)]
pub(crate) struct Several {
    /// The queue they are in
    queue: QueueName,
    /// Their ids
    #[arg(required = true, value_name = "ID")]
    ids: Vec<JobId>,
}

/// `ergate job cancel`.
#[derive(Debug, Args)]
pub(crate) struct Cancel {
    #[command(flatten)]
    jobs: Several,
    /// Why, for those who look at them later
    #[arg(long, value_name = "TEXT", default_value = "cancelled from the command line")]
    reason: String,
}

/// `ergate job wait`.
#[derive(Debug, Args)]
pub(crate) struct Wait {
    #[command(flatten)]
    job: One,
    /// Give up after this long [default: never]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    within: Option<Duration>,
}

impl One {
    fn of(&self, client: &Client) -> anyhow::Result<JobHandle> {
        Ok(client.job(self.queue.as_str(), self.id.as_str())?)
    }
}

impl Job {
    pub(crate) async fn run(self, connection: &Connection, output: Output) -> anyhow::Result<()> {
        let client = connection.client().await?;
        match self {
            Self::Show(job) => {
                let job = job.of(&client)?;
                let view = job.get().await?;
                show(&client, &view, job.log().await?.len(), output)
            }
            Self::Cancel(Cancel { jobs, reason }) => {
                jobs.each(&client, output, async |job| {
                    Ok(match job.cancel(&reason).await? {
                        Cancelled::Done => "cancelled",
                        Cancelled::Asked => "asked",
                    })
                })
                .await
            }
            Self::Retry(jobs) => {
                jobs.each(&client, output, async |job| job.retry().await.map(|()| "ready")).await
            }
            Self::Promote(jobs) => {
                jobs.each(&client, output, async |job| job.promote().await.map(|()| "promoted")).await
            }
            Self::Remove(jobs) => {
                jobs.each(&client, output, async |job| job.remove().await.map(|()| "removed")).await
            }
            Self::Wait(wait) => wait.run(&client, output).await,
            Self::Log(job) => log::print(&job.of(&client)?, output).await,
        }
    }
}

impl Several {
    /// Does something to each job, whatever becomes of the others; ends with the code of the first that failed.
    async fn each(
        self,
        client: &Client,
        output: Output,
        act: impl AsyncFn(JobHandle) -> Result<&'static str, ergate_client::Error>,
    ) -> anyhow::Result<()> {
        let alone = self.ids.len() == 1;
        let mut worst: Option<Code> = None;
        for id in &self.ids {
            let job = client.job(self.queue.as_str(), id.as_str())?;
            match act(job).await {
                Ok(done) => {
                    let told = json!({"id": id, "queue": self.queue, "outcome": done});
                    exit::heard_or_not(output.either(&told, sentence(done, id)))?;
                }
                Err(error) if alone || error.is_connection() => return Err(explained(error, &self.queue)),
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

/// Adds the command that helps, which takes the queue's name.
pub(crate) fn explained(error: Error, queue: &QueueName) -> anyhow::Error {
    let hint = match &error {
        Error::NotEnded { id, .. } => format!("`ergate job wait {queue} {id}` goes on waiting"),
        Error::WrongState { id, state: JobState::Leased, .. } => {
            format!("it runs: `ergate job wait {queue} {id}`, or cancel it first")
        }
        // Who sends it back wants it to run again; who cancels it or wants it to run sooner does not.
        Error::WrongState { id, state, action: "redriven" | "shown as a dead letter" }
            if state.is_ended() =>
        {
            format!("`ergate job retry {queue} {id}` makes any ended job ready again")
        }
        Error::WrongState { state, .. } if state.is_ended() => return error.into(),
        Error::WrongState { id, .. } => format!("`ergate job show {queue} {id}` tells what it waits for"),
        _ => return error.into(),
    };
    Refusal::failed(error.to_string()).hint(hint).into()
}

fn sentence(done: &str, id: &JobId) -> String {
    match done {
        "asked" => format!("{YELLOW}…{YELLOW:#} job {id} runs; its worker has been asked to stop it"),
        "ready" => format!("{GREEN}✓{GREEN:#} job {id} is ready again"),
        "promoted" => format!("{GREEN}✓{GREEN:#} job {id} is ready"),
        done => format!("{GREEN}✓{GREEN:#} job {id} is {done}"),
    }
}

impl Wait {
    async fn run(self, client: &Client, output: Output) -> anyhow::Result<()> {
        let job = self.job.of(client)?;
        let spinner = output::spinner(&format!("waiting for {}", job.id()));
        let ended = job.ended(self.within.unwrap_or(duration::LONGEST)).await;
        spinner.finish_and_clear();
        let view = ended.map_err(|error| explained(error, &self.job.queue))?;
        if output.is_json() {
            output.json(&view.to_json())?;
            return if view.state == JobState::Completed { Ok(()) } else { Err(Quiet(Code::Failed).into()) };
        }
        print_result(&view, output)
    }
}

/// Prints the result of a completed job; one that ended otherwise is an error that says why.
pub(crate) fn print_result(view: &JobView, output: Output) -> anyhow::Result<()> {
    let detail = view.outcome.as_ref().map(|outcome| outcome.detail.as_str()).unwrap_or_default();
    if view.state == JobState::Completed {
        // A handler that returns nothing has `null` as its result, which tells nobody anything.
        return if detail == "null" {
            Ok(())
        } else {
            output.raw(output::harmless(&output::indented(detail)))
        };
    }
    let reason = view.failure.as_ref().map_or(detail, |failure| failure.message.as_str());
    Err(Refusal::failed(format!("job {} is {}: {}", view.id, view.state, output::harmless(reason)))
        .hint(format!("`ergate job show {} {}` tells all that is known", view.queue, view.id))
        .into())
}
