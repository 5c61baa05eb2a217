//! How far a schedule is, and what is to be done about it: pure functions of what is kept and what time it is.
//!
//! What is due is done in three steps, each of which may be repeated by anybody and changes nothing then. First a
//! [`Plan`] is made and written down; whoever comes second follows it. Then it is carried out: jobs are started under
//! ids and numbers that the plan has. Then the plan is replaced by what it leads to. So a process may die at any
//! instruction, and two may do the same at the same time.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    CatchUp, Overlap, ScheduleSpec, Starting,
    policy::{MOST_CAUGHT_UP, ON_TIME},
};
use crate::{Error, JobId, QueueName, ScheduleName};

/// How soon others carry out a plan whose maker has died.
const CARRIED_OUT_WITHIN: Duration = Duration::from_secs(2);
/// How soon one looks again whether a job has ended that a held time waits for, if no message about its end comes.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// How many jobs that were started out of turn are kept track of; of more the earliest ones no longer count.
const MOST_BY_HAND: usize = 16;

/// How far a schedule is. Only ever replaced as a whole, by somebody who read it before.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScheduleState {
    /// Made up when the schedule was first set: tells it from an earlier one of the same name.
    pub birth: String,
    /// How often it was set.
    pub revision: u64,
    /// The next time, in ms since the epoch; `None` if there is none any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub awaited: Option<u64>,
    /// A time that waits until the last job has ended, in ms since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<u64>,
    /// Since when it is paused, in ms since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused_at: Option<u64>,
    /// What is being done about times that were due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
    /// What it last started for one of its times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Started>,
    /// What somebody last had it start out of turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_hand: Option<Started>,
    /// What somebody had it start out of turn before that and had not ended by then, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by_hand_before: Vec<Started>,
    /// How many jobs it has been decided to start, in all.
    pub starts: u64,
    /// What became of its times.
    pub counts: Counts,
    /// What later releases add; kept through a round trip.
    #[serde(flatten)]
    pub unknown: serde_json::Map<String, serde_json::Value>,
}

/// What became of the times of a schedule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Times for which something was started.
    pub started: u64,
    /// Times that passed while nobody could start anything, and were not made up; at most a thousand are counted at once.
    pub missed: u64,
    /// Times passed over because the last job had not ended.
    pub skipped: u64,
}

/// What is being done about times that were due.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Plan {
    /// What is to be started, oldest first.
    pub starts: Vec<Start>,
    /// Where: of a function, the queue of the version that new runs get when the plan is written down, so that whoever carries it out
    /// again after a newer version has come starts the same. `None` in plans of releases that did not say: the one of then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueName>,
    /// Whether what was started last is to be cancelled before.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cancel: bool,
    /// The time that then waits until the last job has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<u64>,
    /// The next time after that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub awaited: Option<u64>,
    /// Times that were missed and are not made up.
    pub missed: u64,
    /// Times that are passed over because the last job has not ended.
    pub skipped: u64,
}

/// One job to be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// One more than that of the start before: by it the queue tells a repeated call.
    pub number: u64,
    /// The time it is for, in ms since the epoch.
    pub nominal: u64,
}

/// A job that was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The time it was for, in ms since the epoch.
    pub nominal: u64,
    /// When it was started, in ms since the epoch.
    pub at: u64,
    /// The queue it is in.
    pub queue: QueueName,
    /// Its id.
    pub job: JobId,
}

impl ScheduleState {
    /// The state of a schedule that is set at `now`, in ms since the epoch, for the first time.
    pub fn new(birth: String, spec: &ScheduleSpec, now: u64) -> Self {
        Self { birth, ..Self::default() }.set(spec, now)
    }

    /// The state once another definition holds from `now` on.
    #[must_use]
    pub fn set(self, spec: &ScheduleSpec, now: u64) -> Self {
        Self { revision: self.revision + 1, held: None, awaited: next(spec, now), ..self }
    }

