//! What a run's journal says of each step, for people and tools that look at it.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::{Entry, Journal, Op, Resolution};
use crate::{EventName, FailureRecord, JobId, QueueName};

/// A step of a run.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct StepTrace {
    /// Its id, with `#2` and so on from the second use of the same id in a run.
    pub id: String,
    /// What it does.
    pub kind: StepKind,
    /// How it stands.
    pub state: StepState,
    /// When it began, in ms since the epoch.
    pub began_at: u64,
    /// When it came to its end, likewise; `None` as long as it has not.
    pub ended_at: Option<u64>,
    /// The attempts at its body, oldest first; none for what has no body.
    pub attempts: Vec<AttemptTrace>,
    /// What it was given, as JSON, where the journal has it: the condition of a wait.
    pub input: Option<Box<RawValue>>,
    /// What it returned, or the event that came, as JSON.
    pub output: Option<Box<RawValue>>,
    /// Its last failure, unless it was done in the end.
    pub error: Option<FailureRecord>,
    /// What it waits for now.
    pub waits_for: Option<Pending>,
}

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StepKind {
    /// It has a body.
    Run,
    /// It lets time pass.
    Sleep,
    /// It waits for an event.
    Wait,
    /// It has another run or a job done, and waits for the result.
    Invoke,
}

/// How a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StepState {
    /// It is done.
    Done,
    /// It is out of attempts, or failed for good.
    Failed,
    /// An attempt failed, and there will be another.
    Retrying,
    /// It lets time pass.
    Sleeping,
    /// It waits for something from outside.
    Waiting,
    /// What it waited for did not come in time.
    TimedOut,
    /// It was under way when the run ended.
    Abandoned,
}

/// One attempt at a step's body.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct AttemptTrace {
    /// Which, from 1; it begins anew after the run was started again.
    pub number: u32,
    /// When it ended, in ms since the epoch.
    pub ended_at: u64,
    /// How long it ran, in ms.
    pub ran_ms: u64,
    /// What went wrong.
    pub failure: Option<FailureRecord>,
}

/// What a run waits for in one of its steps, and until when.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pending {
    /// The step.
    pub step: String,
    /// What for.
    pub what: Awaits,
    /// Until when, in ms since the epoch.
    pub until: u64,
}

/// What a step waits for.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Awaits {
    /// That time passes.
    Time,
    /// Its next attempt.
    Attempt,
    /// An event of this name.
    Event(EventName),
    /// The end of this run or job.
    End {
        /// The queue it is in.
        queue: QueueName,
        /// Its id.
        job: JobId,
    },
}

impl Awaits {
    /// What a step waits for whose last entry this is, and until when; `None` if for nothing.
    pub(super) fn of(op: &Op) -> Option<(Self, u64)> {
        match op {
            Op::Sleep { due } => Some((Self::Time, *due)),
            Op::Retry { due, .. } => Some((Self::Attempt, *due)),
            Op::Wait { event, due, .. } => Some((Self::Event(event.clone()), *due)),
            Op::Invoke { queue, job, due } => {
                Some((Self::End { queue: queue.clone(), job: job.clone() }, *due))
            }
            Op::Done { .. } | Op::Failed { .. } | Op::Resolved { .. } | Op::Again => None,
        }
    }

    /// Whether nothing but the time has to come.
    pub(super) const fn is_time(&self) -> bool {
        matches!(self, Self::Time | Self::Attempt)
    }
}

impl StepState {
    /// The name users know it by.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Retrying => "retrying",
            Self::Sleeping => "sleeping",
            Self::Waiting => "waiting",
            Self::TimedOut => "timed out",
            Self::Abandoned => "abandoned",
        }
    }
}

