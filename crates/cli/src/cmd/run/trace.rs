//! A run on one screen: how it stands, and what each of its steps has come to.

use anstyle::Style;
use ergate_client::{JobView, RunHandle};
use ergate_shared::{
    JobState, RunInput,
    run::{Entry, Journal, Op, Resolution, RunState},
};
use serde_json::{Value, json};

use crate::{
    listing::shortened,
    output::{self, BOLD, Cell, Clock, Column, DIM, GREEN, Output, RED, Table, YELLOW},
};

const PLAIN: Style = Style::new();

/// Prints all that is known of a run.
pub(crate) async fn show(run: &RunHandle, output: Output) -> anyhow::Result<()> {
    let view = run.job().get().await?;
    let journal = run.journal().await?;
    if output.is_json() {
        return output.json(&as_json(run, &view, &journal)?);
    }
    let clock = Clock::new(run.job().queue().client().redis().now_ms());
    output.line(page(run, &view, &journal, clock))
}

/// A step: its first entry, its last, and how many attempts at it failed.
struct Step<'a> {
    first: &'a Entry,
    last: &'a Entry,
    failed: u32,
}

fn steps(journal: &Journal) -> Vec<Step<'_>> {
    let mut steps: Vec<Step<'_>> = Vec::new();
    for entry in journal.entries().iter().filter(|entry| !matches!(entry.op, Op::Again)) {
        let failed = u32::from(matches!(entry.op, Op::Retry { .. } | Op::Failed { .. }));
        match steps.iter_mut().find(|step| step.first.step == entry.step) {
            Some(step) => {
                step.last = entry;
                step.failed += failed;
            }
            None => steps.push(Step { first: entry, last: entry, failed }),
        }
    }
    steps
}

fn as_json(run: &RunHandle, view: &JobView, journal: &Journal) -> anyhow::Result<Value> {
    let steps: Vec<Value> = steps(journal)
        .iter()
        .map(|step| json!({"id": step.first.step, "began": step.first.at, "last": step.last.op, "at": step.last.at, "failed_attempts": step.failed}))
        .collect();
    Ok(json!({
        "function": run.function(),
        "id": run.id(),
        "state": RunState::of(view.state, journal.len()),
        "job": view.to_json(),
        "steps": steps,
        "journal": serde_json::to_value(journal.entries())?,
    }))
}

fn page(run: &RunHandle, view: &JobView, journal: &Journal, clock: Clock) -> String {
    let mut page = String::new();
    let mut field = |title: &str, style: Style, value: &str| {
        let before = format!("{DIM}{title:<10}{DIM:#} {style}");
        page.push_str(&output::hanging(&before, 11, &output::harmless(value), &format!("{style:#}")));
        page.push('\n');
    };
    field("run", BOLD, run.id().as_str());
    field("function", PLAIN, run.function().as_str());
    field("state", output::of_state(view.state), &state(view, journal, clock));
    if let Ok(record) = &view.record {
        field("started", PLAIN, &clock.full(record.enqueued_at));
        if let Ok(input) = serde_json::from_slice::<RunInput>(&record.payload) {
            for event in &input.events {
                field("event", PLAIN, &format!("{} {}", event.name, event.id));
                field("data", PLAIN, &shortened(&event.data.to_string()));
            }
        }
    }
    if let Some(failure) = &view.failure {
        field("failure", RED, &failure.message);
    }
    if let Some(outcome) =
        view.outcome.as_ref().filter(|outcome| !matches!(outcome.detail.as_str(), "" | "null"))
    {
        let title = if view.state == JobState::Completed { "result" } else { "reason" };
        field(title, PLAIN, &shortened(&outcome.detail));
    }
    if journal.is_empty() {
        return page.trim_end().to_owned();
    }
    let mut table = Table::new([
        Column::Word("step"),
        Column::Word("state"),
        Column::Number("failed"),
        Column::Word("when"),
        Column::Prose("outcome"),
    ]);
    for step in steps(journal) {
        let (state, style, detail) = outcome(step.last, clock);
        table.row([
            step.first.step.as_str().into(),
            Cell::styled(state, style),
            Cell::count(step.failed.into(), YELLOW),
            Cell::styled(clock.brief(step.last.at), DIM),
            shortened(&detail).into(),
        ]);
    }
    format!("{page}\n{BOLD}steps{BOLD:#}\n{}", table.render())
}

fn state(view: &JobView, journal: &Journal, clock: Clock) -> String {
    let state = RunState::of(view.state, journal.len());
    match (view.at, &view.outcome) {
        (Some(at), _) if view.state == JobState::Scheduled => format!("{state}, due {}", clock.full(at)),
        (Some(at), _) => format!("{state} {}", clock.full(at)),
        (_, Some(outcome)) => format!("{state} {}", clock.full(outcome.at)),
        _ => state.to_string(),
    }
}

fn outcome(last: &Entry, clock: Clock) -> (&'static str, anstyle::Style, String) {
    match &last.op {
        Op::Done { result, ran, .. } => {
            let result = if result.get() == "null" { String::new() } else { format!(": {}", result.get()) };
            ("done", GREEN, format!("ran {ran} ms{result}"))
        }
        Op::Retry { failure, due, .. } => {
            ("retrying", YELLOW, format!("{}; tried again {}", failure.message, clock.relative(*due)))
        }
        Op::Failed { failure, .. } => ("failed", RED, failure.message.clone()),
        Op::Wait { event, due, .. } => ("waiting", DIM, format!("for {event} until {}", clock.full(*due))),
        Op::Invoke { queue, job, due } => {
            ("invoked", DIM, format!("{queue} {job}, waiting until {}", clock.full(*due)))
        }
        Op::Sleep { due } => ("sleep", DIM, format!("until {}", clock.full(*due))),
        Op::Resolved { with, .. } => match with {
            Resolution::Event(event) => ("came", GREEN, format!("{} {}", event.name, event.id)),
            Resolution::Result(result) => ("done", GREEN, result.get().to_owned()),
            Resolution::Failure(failure) => ("failed", RED, failure.message.clone()),
            Resolution::TimedOut => ("timed out", YELLOW, String::new()),
        },
        Op::Again => ("", DIM, String::new()),
    }
}
