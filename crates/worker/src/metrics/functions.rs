//! Metrics of durable functions, their steps, and events. The labels are names of functions and closed lists.

use std::time::Duration;

use ergate_shared::{FunctionName, RunInput, run::Op};
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, Registry};

use super::{SECONDS, counter, histogram};
use crate::Ended;

#[derive(Debug)]
pub(super) struct FunctionMetrics {
    runs: IntCounterVec,
    steps: IntCounterVec,
    step: HistogramVec,
    event_to_start: HistogramVec,
    sent: IntCounterVec,
    routed: IntCounterVec,
    routing: HistogramVec,
}

/// The metrics of one function, looked up once.
#[derive(Debug, Clone)]
pub(crate) struct RunMetrics {
    started: IntCounter,
    event_to_start: Histogram,
    done: IntCounter,
    retried: IntCounter,
    failed: IntCounter,
    step: Histogram,
}

impl FunctionMetrics {
    pub(super) fn in_registry(registry: &Registry) -> prometheus::Result<Self> {
        let function = &["function"][..];
        let outcome = &["function", "outcome"][..];
        Ok(Self {
            runs: counter(
                registry,
                "ergate_runs_total",
                "Runs by what became of them: started, completed, failed, cancelled, suspended.",
                outcome,
            )?,
            steps: counter(
                registry,
                "ergate_steps_total",
                "Attempts at bodies of steps that were recorded: done, retried, failed.",
                outcome,
            )?,
            step: histogram(
                registry,
                "ergate_step_run_seconds",
                "How long bodies of steps ran at each attempt.",
                function,
                SECONDS,
            )?,
            event_to_start: histogram(
                registry,
                "ergate_event_to_start_seconds",
                "From an event sent, or due if it was sent ahead, to the start of its run.",
                function,
                SECONDS,
            )?,
            sent: counter(
                registry,
                "ergate_events_sent_total",
                "Events this process sent, by outcome: kept, or duplicate.",
                &["outcome"],
            )?,
            routed: counter(
                registry,
                "ergate_events_routed_total",
                "Events whose runs were started and waits ended.",
                &[],
            )?,
            routing: histogram(
                registry,
                "ergate_event_routing_seconds",
                "From an event sent, or due, to all that it starts and ends being in place.",
                &[],
                SECONDS,
            )?,
        })
    }

    pub(super) fn of(&self, function: &FunctionName) -> RunMetrics {
        let function = function.as_str();
        let steps = |outcome| self.steps.with_label_values(&[function, outcome]);
        RunMetrics {
            started: self.runs.with_label_values(&[function, "started"]),
            event_to_start: self.event_to_start.with_label_values(&[function]),
            done: steps("done"),
            retried: steps("retried"),
            failed: steps("failed"),
            step: self.step.with_label_values(&[function]),
        }
    }

    pub(super) fn ended(&self, function: &str, ended: Ended) {
        let outcome = match ended {
            Ended::Completed => "completed",
            Ended::Dead | Ended::Discarded => "failed",
            Ended::Cancelled => "cancelled",
            Ended::Suspended => "suspended",
            // It will be leased again, and that is all.
            Ended::Retried | Ended::Snoozed | Ended::Interrupted | Ended::Unhandled => return,
        };
        self.runs.with_label_values(&[function, outcome]).inc();
    }

    pub(super) fn sent(&self, kept: u64, duplicates: u64) {
        for (outcome, total) in [("kept", kept), ("duplicate", duplicates)] {
            let counter = self.sent.with_label_values(&[outcome]);
            counter.inc_by(total.saturating_sub(counter.get()));
        }
    }

    pub(super) fn routed(&self, after: Duration) {
        self.routed.with_label_values::<&str>(&[]).inc();
        self.routing.with_label_values::<&str>(&[]).observe(after.as_secs_f64());
    }
}

impl RunMetrics {
    /// A run has begun, at the time `now` in ms since the epoch.
    pub(crate) fn started(&self, input: &RunInput, now: u64) {
        self.started.inc();
        // Only the id of an event that has none of the user's own tells when it was sent.
        let Some(event) = input.events.first() else { return };
        if let Some(sent) = event.id.time_ms() {
            let waited = Duration::from_millis(now.saturating_sub(sent.max(event.ts)));
            self.event_to_start.observe(waited.as_secs_f64());
        }
    }

    /// What a step has come to was recorded.
    pub(crate) fn recorded(&self, step: StepEnd) {
        let (counter, ran_ms) = match step {
            StepEnd::Done { ran_ms } => (&self.done, ran_ms),
            StepEnd::Retried { ran_ms } => (&self.retried, ran_ms),
            StepEnd::Failed { ran_ms } => (&self.failed, ran_ms),
        };
        counter.inc();
        self.step.observe(Duration::from_millis(ran_ms).as_secs_f64());
    }
}

/// What an attempt at a step's body came to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum StepEnd {
    Done { ran_ms: u64 },
    Retried { ran_ms: u64 },
    Failed { ran_ms: u64 },
}

impl StepEnd {
    /// `None` for an entry that is about no attempt.
    pub(crate) const fn of(op: &Op) -> Option<Self> {
        match op {
            Op::Done { ran, .. } => Some(Self::Done { ran_ms: *ran }),
            Op::Retry { ran, .. } => Some(Self::Retried { ran_ms: *ran }),
            Op::Failed { ran, .. } => Some(Self::Failed { ran_ms: *ran }),
            _ => None,
        }
    }
}
