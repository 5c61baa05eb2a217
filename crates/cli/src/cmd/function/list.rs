//! All functions as a table.

use ergate_client::{Client, FunctionView};
use ergate_shared::Trigger;

use crate::output::{self, Cell, Clock, Column, DIM, Output, RED, Table, YELLOW, of_state};

pub(super) async fn run(client: &Client, output: Output) -> anyhow::Result<()> {
    let functions = client.function_views().await?;
    if output.is_json() {
        let functions: Vec<_> = functions.iter().map(FunctionView::to_json).collect();
        return output.json(&functions);
    }
    if functions.is_empty() {
        output::note("there is no function; a worker declares those it is given with `Worker::function`");
        return Ok(());
    }
    let clock = Clock::new(client.redis().now_ms());
    let mut table = Table::new([
        Column::Word("function"),
        Column::Number("version"),
        Column::Number("workers"),
        Column::Number("ready"),
        Column::Number("running"),
        Column::Number("suspended"),
        Column::Number("failed"),
        Column::Word("last run"),
        Column::Prose("started by"),
    ]);
    for view in &functions {
        let last = view.last_run.as_ref().map_or_else(
            || "".into(),
            |run| {
                let text = format!("{} {}", run.state, clock.brief(run.at()));
                Cell::styled(text, of_state(run.job.state))
            },
        );
        let name = match view.is_paused() {
            true => Cell::styled(format!("{} (paused)", view.name), YELLOW),
            false => view.name.as_str().into(),
        };
        table.row([
            name,
            view.spec.as_ref().map(|spec| spec.version.to_string()).unwrap_or_default().into(),
            Cell::count(view.workers, DIM),
            Cell::count(view.stats.ready, DIM),
            Cell::count(view.stats.leased, DIM),
            Cell::count(view.stats.scheduled, DIM),
            Cell::count(view.stats.dead, RED),
            last,
            triggers(view).join(", ").into(),
        ]);
    }
    output.line(table.render())
}

/// What starts a function: events, times, schedules.
pub(super) fn triggers(view: &FunctionView) -> Vec<String> {
    let declared = view.spec.iter().flat_map(|spec| &spec.triggers).map(|trigger| match trigger {
        Trigger::Event { event, r#if: None } => event.to_string(),
        Trigger::Event { event, r#if: Some(expression) } => format!("{event} if {expression}"),
        Trigger::Cron { cron, zone: None } => cron.clone(),
        Trigger::Cron { cron, zone: Some(zone) } => format!("{cron} {zone}"),
    });
    // Those that `Function::cron` declares are told by their expressions.
    let others = view.schedules.iter().filter(|schedule| {
        let number = schedule.as_str().strip_prefix(view.name.as_str());
        !number.is_some_and(|number| number.is_empty() || number.starts_with('-'))
    });
    declared.chain(others.map(|name| format!("schedule {name}"))).collect()
}