    /// The state once it is paused; one that is paused stays so since then.
    #[must_use]
    pub fn paused(self, now: u64) -> Self {
        Self { paused_at: self.paused_at.or(Some(now)), ..self }
    }

    /// The state once it goes on: what passed while it was paused is not made up.
    #[must_use]
    pub fn resumed(self, spec: &ScheduleSpec, now: u64) -> Self {
        if self.paused_at.is_none() {
            return self;
        }
        Self { paused_at: None, held: None, awaited: next(spec, now), ..self }
    }

    /// Reads a state as it is kept.
    ///
    /// # Errors
    /// [`Error::Schedule`] for one this release does not understand.
    pub fn read(name: &ScheduleName, text: &str) -> Result<Self, Error> {
        serde_json::from_str(text).map_err(|error| Error::Schedule {
            name: name.to_string(),
            problem: format!("has a state that cannot be read: {error}"),
        })
    }

    /// The text that is kept.
    pub fn write(&self) -> String {
        serde_json::to_string(self).expect("names and numbers always serialise")
    }

    /// When somebody must look at it, in ms since the epoch; `None`: not before it is changed.
    pub fn due(&self, name: &ScheduleName, spec: &ScheduleSpec, now: u64) -> Option<u64> {
        if self.plan.is_some() {
            return Some(now + CARRIED_OUT_WITHIN.as_millis() as u64);
        }
        if self.paused_at.is_some() {
            return None;
        }
        let awaited = self.awaited.map(|awaited| ms(spec.due(name, at(awaited))));
        let held = self.held.map(|_| now + LOOK_AGAIN.as_millis() as u64);
        awaited.into_iter().chain(held).min()
    }

    /// What it started that may not have ended yet.
    pub fn started(&self) -> impl Iterator<Item = &Started> {
        self.last.iter().chain(self.started_by_hand())
    }

    /// Of that, what somebody had it start out of turn, oldest first.
    pub fn started_by_hand(&self) -> impl Iterator<Item = &Started> {
        self.by_hand_before.iter().chain(&self.by_hand)
    }

    /// The state once somebody has it start something out of turn while `running`, oldest first, of what was started so
    /// before has not ended.
    #[must_use]
    pub fn out_of_turn(self, started: Started, mut running: Vec<Started>) -> Self {
        let by_hand_before = running.split_off(running.len().saturating_sub(MOST_BY_HAND - 1));
        Self { by_hand: Some(started), by_hand_before, ..self }
    }

    /// What is to be done at `now`, given whether something it started is still `busy`; `None` if nothing is. Of a function with
    /// versions the caller says in which queue.
    pub fn plan(&self, name: &ScheduleName, spec: &ScheduleSpec, now: u64, busy: bool) -> Option<Plan> {
        let due = self.times_due(name, spec, now);
        if self.paused_at.is_some() || (due.is_empty() && (self.held.is_none() || busy)) {
            return None;
        }
        let mut wanted = due.clone();
        if spec.catch_up == CatchUp::Skip {
            let too_late =
                |time: u64| now.saturating_sub(ms(spec.due(name, at(time)))) > ON_TIME.as_millis() as u64;
            wanted.retain(|time| !too_late(*time));
        }
        let wanted = wanted.split_off(wanted.len().saturating_sub(spec.catch_up.most() as usize));
        let missed = (due.len() - wanted.len()) as u64;
        let (starts, held, skipped) = overlapping(spec.overlap, wanted, self.held, busy);
        Some(Plan {
            cancel: busy && spec.overlap == Overlap::CancelRunning && !starts.is_empty(),
            starts: starts
                .into_iter()
                .zip(self.starts + 1..)
                .map(|(nominal, number)| Start { number, nominal })
                .collect(),
            queue: Some(spec.target.queue()),
            held,
            awaited: match due.last() {
                Some(last) => next(spec, *last),
                None => self.awaited,
            },
            missed,
            skipped,
        })
    }