/// The steps of a run in the order in which they began, at the time `now`; `ended_at` says when the run ended, `None` if it has
/// not. Both in ms since the epoch.
pub fn trace(journal: &Journal, now: u64, ended_at: Option<u64>) -> Vec<StepTrace> {
    let mut steps: Vec<StepTrace> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for entry in journal.entries().iter().filter(|entry| !matches!(entry.op, Op::Again)) {
        let place = *places.entry(&entry.step).or_insert_with(|| {
            steps.push(StepTrace::begun(entry));
            steps.len() - 1
        });
        steps[place].add(entry);
    }
    let upto = ended_at.map_or(now, |ended| ended.min(now));
    for step in &mut steps {
        step.settle(upto, ended_at);
    }
    steps
}

impl StepTrace {
    fn begun(entry: &Entry) -> Self {
        let kind = match entry.op {
            Op::Sleep { .. } => StepKind::Sleep,
            Op::Wait { .. } | Op::Resolved { .. } => StepKind::Wait,
            Op::Invoke { .. } => StepKind::Invoke,
            Op::Done { .. } | Op::Retry { .. } | Op::Failed { .. } | Op::Again => StepKind::Run,
        };
        let ran = match entry.op {
            Op::Done { ran, .. } | Op::Retry { ran, .. } | Op::Failed { ran, .. } => ran,
            _ => 0,
        };
        Self {
            id: entry.step.clone(),
            kind,
            state: StepState::Waiting,
            began_at: entry.at.saturating_sub(ran),
            ended_at: None,
            attempts: Vec::new(),
            input: None,
            output: None,
            error: None,
            waits_for: None,
        }
    }

    fn add(&mut self, entry: &Entry) {
        (self.ended_at, self.error, self.waits_for) = (None, None, None);
        let attempt = |number: u32, ran_ms: u64, failure: Option<&FailureRecord>| AttemptTrace {
            number,
            ended_at: entry.at,
            ran_ms,
            failure: failure.cloned(),
        };
        match &entry.op {
            Op::Done { result, attempt: number, ran } => {
                self.attempts.push(attempt(*number, *ran, None));
                self.end(StepState::Done, entry.at, Some(result.clone()));
            }
            Op::Retry { failure, attempt: number, ran, .. } => {
                self.attempts.push(attempt(*number, *ran, Some(failure)));
                self.error = Some(failure.clone());
                self.state = StepState::Retrying;
            }
            Op::Failed { failure, attempt: number, ran } => {
                self.attempts.push(attempt(*number, *ran, Some(failure)));
                self.end(StepState::Failed, entry.at, None);
                self.error = Some(failure.clone());
            }
            Op::Sleep { .. } => self.state = StepState::Sleeping,
            Op::Wait { condition, .. } => {
                self.input = to_raw_value(condition).ok();
                self.state = StepState::Waiting;
            }
            Op::Invoke { queue, job, .. } => {
                self.input = to_raw_value(&serde_json::json!({ "queue": queue, "job": job })).ok();
                self.state = StepState::Waiting;
            }
            Op::Resolved { with, .. } => match with {
                Resolution::Event(event) => self.end(StepState::Done, entry.at, to_raw_value(event).ok()),
                Resolution::Result(result) => self.end(StepState::Done, entry.at, Some(result.clone())),
                Resolution::TimedOut => self.end(StepState::TimedOut, entry.at, None),
                Resolution::Failure(failure) => {
                    self.end(StepState::Failed, entry.at, None);
                    self.error = Some(failure.clone());
                }
            },
            Op::Again => {}
        }
        self.waits_for =
            Awaits::of(&entry.op).map(|(what, until)| Pending { step: self.id.clone(), what, until });
    }

    fn end(&mut self, state: StepState, at: u64, output: Option<Box<RawValue>>) {
        (self.state, self.ended_at, self.output) = (state, Some(at), output);
    }

