//! An event on one screen.

use std::fmt::Write as _;

use ergate_client::{Client, EventView};
use serde_json::{Value, json};

use crate::output::{self, BOLD, Clock, DIM, Output, YELLOW};

/// Prints all that is known of an event.
pub(super) fn show(client: &Client, view: &EventView, output: Output) -> anyhow::Result<()> {
    output.either(&as_json(view), page(view, Clock::new(client.redis().now_ms())))
}

/// An event and what it started, for programs.
pub(super) fn as_json(view: &EventView) -> Value {
    json!({"event": view.record, "sent_at": view.sent_at, "started": view.started})
}

fn page(view: &EventView, clock: Clock) -> String {
    let record = &view.record;
    let mut text = String::new();
    let mut field = |title: &str, value: &str| {
        let _ = writeln!(text, "{DIM}{title:<10}{DIM:#} {}", output::harmless(value));
    };
    field("event", record.id.as_str());
    field("name", record.name.as_str());
    field("sent", &clock.full(view.sent_at));
    if record.ts != view.sent_at {
        field("happened", &clock.full(record.ts));
    }
    if let Some(version) = &record.v {
        field("version", version);
    }
    if let Some(user) = &record.user {
        field("user", &user.to_string());
    }
    match &view.started {
        None => {
            let _ = writeln!(text, "{DIM}delivered {DIM:#} {YELLOW}not yet{YELLOW:#}");
        }
        Some(started) => {
            field("delivered", &clock.full(started.at));
            let runs = started.runs.iter().map(|run| format!("{} {}", run.function, run.run));
            section(&mut text, "started", runs);
            let waited = started.resumed.iter().map(|(queue, run)| format!("{queue} {run}"));
            let more = started.resumed_count.saturating_sub(started.resumed.len() as u64);
            let more = (more > 0).then(|| format!("and {} more", output::grouped(more)));
            section(&mut text, "resumed", waited.chain(more));
            let cancelled = started.cancelled.iter().map(|(queue, run)| format!("{queue} {run}"));
            section(&mut text, "cancelled", cancelled);
            section(&mut text, "dropped by options of", started.dropped.iter().map(ToString::to_string));
            section(&mut text, "problems", started.problems.iter().cloned());
        }
    }
    section(&mut text, "data", output::indented(&record.data.to_string()).lines().map(str::to_owned));
    text.trim_end().to_owned()
}

fn section(text: &mut String, title: &str, lines: impl Iterator<Item = String>) {
    let mut lines = lines.peekable();
    if lines.peek().is_none() {
        return;
    }
    let _ = writeln!(text, "\n{BOLD}{title}{BOLD:#}");
    for line in lines {
        let _ = writeln!(text, "  {}", output::harmless(&line));
    }
}
