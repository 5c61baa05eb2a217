//! Runs as a table: where each is, and what it waits for.

use clap::Args;
use ergate_client::{Client, RunView};
use ergate_shared::{
    FunctionName,
    run::{Awaits, Pending, RunState},
};
use serde_json::json;

use super::which::{Which, known};
use crate::{
    listing::shortened,
    output::{self, Cell, Clock, Column, DIM, Output, Table},
};

/// Runs looked at by one call.
const PAGE: usize = 200;

/// `ergate run list`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ergate run list
  ergate run list onboard --state suspended
  ergate run list --state failed --since 2h --json")]
pub(crate) struct List {
    /// Only runs of this function: `onboard` is version 1 of it, `onboard@2` version 2 [default: of all]
    function: Option<FunctionName>,
    /// How many to list
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Go on where the page before ended, which says with what
    #[arg(long)]
    cursor: Option<String>,
    #[command(flatten)]
    which: Which,
}

impl List {
    pub(super) async fn run(self, client: &Client, output: Output) -> anyhow::Result<()> {
        known(client, self.function.as_ref()).await?;
        let runs = client.runs(self.which.filter(client, self.function.as_ref()));
        let clock = Clock::new(client.redis().now_ms());
        let spinner = output::spinner("reading runs");
        let goes_on = self.cursor.is_some();
        let (mut views, mut next) = (Vec::new(), self.cursor);
        let (mut left, mut most) = (usize::from(self.limit), PAGE);
        let mut ask = left.min(PAGE);
        loop {
            let page = runs.page(next.as_deref(), ask).await?;
            if page.items.len() > left && ask > left {
                // Those beyond the limit would be lost between two pages: a shorter stretch is read instead.
                most = (ask / 2).max(left);
                ask = most;
                continue;
            }
            left = left.saturating_sub(page.items.len());
            views.extend(page.items);
            next = page.next;
            if left == 0 || next.is_none() {
                break;
            }
            // Few of those that were looked at are meant.
            ask = (2 * ask).min(most);
        }
        spinner.finish_and_clear();
        if output.is_json() {
            let views: Vec<_> = views.iter().map(RunView::to_json).collect();
            return output.json(&json!({"runs": views, "next": next}));
        }
        if views.is_empty() {
            let of = self.function.map(|function| format!(" of {function}")).unwrap_or_default();
            let such = if self.which.is_everything() { "" } else { " like that" };
            let after = if goes_on { " after that" } else { "" };
            output::note(format!("there are no runs{of}{such}{after}"));
            return Ok(());
        }
        output.line(table(&views, self.function.is_none(), clock))?;
        match next {
            Some(cursor) => output.line(format!("\n{DIM}go on with --cursor {cursor}{DIM:#}")),
            None => Ok(()),
        }
    }
}

fn table(views: &[RunView], with_function: bool, clock: Clock) -> String {
    let function = with_function.then_some(Column::Word("function"));
    let mut table = Table::new(function.into_iter().chain([
        Column::Word("id"),
        Column::Word("state"),
        Column::Word("started"),
        Column::Word("last step"),
        Column::Prose("and now"),
    ]));
    for run in views {
        let function = with_function.then(|| Cell::from(run.function.as_str()));
        table.row(function.into_iter().chain([
            run.id.as_str().into(),
            Cell::styled(run.state.as_str(), output::of_state(run.job.state)),
            Cell::styled(clock.brief(run.started_at), DIM),
            run.last_step.as_ref().map_or("", |step| &step.id).into(),
            shortened(&now(run, clock)).into(),
        ]));
    }
    table.render()
}

fn now(run: &RunView, clock: Clock) -> String {
    let detail = run.job.outcome.as_ref().map(|outcome| outcome.detail.as_str()).unwrap_or_default();
    let ended = run.ended_at.map(|at| clock.brief(at)).unwrap_or_default();
    match run.state {
        RunState::Failed => {
            format!("{ended}: {}", run.failure().map_or("", |failure| &failure.message))
        }
        RunState::Cancelled => format!("{ended}: {detail}"),
        RunState::Completed if detail == "null" => ended,
        RunState::Completed => format!("{ended}: {detail}"),
        RunState::Running => format!("on worker {}", run.job.worker.as_deref().unwrap_or_default()),
        RunState::Queued | RunState::Suspended if !run.waits_for.is_empty() => {
            run.waits_for.iter().map(|pending| awaited(pending, clock)).collect::<Vec<_>>().join("; ")
        }
        RunState::Queued | RunState::Suspended => match run.due_at {
            Some(due) => format!("due {}", clock.brief(due)),
            None => "waits for a worker".to_owned(),
        },
    }
}

/// `sleeps, due in 2h`; `waits for user/verified until in 3d`.
pub(super) fn awaited(pending: &Pending, clock: Clock) -> String {
    let until = clock.brief(pending.until);
    match &pending.what {
        Awaits::Time => format!("sleeps, wakes {until}"),
        Awaits::Attempt => format!("tries again {until}"),
        Awaits::Event(name) => format!("waits for {name}, gives up {until}"),
        Awaits::End { queue, job } => format!("waits for {job} of {queue}, gives up {until}"),
        _ => format!("waits, gives up {until}"),
    }
}
