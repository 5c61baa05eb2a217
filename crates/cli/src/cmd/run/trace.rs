//! All that a run has done, on a time line.

use std::time::Duration;

use ergate_client::{RunHandle, RunTrace};
use ergate_shared::run::{AttemptTrace, StepKind, StepTrace};

use super::{
    explained,
    show::{head, outcome, state_of},
};
use crate::{
    listing::shortened,
    output::{self, BOLD, Cell, Clock, Column, DIM, Output, RED, Table, YELLOW},
};

/// How wide the time line is, in characters.
const WIDTH: u64 = 32;

/// Prints all that a run has done.
pub(super) async fn print(run: &RunHandle, output: Output) -> anyhow::Result<()> {
    let trace = run.trace().await.map_err(|error| explained(error, run.function()))?;
    if output.is_json() {
        return output.json(&trace);
    }
    let clock = Clock::new(trace.now);
    let mut page = head(&trace, clock);
    if !trace.steps.is_empty() {
        let line = TimeLine::of(&trace);
        let took = Duration::from_millis(line.ends - line.begins);
        page.push_str(&format!("\n\n{BOLD}steps{BOLD:#} {DIM}over {}{DIM:#}\n", output::about(took)));
        page.push_str(&steps(&trace, &line, clock));
    }
    output.line(page)
}

fn steps(trace: &RunTrace, line: &TimeLine, clock: Clock) -> String {
    let mut table = Table::new([
        Column::Word("step"),
        Column::Word("state"),
        Column::Word("took"),
        Column::Word("began"),
        Column::Word("time line"),
        Column::Prose("outcome"),
    ]);
    for step in &trace.steps {
        table.row([
            step.id.as_str().into(),
            state_of(step),
            took(step, line.ends).into(),
            Cell::styled(output::moment(step.began_at), DIM),
            line.bar(step).into(),
            shortened(&outcome(step, clock)).into(),
        ]);
        if let Some(input) = &step.input {
            table.row([
                "  given".into(),
                "".into(),
                "".into(),
                "".into(),
                "".into(),
                shortened(input.get()).into(),
            ]);
        }
        for attempt in step.attempts.iter().filter(|_| step.attempts.len() > 1) {
            table.row(row(attempt, line));
        }
    }
    table.render()
}

fn row(attempt: &AttemptTrace, line: &TimeLine) -> [Cell; 6] {
    let (state, style) = if attempt.failure.is_some() { ("failed", YELLOW) } else { ("done", DIM) };
    let took = output::about(Duration::from_millis(attempt.ran_ms));
    let message = attempt.failure.as_ref().map_or("", |failure| failure.message.as_str());
    [
        Cell::styled(format!("  attempt {}", attempt.number), DIM),
        Cell::styled(state, style),
        Cell::styled(took, DIM),
        Cell::styled(output::moment(attempt.ended_at), DIM),
        Cell::styled(
            line.between(attempt.ended_at.saturating_sub(attempt.ran_ms), attempt.ended_at, '━'),
            style,
        ),
        Cell::styled(shortened(message), RED),
    ]
}

fn took(step: &StepTrace, now: u64) -> String {
    output::about(Duration::from_millis(step.ended_at.unwrap_or(now).saturating_sub(step.began_at)))
}

/// The time from a run's start to its end, or to now, in ms since the epoch.
struct TimeLine {
    begins: u64,
    ends: u64,
}

impl TimeLine {
    fn of(trace: &RunTrace) -> Self {
        // What was copied from another run happened before this one was started.
        let began = trace.steps.iter().map(|step| step.began_at).chain([trace.started_at]).min();
        let begins = began.unwrap_or_default();
        Self { begins, ends: trace.ended_at.unwrap_or(trace.now).max(begins) }
    }

    /// What has a body is drawn heavier than what waits.
    fn bar(&self, step: &StepTrace) -> String {
        let mark = if step.kind == StepKind::Run { '█' } else { '─' };
        self.between(step.began_at, step.ended_at.unwrap_or(self.ends), mark)
    }

    /// At least one mark, as nothing takes no time at all.
    fn between(&self, from: u64, to: u64, mark: char) -> String {
        let span = (self.ends - self.begins).max(1);
        let place = |at: u64| {
            let at = at.clamp(self.begins, self.ends) - self.begins;
            u64::try_from(u128::from(at) * u128::from(WIDTH) / u128::from(span)).unwrap_or(WIDTH)
        };
        let first = place(from).min(WIDTH - 1);
        let last = place(to).clamp(first + 1, WIDTH);
        let cell = |cell: u64| if (first..last).contains(&cell) { mark } else { '·' };
        (0..WIDTH).map(cell).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_begins_and_ends_where_its_step_did() {
        let line = TimeLine { begins: 1000, ends: 1320 };

        assert_eq!(
            line.between(1080, 1160, '█'),
            format!("{}{}{}", "·".repeat(8), "█".repeat(8), "·".repeat(16))
        );
    }

    #[test]
    fn what_took_no_time_is_seen_all_the_same() {
        let line = TimeLine { begins: 1000, ends: 1_000_000 };

        assert!(line.between(1000, 1000, '█').starts_with("█·"));
        assert!(line.between(1_000_000, 1_000_000, '█').ends_with("·█"));
        assert_eq!(
            TimeLine { begins: 5, ends: 5 }.between(5, 5, '█').chars().filter(|c| *c == '█').count(),
            1
        );
    }
}
