//! Which runs are meant: the options that choose.

use clap::Args;
use ergate_client::{Client, RunFilter};
use ergate_shared::{FunctionName, run::RunState};

use crate::{
    exit::Refusal,
    values::{self, Since},
};

/// A period.
#[derive(Debug, Args)]
#[command(next_help_heading = "Which")]
pub(super) struct Period {
    /// Only those that ended since then, or, having not ended, were started since: `2h` ago, or a time
    #[arg(long, value_name = "WHEN", value_parser = values::since)]
    since: Option<Since>,
    /// Only those that ended before then, or, having not ended, were started before
    #[arg(long, value_name = "WHEN", value_parser = values::since)]
    until: Option<Since>,
}

/// States and a period.
#[derive(Debug, Args)]
#[command(next_help_heading = "Which")]
pub(super) struct Which {
    /// Only runs in these states: `queued`, `running`, `suspended`, `completed`, `failed` or `cancelled`
    #[arg(long, value_delimiter = ',', value_parser = values::run_state)]
    state: Vec<RunState>,
    #[command(flatten)]
    period: Period,
}

impl Period {
    pub(super) fn is_always(&self) -> bool {
        self.since.is_none() && self.until.is_none()
    }

    pub(super) fn filter(&self, client: &Client, function: Option<&FunctionName>) -> RunFilter {
        let now = client.redis().now_ms();
        RunFilter {
            functions: function.cloned().into_iter().collect(),
            states: Vec::new(),
            since: self.since.map(|since| since.millis(now)),
            until: self.until.map(|until| until.millis(now)),
        }
    }
}

impl Which {
    pub(super) fn is_everything(&self) -> bool {
        self.state.is_empty() && self.period.is_always()
    }

    pub(super) fn filter(&self, client: &Client, function: Option<&FunctionName>) -> RunFilter {
        RunFilter { states: self.state.clone(), ..self.period.filter(client, function) }
    }
}

/// Refuses a function that nobody knows, so that a mistyped name is not taken for one without runs.
pub(super) async fn known(client: &Client, function: Option<&FunctionName>) -> anyhow::Result<()> {
    let Some(function) = function else { return Ok(()) };
    if client.queues().await?.contains(&function.queue()) || client.functions().await?.contains_key(function)
    {
        return Ok(());
    }
    Err(Refusal::not_found(format!("no function {function}"))
        .hint("`ergate function list` tells which there are")
        .into())
}
