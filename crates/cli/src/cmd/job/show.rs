//! A job on one screen.

use std::fmt::Write as _;

use anstyle::Style;
use ergate_client::{Client, JobView};
use ergate_shared::{FailureKind, JobState, OnExhausted, Tries, UniqueScope, duration};

use crate::output::{self, BOLD, Clock, DIM, Output, RED};

const PLAIN: Style = Style::new();

/// Prints all that is known of a job.
pub(crate) fn show(client: &Client, view: &JobView, log_lines: usize, output: Output) -> anyhow::Result<()> {
    if output.is_json() {
        return output.json(&view.to_json());
    }
    output.line(page(view, log_lines, Clock::new(client.redis().now_ms())))
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn field(&mut self, title: &str, value: impl AsRef<str>) {
        self.styled(title, value, PLAIN);
    }

    fn styled(&mut self, title: &str, value: impl AsRef<str>, style: Style) {
        let value = output::harmless(value.as_ref());
        let before = format!("{DIM}{title:<10}{DIM:#} {style}");
        self.text.push_str(&output::hanging(&before, 11, &value, &format!("{style:#}")));
        self.text.push('\n');
    }

    fn section(&mut self, title: &str, body: &str) {
        let body = output::harmless(body);
        let _ = writeln!(self.text, "\n{BOLD}{title}{BOLD:#}");
        for line in body.lines() {
            let _ = writeln!(self.text, "  {line}");
        }
    }
}

fn page(view: &JobView, log_lines: usize, clock: Clock) -> String {
    let mut page = Page::default();
    page.styled("job", view.id.as_str(), BOLD);
    page.field("name", if view.name().is_empty() { "?" } else { view.name() });
    page.field("queue", view.queue.as_str());
    page.styled("state", state(view, clock), output::of_state(view.state));
    page.field("tries", tries(view));
    if let Some(worker) = &view.worker {
        page.field("worker", worker);
    }
    if let Some(progress) = &view.progress {
        page.field("progress", progress);
    }
    if let Ok(record) = &view.record {
        page.field("enqueued", clock.full(record.enqueued_at));
        if record.due_at > record.enqueued_at {
            page.field("due first", clock.full(record.due_at));
        }
        page.field("priority", record.priority.to_string());
        if let Some((scope, key)) = &record.unique {
            let until = match scope {
                UniqueScope::Started => "until it starts",
                UniqueScope::Finished => "until it has ended",
                UniqueScope::Window => "for a time",
            };
            page.field("unique", format!("{key} ({until})"));
        }
        if record.expires {
            page.field("expires", "if it has not started in time");
        }
        let options = &record.options;
        let (retries, backoff, timeout) = (options.retries, &options.backoff, options.timeout);
        for (title, value) in [
            ("retries", retries.map(|retries| retries.to_string())),
            ("backoff", backoff.as_ref().map(ToString::to_string)),
            ("timeout", timeout.map(duration::show)),
            ("then", options.on_exhausted.map(then)),
            ("tags", (!options.tags.is_empty()).then(|| options.tags.join(", "))),
            ("trace", options.traceparent.clone()),
        ] {
            if let Some(value) = value {
                page.field(title, value);
            }
        }
    }
    if log_lines > 0 {
        let lines = output::counted(log_lines as u64, "line");
        page.field("log", format!("{lines}: `ergate job log {} {}`", view.queue, view.id));
    }
    failure(&mut page, view, clock);
    outcome(&mut page, view);
    match &view.record {
        Ok(record) => {
            let version =
                if record.version == 1 { String::new() } else { format!(" (version {})", record.version) };
            page.section(
                &format!("payload{version}"),
                &output::indented(&String::from_utf8_lossy(&record.payload)),
            );
        }
        Err(problem) => page.section("record", problem),
    }
    page.text.trim_end().to_owned()
}

fn then(on_exhausted: OnExhausted) -> String {
    match on_exhausted {
        OnExhausted::DeadLetter => "dead letter after the last try".to_owned(),
        OnExhausted::Discard => "discarded after the last try".to_owned(),
        OnExhausted::RetryLater(after) => format!("starts over {} after the last try", duration::show(after)),
    }
}

fn state(view: &JobView, clock: Clock) -> String {
    let name = view.state.as_str();
    match (view.state, view.at, &view.outcome) {
        (JobState::Scheduled, Some(at), _) if view.tries.failures > 0 => {
            format!("{name}, to be retried {}", clock.relative(at))
        }
        (JobState::Scheduled, Some(at), _) => format!("{name}, due {}", clock.full(at)),
        (JobState::Dead, Some(at), _) => format!("{name} since {}", clock.full(at)),
        (_, _, Some(outcome)) => format!("{name} {}", clock.full(outcome.at)),
        _ => name.to_owned(),
    }
}

