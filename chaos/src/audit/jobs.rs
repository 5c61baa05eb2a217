//! The jobs of a queue: their records, and every place that says a job is in some state.

use std::collections::BTreeMap;

use ergate::{JobRecord, QueueName};
use ergate_shared::key::QueueKey;

use super::{
    Findings,
    kept::{Kept, text},
};

/// The bytes of `laned` between a lane and an id: NUL, priority, order.
pub(super) const PLACE_LENGTH: usize = 16;

/// What is known of the jobs of a queue.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    /// By id; none for a record that cannot be read.
    pub(super) records: BTreeMap<String, Option<JobRecord>>,
    /// By id: the states it is in, one word for each place that says so.
    pub(super) states: BTreeMap<String, Vec<&'static str>>,
}

impl Jobs {
    pub(super) fn of(kept: &Kept, queue: &QueueName) -> Self {
        let keys = kept.keys_of(queue);
        let key = |key| keys.get(key);
        let mut jobs = Self::default();
        for (id, record) in kept.hash(key(QueueKey::jobs)) {
            jobs.records.insert(id.clone(), JobRecord::decode(record).ok());
        }
        let mut ready: BTreeMap<&String, usize> = BTreeMap::new();
        for id in kept.list(key(QueueKey::ready)) {
            *ready.entry(id).or_default() += 1;
        }
        for id in kept.hash(key(QueueKey::withdrawn)).keys() {
            if let Some(count) = ready.get_mut(id) {
                *count = count.saturating_sub(1);
            }
        }
        for (id, count) in ready {
            (0..count).for_each(|_| jobs.is(id, "ready"));
        }
        kept.sorted(key(QueueKey::ranked)).keys().for_each(|id| jobs.is(id, "ranked"));
        for member in kept.sorted(key(QueueKey::laned)).keys() {
            if let Some((_, id)) = split_laned(member) {
                jobs.is(id, "laned");
            }
        }
        kept.sorted(key(QueueKey::scheduled)).keys().for_each(|id| jobs.is(id, "scheduled"));
        kept.hash(key(QueueKey::leased)).keys().for_each(|id| jobs.is(id, "leased"));
        kept.list(key(QueueKey::completed)).iter().for_each(|id| jobs.is(id, "completed"));
        kept.list(key(QueueKey::cancelled)).iter().for_each(|id| jobs.is(id, "cancelled"));
        kept.sorted(key(QueueKey::dead)).keys().for_each(|id| jobs.is(id, "dead"));
        jobs
    }

    fn is(&mut self, id: &str, state: &'static str) {
        self.states.entry(id.to_owned()).or_default().push(state);
    }

    /// The state of a job that is in one.
    pub(super) fn state(&self, id: &str) -> Option<&'static str> {
        match self.states.get(id).map(Vec::as_slice) {
            Some([state]) => Some(state),
            _ => None,
        }
    }

    pub(super) fn record(&self, id: &str) -> Option<&JobRecord> {
        self.records.get(id)?.as_ref()
    }

    /// Whether it waits for a worker or for a time.
    pub(super) fn waits(&self, id: &str) -> bool {
        matches!(self.state(id), Some("ready" | "ranked" | "laned" | "scheduled"))
    }

    pub(super) fn is_ended(&self, id: &str) -> bool {
        matches!(self.state(id), Some("completed" | "cancelled" | "dead"))
    }
}

/// The lane and the id of a member of `laned`.
pub(super) fn split_laned(member: &str) -> Option<(&str, &str)> {
    let lane = member.split('\0').next()?;
    let id = member.get(lane.len() + PLACE_LENGTH..)?;
    Some((lane, id))
}

