//! A run on one screen: how it stands, and what each of its steps has come to.

use anstyle::Style;
use ergate_client::{RunHandle, RunTrace};
use ergate_shared::run::{RunState, StepKind, StepState, StepTrace};

use super::{explained, list::awaited};
use crate::{
    listing::shortened,
    output::{self, BLUE, BOLD, CYAN, Cell, Clock, Column, DIM, GREEN, Output, RED, Table, YELLOW},
};

const PLAIN: Style = Style::new();

/// Prints all that is known of a run.
pub(super) async fn show(run: &RunHandle, output: Output) -> anyhow::Result<()> {
    let trace = run.trace().await.map_err(|error| explained(error, run.function()))?;
    if output.is_json() {
        return output.json(&trace);
    }
    let clock = Clock::new(trace.now);
    let head = head(&trace, clock);
    if trace.steps.is_empty() {
        return output.line(head);
    }
    let mut table = Table::new([
        Column::Word("step"),
        Column::Word("state"),
        Column::Number("failed"),
        Column::Word("when"),
        Column::Prose("outcome"),
    ]);
    for step in &trace.steps {
        let failed = step.attempts.iter().filter(|attempt| attempt.failure.is_some()).count();
        table.row([
            step.id.as_str().into(),
            state_of(step),
            Cell::count(failed as u64, YELLOW),
            Cell::styled(clock.brief(step.ended_at.unwrap_or(step.began_at)), DIM),
            shortened(&outcome(step, clock)).into(),
        ]);
    }
    output.line(format!("{head}\n\n{BOLD}steps{BOLD:#}\n{}", table.render()))
}

/// What is known of the run as a whole.
pub(super) fn head(trace: &RunTrace, clock: Clock) -> String {
    let mut page = String::new();
    let mut field = |title: &str, style: Style, value: &str| {
        let before = format!("{DIM}{title:<10}{DIM:#} {style}");
        page.push_str(&output::hanging(&before, 11, &output::harmless(value), &format!("{style:#}")));
        page.push('\n');
    };
    field("run", BOLD, trace.id.as_str());
    field("function", PLAIN, trace.function.as_str());
    field("state", style_of(trace.state), &state(trace, clock));
    field("started", PLAIN, &clock.full(trace.started_at));
    if let Some(rerun) = &trace.rerun_of {
        let from = rerun.from.as_ref().map(|step| format!(", from step {step}")).unwrap_or_default();
        field("rerun of", PLAIN, &format!("{}{from}", rerun.run));
    }
    if let Some(parent) = &trace.parent {
        field("for", PLAIN, &format!("run {} of {}", parent.run, parent.queue));
    }
    for event in &trace.events {
        field("event", PLAIN, &format!("{} {}", event.name, event.id));
        field("data", PLAIN, &shortened(&event.data.to_string()));
    }
    if let Some(worker) = &trace.worker {
        field("worker", PLAIN, worker);
    }
    if let Some(failure) = &trace.failure {
        field("failure", RED, &failure.message);
    }
    if let Some(result) = trace.result.as_ref().filter(|result| result.get() != "null") {
        field("result", PLAIN, &shortened(result.get()));
    }
    if let Some(reason) = trace.reason.as_deref().filter(|reason| !reason.is_empty()) {
        field("reason", PLAIN, reason);
    }
    page.trim_end().to_owned()
}

fn state(trace: &RunTrace, clock: Clock) -> String {
    match trace.ended_at.or(trace.due_at) {
        Some(at) if trace.ended_at.is_none() => format!("{}, due {}", trace.state, clock.full(at)),
        Some(at) => format!("{} {}", trace.state, clock.full(at)),
        None => trace.state.to_string(),
    }
}

const fn style_of(state: RunState) -> Style {
    match state {
        RunState::Queued => BLUE,
        RunState::Running => YELLOW,
        RunState::Suspended => CYAN,
        RunState::Completed => GREEN,
        RunState::Failed => RED,
        RunState::Cancelled => DIM,
    }
}

/// How a step stands, in a word.
pub(super) fn state_of(step: &StepTrace) -> Cell {
    let style = match step.state {
        StepState::Done => GREEN,
        StepState::Failed => RED,
        StepState::Retrying | StepState::TimedOut => YELLOW,
        _ => DIM,
    };
    Cell::styled(step.state.as_str(), style)
}

/// What a step has come to, or what it waits for.
pub(super) fn outcome(step: &StepTrace, clock: Clock) -> String {
    let waits = step.waits_for.as_ref().map(|pending| awaited(pending, clock));
    if let Some(error) = &step.error {
        let waits = waits.map(|waits| format!("; {waits}")).unwrap_or_default();
        return format!("{}{waits}", error.message);
    }
    let output = step.output.as_ref().map(|output| output.get()).filter(|output| *output != "null");
    match (waits, output, step.kind) {
        (Some(waits), ..) => waits,
        (None, Some(output), _) => output.to_owned(),
        (None, None, StepKind::Sleep) => step.ended_at.map(|at| clock.full(at)).unwrap_or_default(),
        (None, None, _) => String::new(),
    }
}