    /// The times that are due, oldest first: the awaited one, and of those that passed meanwhile the last thousand.
    fn times_due(&self, name: &ScheduleName, spec: &ScheduleSpec, now: u64) -> Vec<u64> {
        let is_due = |time: u64| ms(spec.due(name, at(time))) <= now;
        let Some(awaited) = self.awaited.filter(|time| is_due(*time)) else { return Vec::new() };
        let later = spec.recurrence.last(at(awaited), at(now), MOST_CAUGHT_UP as usize);
        let mut times: Vec<_> = std::iter::once(awaited).chain(later.into_iter().map(ms)).collect();
        // Jitter may put off the last of them beyond now.
        while times.last().is_some_and(|time| !is_due(*time)) {
            times.pop();
        }
        times
    }

    /// The state once `plan` is written down.
    #[must_use]
    pub fn planned(self, plan: Plan) -> Self {
        let starts = plan.starts.last().map_or(self.starts, |start| start.number);
        Self { plan: Some(plan), starts, ..self }
    }

    /// The state once its plan is carried out.
    ///
    /// # Errors
    /// As [`Target::id`](super::Target::id).
    pub fn carried_out(mut self, name: &ScheduleName, spec: &ScheduleSpec, now: u64) -> Result<Self, Error> {
        let Some(plan) = self.plan.take() else { return Ok(self) };
        if let Some(start) = plan.starts.last() {
            self.last = Some(Started {
                nominal: start.nominal,
                at: now,
                queue: plan.queue.unwrap_or_else(|| spec.target.queue()),
                job: spec.target.id(name, at(start.nominal))?,
            });
        }
        self.counts.started += plan.starts.len() as u64;
        self.counts.missed += plan.missed;
        self.counts.skipped += plan.skipped;
        Ok(Self { held: plan.held, awaited: plan.awaited, ..self })
    }

    /// The state once its plan is given up, as what it is to start cannot be started: those times are missed.
    #[must_use]
    pub fn given_up(mut self) -> Self {
        let Some(plan) = self.plan.take() else { return self };
        self.counts.missed += plan.missed + plan.starts.len() as u64;
        self.counts.skipped += plan.skipped;
        Self { held: plan.held, awaited: plan.awaited, ..self }
    }

    /// The calls of which the queue tells repeated ones by their number: by whom they are.
    pub fn producer(&self) -> String {
        format!("schedule:{}", self.birth)
    }
}

impl Start {
    /// What is started.
    ///
    /// # Errors
    /// As [`Target::starting`](super::Target::starting).
    pub fn starting(&self, name: &ScheduleName, spec: &ScheduleSpec) -> Result<Starting, Error> {
        let nominal = at(self.nominal);
        spec.target.starting(name, &spec.recurrence, nominal, spec.due(name, nominal))
    }
}

/// What is started now, what is held, and how many are passed over.
fn overlapping(
    overlap: Overlap,
    wanted: Vec<u64>,
    held: Option<u64>,
    busy: bool,
) -> (Vec<u64>, Option<u64>, u64) {
    let latest_of = |mut wanted: Vec<u64>| {
        let latest = wanted.pop();
        (latest.into_iter().collect::<Vec<_>>(), wanted.len() as u64)
    };
    match overlap {
        Overlap::Allow => (wanted, None, 0),
        Overlap::Skip if busy => (Vec::new(), None, wanted.len() as u64),
        Overlap::Skip | Overlap::CancelRunning => {
            let (starts, skipped) = latest_of(wanted);
            (starts, None, skipped)
        }
        Overlap::QueueOne => {
            let mut waiting = held.into_iter().chain(wanted);
            let starts = if busy { None } else { waiting.next() };
            let held = waiting.next();
            (starts.into_iter().collect(), held, waiting.count() as u64)
        }
    }
}

fn next(spec: &ScheduleSpec, after: u64) -> Option<u64> {
    spec.recurrence.next(at(after)).map(ms)
}

fn at(ms: u64) -> Timestamp {
    i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or(Timestamp::MAX)
}

fn ms(time: Timestamp) -> u64 {
    u64::try_from(time.as_millisecond()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