/// Whether every job is in one state, and every state that of a job.
pub(super) fn judge(kept: &Kept, queue: &QueueName, findings: &mut Findings) {
    let keys = kept.keys_of(queue);
    let Some(jobs) = kept.jobs_of(queue) else { return };
    let all = keys.get(QueueKey::jobs);
    for (id, record) in &jobs.records {
        let states = jobs.states.get(id).map_or(&[][..], Vec::as_slice);
        match states {
            [] => findings.add(all, format!("{id} is in no state")),
            [_] => {}
            several => findings.add(all, format!("{id} is in several states: {}", several.join(", "))),
        }
        // A worker that meets such a record buries it.
        let is_buried = states == ["dead"] || states == ["cancelled"];
        findings.expect(record.is_some() || is_buried, all, || format!("the record of {id} cannot be read"));
    }
    for (id, states) in &jobs.states {
        findings.expect(jobs.records.contains_key(id), all, || {
            format!("{id} is {} and has no record", states.join(", "))
        });
    }
    judge_ready(kept, queue, jobs, findings);
    judge_ends(kept, queue, jobs, findings);
    judge_details(kept, queue, jobs, findings);
}

fn judge_ready(kept: &Kept, queue: &QueueName, jobs: &Jobs, findings: &mut Findings) {
    let keys = kept.keys_of(queue);
    let (ready, withdrawn) = (kept.list(keys.get(QueueKey::ready)), keys.get(QueueKey::withdrawn));
    for id in kept.hash(withdrawn).keys() {
        findings.expect(ready.contains(id), withdrawn, || {
            format!("{id} is not in the list it is withdrawn from")
        });
    }
    for (id, states) in &jobs.states {
        let Some(record) = jobs.record(id) else { continue };
        let (in_lane, in_line) =
            (states.contains(&"laned"), states.contains(&"ready") || states.contains(&"ranked"));
        if record.lane.is_some() && in_line {
            findings.add(keys.get(QueueKey::places), format!("{id} has keys and does not wait in its lane"));
        }
        if record.lane.is_none() && in_lane {
            findings.add(keys.get(QueueKey::places), format!("{id} has no keys and waits in a lane"));
        }
    }
    let expiring = keys.get(QueueKey::expiring);
    for id in kept.sorted(expiring).keys() {
        findings.expect(jobs.waits(id), expiring, || format!("{id} does not wait to be started"));
    }
}

fn judge_ends(kept: &Kept, queue: &QueueName, jobs: &Jobs, findings: &mut Findings) {
    let keys = kept.keys_of(queue);
    let ended = keys.get(QueueKey::ended);
    let ends = kept.hash(ended);
    for (id, end) in ends {
        let says = match end.first() {
            Some(&ergate_shared::ending::COMPLETED) => "completed",
            Some(&ergate_shared::ending::CANCELLED) => "cancelled",
            _ => "something else",
        };
        let is = jobs.state(id).unwrap_or("in no one state");
        findings.expect(is == says, ended, || format!("{id} is {says} here, and is {is}"));
    }
    for id in jobs.states.keys() {
        if matches!(jobs.state(id), Some("completed" | "cancelled")) {
            findings.expect(ends.contains_key(id), ended, || format!("{id} has ended and has no end"));
        }
        let failures = keys.get(QueueKey::failures);
        if jobs.state(id) == Some("dead") {
            findings.expect(kept.hash(failures).contains_key(id), failures, || {
                format!("{id} is dead of nothing")
            });
        }
    }
    let watched = keys.get(QueueKey::watched);
    for id in kept.hash(watched).keys() {
        findings.expect(jobs.records.contains_key(id) && !jobs.is_ended(id), watched, || {
            format!("the end of {id} is waited for, and it has none to come")
        });
    }
}

fn judge_details(kept: &Kept, queue: &QueueName, jobs: &Jobs, findings: &mut Findings) {
    let keys = kept.keys_of(queue);
    for about in [QueueKey::tries, QueueKey::failures, QueueKey::progress, QueueKey::logs, QueueKey::steps] {
        let key = keys.get(about);
        for id in kept.hash(key).keys() {
            findings.expect(jobs.records.contains_key(id), key, || format!("{id} has no record"));
        }
    }
    let tries = keys.get(QueueKey::tries);
    for (id, counts) in kept.hash(tries) {
        let counts = text(counts);
        findings.expect(ergate::Tries::parse(&counts).is_ok(), tries, || format!("{id} has {counts:?}"));
    }
}
