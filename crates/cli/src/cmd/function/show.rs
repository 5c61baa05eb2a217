//! Everything that is known of a function.

use anstyle::Style;
use ergate_client::{Client, FunctionView};
use ergate_shared::FunctionName;

use super::list::triggers;
use crate::{
    exit::Refusal,
    output::{self, BOLD, Clock, DIM, Output, RED, YELLOW, of_state},
};

/// What of a declaration has a line of its own.
const SHOWN_APART: [&str; 3] = ["name", "version", "triggers"];

pub(super) async fn run(client: &Client, function: &FunctionName, output: Output) -> anyhow::Result<()> {
    let Some(view) = client.function_view(function).await? else {
        return Err(Refusal::not_found(format!("no function {function}"))
            .hint("`ergate function list` tells which there are")
            .into());
    };
    if output.is_json() { output.json(&view.to_json()) } else { output.line(page(&view)) }
}

fn page(view: &FunctionView) -> String {
    const PLAIN: Style = Style::new();
    let clock = Clock::new(view.stats.now);
    let mut page = String::new();
    let mut field = |title: &str, style: Style, value: &str| {
        let before = format!("{DIM}{title:<10}{DIM:#} {style}");
        page.push_str(&output::hanging(&before, 11, &output::harmless(value), &format!("{style:#}")));
        page.push('\n');
    };
    field("function", BOLD, view.name.as_str());
    match &view.spec {
        Some(spec) => field("version", PLAIN, &spec.version.to_string()),
        None => field("version", YELLOW, "not declared by any worker"),
    }
    if view.is_paused() {
        field("state", YELLOW, "paused");
    }
    for (number, trigger) in triggers(view).iter().enumerate() {
        field(if number == 0 { "started by" } else { "" }, PLAIN, trigger);
    }
    let declared = view.spec.as_ref().and_then(|spec| serde_json::to_value(spec).ok());
    let options = declared.iter().filter_map(|spec| spec.as_object()).flatten();
    for (name, value) in options.filter(|(name, _)| !SHOWN_APART.contains(&name.as_str())) {
        field(name, PLAIN, &value.to_string());
    }
    let workers = match view.workers {
        0 => "nobody serves it".to_owned(),
        1 => "1 process serves it".to_owned(),
        count => format!("{} processes serve it", output::grouped(count)),
    };
    field("workers", if view.workers == 0 { RED } else { PLAIN }, &workers);
    let stats = &view.stats;
    let runs = [
        (stats.ready, "ready"),
        (stats.leased, "running"),
        (stats.scheduled, "suspended or delayed"),
        (stats.dead, "failed"),
        (stats.cancelled, "cancelled"),
        (stats.completed, "completed"),
    ];
    let runs: Vec<_> = runs
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, state)| format!("{} {state}", output::grouped(count)))
        .collect();
    field("runs", PLAIN, &if runs.is_empty() { "none".to_owned() } else { runs.join(", ") });
    if let Some(run) = &view.last_run {
        let when = clock.full(run.at());
        field("last run", of_state(run.job.state), &format!("{} {} {when}", run.id, run.state));
    }
    page.trim_end().to_owned()
}