    /// A sleep has no entry for its end; and a run that has ended waits for nothing.
    fn settle(&mut self, upto: u64, run_ended_at: Option<u64>) {
        let Some(pending) = &self.waits_for else { return };
        if pending.what == Awaits::Time && pending.until <= upto {
            let until = pending.until;
            (self.state, self.ended_at, self.waits_for) = (StepState::Done, Some(until), None);
        } else if run_ended_at.is_some() {
            (self.state, self.ended_at, self.waits_for) = (StepState::Abandoned, run_ended_at, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn journal(entries: &[(&str, u64, Value)]) -> Journal {
        let mut journal = Journal::default();
        for (step, at, op) in entries {
            let text = json!({"step": step, "at": at, "op": op}).to_string();
            journal.append(Entry::from_json(&text).unwrap(), text.len());
        }
        journal
    }

    fn failure() -> Value {
        json!({"kind": "error", "message": "no", "at": 1})
    }

    #[test]
    fn a_step_has_its_attempts_times_and_what_it_returned() {
        let steps = trace(
            &journal(&[
                (
                    "charge",
                    100,
                    json!({"retry": {"failure": failure(), "attempt": 1, "due": 150, "ran": 20}}),
                ),
                (
                    "charge",
                    170,
                    json!({"done": {"result": {"id": 12345678901234567890_u64}, "attempt": 2, "ran": 15}}),
                ),
            ]),
            1000,
            None,
        );

        let [charge] = &steps[..] else { panic!("{steps:?}") };
        assert_eq!((charge.kind, charge.state), (StepKind::Run, StepState::Done));
        assert_eq!((charge.began_at, charge.ended_at), (80, Some(170)));
        assert_eq!(charge.attempts.iter().map(|attempt| attempt.ran_ms).collect::<Vec<_>>(), [20, 15]);
        assert_eq!(charge.output.as_ref().unwrap().get(), r#"{"id":12345678901234567890}"#);
        assert!(charge.error.is_none());
    }

    #[test]
    fn a_body_that_was_done_at_once_began_when_it_began_to_run() {
        let steps = trace(
            &journal(&[("a", 100, json!({"done": {"result": 1, "attempt": 1, "ran": 40}}))]),
            200,
            None,
        );

        assert_eq!((steps[0].began_at, steps[0].ended_at), (60, Some(100)));
    }

    #[test]
    fn a_sleep_is_over_at_its_time() {
        let journal = journal(&[("nap", 100, json!({"sleep": {"due": 500}}))]);

        let [before] = &trace(&journal, 499, None)[..] else { panic!() };
        let [after] = &trace(&journal, 500, None)[..] else { panic!() };

        assert_eq!(before.waits_for.as_ref().map(|pending| pending.until), Some(500));
        assert_eq!((after.state, after.ended_at), (StepState::Done, Some(500)));
    }

    #[test]
    fn a_wait_tells_for_what_and_until_when_and_what_came() {
        let wait = json!({"wait": {"event": "x/y", "condition": {"all": [{"field": "data.n", "value": 7}]}, "since": 0, "due": 900}});
        let came = json!({"id": "E1", "name": "x/y", "data": {"n": 7}, "ts": 150});
        let resolved = json!({"resolved": {"entry": 1, "with": {"event": came}}});
        let waiting = journal(&[("w", 100, wait.clone())]);
        let ended = journal(&[("w", 100, wait), ("", 160, resolved)]);

        let [step] = &trace(&waiting, 200, None)[..] else { panic!() };
        assert_eq!(step.state, StepState::Waiting);
        let pending = step.waits_for.as_ref().unwrap();
        assert_eq!((&pending.what, pending.until), (&Awaits::Event("x/y".parse().unwrap()), 900));
        assert!(step.input.as_ref().unwrap().get().contains("data.n"));

        let [step] = &trace(&ended, 200, None)[..] else { panic!() };
        assert_eq!((step.state, step.ended_at), (StepState::Done, Some(160)));
        assert!(step.output.as_ref().unwrap().get().contains("E1"));
    }

    #[test]
    fn what_was_under_way_when_the_run_ended_is_abandoned() {
        let journal = journal(&[
            ("nap", 100, json!({"sleep": {"due": 500}})),
            ("charge", 110, json!({"failed": {"failure": failure(), "attempt": 4}})),
        ]);

        let steps = trace(&journal, 1000, Some(120));

        assert_eq!((steps[0].state, steps[0].ended_at), (StepState::Abandoned, Some(120)));
        assert_eq!(steps[1].state, StepState::Failed);
    }
}