/// The tries in a plain sentence: `attempt 2 of 4 comes next; 1 failure, 1 crash (a worker died)`.
fn tries(view: &JobView) -> String {
    let retries = view.record.as_ref().ok().and_then(|record| record.options.retries);
    sentence(view.state, view.tries, retries)
}

fn sentence(state: JobState, tries: Tries, retries: Option<u32>) -> String {
    let of = retries.map(|retries| format!(" of {}", retries.saturating_add(1))).unwrap_or_default();
    let attempt = tries.attempt();
    let head = match state {
        JobState::Scheduled | JobState::Ready if tries == Tries::default() => {
            return retries.map_or_else(
                || "none yet".to_owned(),
                |retries| format!("none yet, at most {}", retries.saturating_add(1)),
            );
        }
        JobState::Scheduled | JobState::Ready => format!("attempt {attempt}{of} comes next"),
        JobState::Leased => format!("attempt {attempt}{of} runs"),
        JobState::Completed => format!("attempt {attempt}{of} completed it"),
        JobState::Cancelled => "no more will follow".to_owned(),
        JobState::Dead => "given up".to_owned(),
    };
    let counts = [
        (tries.failures, "failure", "failures", ""),
        (tries.crashes, "crash", "crashes", " (a worker died or lost its lease)"),
        (tries.interruptions, "interruption", "interruptions", " (a worker stopped; free)"),
        (tries.snoozes, "snooze", "snoozes", " (put off by the handler; free)"),
        (tries.unhandled, "time unhandled", "times unhandled", " (no worker had a handler)"),
    ];
    let counts: Vec<_> = counts
        .into_iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, one, many, why)| format!("{count} {}{why}", if count == 1 { one } else { many }))
        .collect();
    if counts.is_empty() { head } else { format!("{head}; {}", counts.join(", ")) }
}

fn failure(page: &mut Page, view: &JobView, clock: Clock) {
    let Some(failure) = &view.failure else { return };
    let what = match failure.kind {
        FailureKind::Error => "its handler returned an error",
        FailureKind::Panic => "its handler panicked",
        FailureKind::Timeout => "it ran longer than its time-out",
        FailureKind::Crashed => "its workers died under it too often",
        FailureKind::Decode => "its payload could not be read",
        FailureKind::Unhandled => "no worker has a handler for it",
        FailureKind::Expired => "it had not started by its expiry",
        FailureKind::Cancelled => "it was cancelled",
        _ => "it failed",
    };
    let attempt =
        if failure.attempt > 0 { format!(" at attempt {}", failure.attempt) } else { String::new() };
    let worker =
        if failure.worker.is_empty() { String::new() } else { format!(" on worker {}", failure.worker) };
    let when = if failure.at > 0 { format!(", {}", clock.relative(failure.at)) } else { String::new() };
    let about = format!("{what}{attempt}{worker}{when}");
    let message = output::harmless(&failure.message);
    let mut body = format!("{RED}{message}{RED:#}");
    for cause in &failure.chain {
        let _ = write!(body, "\n  caused by: {}", output::harmless(cause));
    }
    let title =
        output::hanging(&format!("{BOLD}last failure{BOLD:#}  {DIM}"), 14, &about, &format!("{DIM:#}"));
    let _ = writeln!(page.text, "\n{title}");
    for line in body.lines() {
        let _ = writeln!(page.text, "  {line}");
    }
}

fn outcome(page: &mut Page, view: &JobView) {
    let Some(outcome) = &view.outcome else { return };
    match view.state {
        JobState::Completed if outcome.detail != "null" && !outcome.detail.is_empty() => {
            page.section("result", &output::indented(&outcome.detail));
        }
        JobState::Cancelled if !outcome.detail.is_empty() => page.section("reason", &outcome.detail),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_are_told_as_a_sentence() {
        let none = Tries::default();
        let some = Tries { failures: 1, crashes: 1, ..none };

        assert_eq!(sentence(JobState::Ready, none, None), "none yet");
        assert_eq!(sentence(JobState::Ready, none, Some(3)), "none yet, at most 4");
        assert_eq!(
            sentence(JobState::Leased, some, Some(3)),
            "attempt 2 of 4 runs; 1 failure, 1 crash (a worker died or lost its lease)"
        );
        assert_eq!(sentence(JobState::Dead, Tries { failures: 4, ..none }, Some(3)), "given up; 4 failures");
        assert_eq!(sentence(JobState::Completed, none, None), "attempt 1 completed it");
    }
}
