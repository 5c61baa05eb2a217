//! One schedule in full.

use ergate_client::ScheduleView;
use ergate_shared::schedule::{Origin, Recurrence, Target, Zone};
use jiff::Timestamp;

use crate::output::{self, BOLD, Clock, DIM, Output, YELLOW, of_state};

/// How many of its next times are shown.
const NEXT: usize = 5;

pub(super) fn run(view: &ScheduleView, output: Output) -> anyhow::Result<()> {
    if output.is_json() {
        return output.json(&view.to_json());
    }
    output.line(page(view))
}

/// `2026-11-23 03:00:00 UTC`, whatever the zone of the schedule.
pub(super) fn moment(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn page(view: &ScheduleView) -> String {
    let clock = Clock::new(view.now);
    let condition = match view.condition() {
        "active" => String::new(),
        other => format!("  {YELLOW}{other}{YELLOW:#}"),
    };
    let mut lines = vec![format!("{BOLD}{}{BOLD:#}{condition}", view.name)];
    let mut say = |title: &str, text: String| lines.push(format!("  {DIM}{title:<9}{DIM:#} {text}"));
    let spec = &view.spec;
    let text = match &spec.recurrence {
        Recurrence::Cron { cron, .. } => format!("  {DIM}{cron}{DIM:#}"),
        Recurrence::Every(_) => String::new(),
    };
    say("when", format!("{}{text}", spec.recurrence.describe()));
    say(
        "starts",
        match &spec.target {
            Target::Job(job) => {
                let payload = output::harmless(job.payload.get()).into_owned();
                format!("job {} in queue {}  {DIM}{payload}{DIM:#}", job.name, job.queue)
            }
            Target::Function(name) => format!("function {name}"),
        },
    );
    say("missed", format!("catch up: {}", spec.catch_up));
    say("overlap", spec.overlap.to_string());
    if spec.jitter_ms > 0 {
        let jitter = std::time::Duration::from_millis(spec.jitter_ms);
        say("jitter", format!("up to {}", ergate_shared::duration::show(jitter)));
    }
    say(
        "set",
        match spec.origin {
            Origin::Code => "by the code of a worker".to_owned(),
            Origin::Hand => "by hand".to_owned(),
        },
    );
    if let Some(at) = view.state.paused_at {
        say("paused", format!("since {}", clock.full(at)));
    }
    if let Some(at) = view.retired_at {
        say("retired", format!("since {}: no worker declares it", clock.full(at)));
    }
    if let Some(last) = view.last() {
        let state = match view.last_job {
            Some(state) => format!("{0}{state}{0:#}", of_state(state)),
            None => format!("{DIM}gone{DIM:#}"),
        };
        say("last", format!("{}  {} {state}", clock.full(last.at), last.job));
    }
    if let Some(held) = view.state.held {
        say("waiting", format!("for the end of the last job: the time {}", clock.full(held)));
    }
    let counts = view.state.counts;
    let grouped = output::grouped;
    say(
        "times",
        format!(
            "{} started, {} missed, {} passed over",
            grouped(counts.started),
            grouped(counts.missed),
            grouped(counts.skipped)
        ),
    );
    let zone = match &spec.recurrence {
        Recurrence::Cron { zone, .. } => zone.clone(),
        Recurrence::Every(_) => Zone::utc(),
    };
    for (place, time) in view.preview(NEXT).into_iter().enumerate() {
        let shown = time.to_zoned(zone.rules().clone()).strftime("%a %Y-%m-%d %H:%M:%S %:z").to_string();
        let ms = u64::try_from(time.as_millisecond()).unwrap_or(0);
        say(if place == 0 { "next" } else { "" }, format!("{shown}  {DIM}{}{DIM:#}", clock.relative(ms)));
    }
    lines.join("\n")
}
