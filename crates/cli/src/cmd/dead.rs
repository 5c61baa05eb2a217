//! `ergate dead`: dead letters.

mod groups;
mod list;
mod redrive;

use clap::{Args, Subcommand};
use ergate_client::{Client, Filter};
use ergate_shared::{FailureKind, JobId, JobName, QueueName};
use serde_json::json;

use super::{job::explained, queue::known};
use crate::{
    confirm,
    connection::Connection,
    exit::Refusal,
    output::{self, GREEN, Output},
    values::{self, Since},
};

/// `ergate dead`.
#[derive(Debug, Subcommand)]
pub(crate) enum Dead {
    /// Dead letters, the last to die first; with --group, how many died of what
    List(list::List),
    /// Everything that is known of one dead letter
    Show(One),
    /// Send dead letters back to their queue, with all their attempts
    Redrive(redrive::Redrive),
    /// Delete dead letters
    Purge(Purge),
}

/// One dead letter.
#[derive(Debug, Args)]
pub(crate) struct One {
    /// The queue it is of
    queue: QueueName,
    /// Its id
    id: JobId,
}

/// Which dead letters are meant.
#[derive(Debug, Args)]
#[command(next_help_heading = "Which")]
pub(crate) struct Which {
    /// Only jobs of this name
    #[arg(long, value_name = "JOB")]
    name: Option<JobName>,
    /// Only failures of this kind: `error`, `panic`, `timeout`, `crashed`, `decode`, `unhandled` or `expired`
    #[arg(long, value_parser = values::kind)]
    kind: Option<FailureKind>,
    /// Only failures whose message has this text
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
    /// Only jobs with this tag
    #[arg(long)]
    tag: Option<String>,
    /// Only those that died since: `2h` ago, or a time
    #[arg(long, value_name = "WHEN", value_parser = values::since)]
    since: Option<Since>,
}

/// `ergate dead purge`.
#[derive(Debug, Args)]
pub(crate) struct Purge {
    /// Which queue
    queue: QueueName,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// All of them
    #[arg(long, help_heading = "Which")]
    all: bool,
    #[command(flatten)]
    which: Which,
}

impl Which {
    fn is_everything(&self) -> bool {
        let Self { name, kind, message, tag, since } = self;
        name.is_none() && kind.is_none() && message.is_none() && tag.is_none() && since.is_none()
    }

    fn filter(&self, client: &Client) -> Filter {
        Filter {
            name: self.name.as_ref().map(ToString::to_string),
            kind: self.kind,
            message: self.message.clone(),
            tag: self.tag.clone(),
            since: self.since.map(|since| since.millis(client.redis().now_ms())),
            until: None,
        }
    }

    /// Nothing said is not the same as everything meant.
    fn chosen(&self, all: bool, verb: &str) -> anyhow::Result<()> {
        match (all, self.is_everything()) {
            (false, true) => Err(Refusal::usage(format!("which dead letters to {verb} is not said"))
                .hint("give an option such as --kind or --message, or --all")
                .into()),
            _ => Ok(()),
        }
    }
}

impl Dead {
    pub(crate) async fn run(self, connection: &Connection, output: Output) -> anyhow::Result<()> {
        match &self {
            Self::Redrive(redrive) => redrive.check()?,
            Self::Purge(purge) => purge.which.chosen(purge.all, "delete")?,
            _ => {}
        }
        let client = connection.client().await?;
        match self {
            Self::List(list) => list.run(&client, output).await,
            Self::Show(One { queue, id }) => {
                let queue = client.queue(queue.as_str())?;
                let view =
                    queue.dead().show(id.as_str()).await.map_err(|error| explained(error, queue.name()))?;
                let log_lines = queue.job(id.as_str())?.log().await?.len();
                super::job::show(&client, &view, log_lines, output)
            }
            Self::Redrive(redrive) => redrive.run(&client, output).await,
            Self::Purge(purge) => purge.run(&client, output).await,
        }
    }
}

impl Purge {
    async fn run(self, client: &Client, output: Output) -> anyhow::Result<()> {
        let queue = known(client, &self.queue).await?;
        // What dies while somebody is asked is not what they were asked about.
        let filter = Filter { until: Some(client.redis().now_ms()), ..self.which.filter(client) };
        let matching = queue.dead().redrive_all(&filter, None, true, |_| {}).await?.redriven;
        let mut removed = 0;
        if matching > 0 {
            let what = format!("{} of queue {}", output::counted(matching, "dead letter"), self.queue);
            confirm::deletion(&what, self.queue.as_str(), self.yes)?;
            let bar = output::bar(matching, "deleting");
            let purged = queue.dead().purge(&filter, |removed| bar.set_position(removed)).await;
            removed = output::finish(&bar, purged, "dead letter", "deleted")?;
        }
        output.either(
            &json!({"queue": self.queue, "removed": removed}),
            format!("{GREEN}✓{GREEN:#} {} deleted", output::counted(removed, "dead letter")),
        )
    }
}
