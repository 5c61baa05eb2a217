//! Jobs with keys: lanes, where each stands, and what limits per key count.

use std::collections::{BTreeMap, BTreeSet};

use ergate::QueueName;
use ergate_shared::key::QueueKey;

use super::{
    Findings,
    jobs::{Jobs, PLACE_LENGTH, split_laned},
    kept::{Kept, text},
};

/// The bytes of `parked` between a key and a lane: NUL and turn.
const TURN_LENGTH: usize = 14;
/// Keys in `flow` that no job can have: windows and batches of functions.
const NO_KEY: char = '@';

pub(super) fn judge(kept: &Kept, queue: &QueueName, jobs: &Jobs, findings: &mut Findings) {
    judge_places(kept, queue, jobs, findings);
    judge_standing(kept, queue, findings);
    judge_counts(kept, queue, jobs, findings);
    judge_waiting(kept, queue, findings);
}

/// Each job with keys that is ready stands in its lane, and its place is known by its id.
fn judge_places(kept: &Kept, queue: &QueueName, jobs: &Jobs, findings: &mut Findings) {
    let keys = kept.keys_of(queue);
    let (laned, places) = (keys.get(QueueKey::laned), keys.get(QueueKey::places));
    for member in kept.sorted(laned).keys() {
        let Some((lane, id)) = split_laned(member) else {
            findings.add(laned, format!("{member:?} names no lane and job"));
            continue;
        };
        let place = kept.hash(places).get(id).map(|place| text(place));
        findings.expect(place.as_deref() == member.get(..lane.len() + PLACE_LENGTH), places, || {
            format!("{id} is in the lane {lane:?}, and has the place {place:?}")
        });
        let own = jobs.record(id).and_then(|record| record.lane.as_ref());
        findings.expect(own.is_none_or(|own| own.as_str() == lane), laned, || {
            format!("{id} is in the lane {lane:?}, which is not its own")
        });
    }
    for (id, place) in kept.hash(places) {
        let member = format!("{}{id}", text(place));
        findings.expect(kept.sorted(laned).contains_key(&member), places, || format!("{id} is in no lane"));
    }
}

/// Each lane with jobs stands in one place, the ring or under a key.
fn judge_standing(kept: &Kept, queue: &QueueName, findings: &mut Findings) {
    let keys = kept.keys_of(queue);
    let [laned, lanes, ring, parked, meta] =
        [QueueKey::laned, QueueKey::lanes, QueueKey::ring, QueueKey::parked, QueueKey::meta]
            .map(|key| keys.get(key));
    let with_jobs: BTreeSet<&str> =
        kept.sorted(laned).keys().filter_map(|member| split_laned(member)).map(|(lane, _)| lane).collect();
    for lane in &with_jobs {
        findings.expect(kept.hash(lanes).contains_key(*lane), lanes, || {
            format!("{lane:?} has jobs and no standing")
        });
    }
    for (lane, standing) in kept.hash(lanes) {
        let standing = text(standing);
        findings.expect(with_jobs.contains(lane.as_str()), lanes, || {
            format!("{lane:?} has a standing and no jobs")
        });
        let in_ring = kept.sorted(ring).contains_key(lane);
        if standing.is_empty() {
            findings.expect(in_ring, ring, || format!("{lane:?} is not in the ring, where it should stand"));
        } else {
            findings.expect(!in_ring, ring, || format!("{lane:?} is in the ring and parked"));
            findings.expect(kept.sorted(parked).contains_key(&format!("{standing}{lane}")), parked, || {
                format!("{lane:?} is not parked as {standing:?}")
            });
        }
    }
    for lane in kept.sorted(ring).keys().filter(|lane| !lane.is_empty()) {
        findings
            .expect(kept.hash(lanes).contains_key(lane), ring, || format!("{lane:?} is no lane with jobs"));
    }
    for member in kept.sorted(parked).keys() {
        let Some((key, lane)) = split_parked(member) else {
            findings.add(parked, format!("{member:?} names no key and lane"));
            continue;
        };
        let standing = kept.hash(lanes).get(lane).map(|standing| text(standing));
        findings.expect(standing.as_deref() == member.get(..key.len() + TURN_LENGTH), parked, || {
            format!("{lane:?} is parked under {key}, and has the standing {standing:?}")
        });
        findings.expect(lane.lines().any(|own| own == key), parked, || {
            format!("{lane:?} is parked under {key}, which is no key of its own")
        });
    }
    let has_turns = kept.hash(meta).contains_key("turns");
    findings
        .expect(has_turns || kept.hash(lanes).is_empty(), meta, || "there are lanes and no turns".to_owned());
}

fn split_parked(member: &str) -> Option<(&str, &str)> {
    let key = member.split('\0').next()?;
    Some((key, member.get(key.len() + TURN_LENGTH..)?))
}

/// What `flow` says of a key.
#[derive(Debug, Clone, Copy, Default)]
struct Running {
    count: i64,
    is_paused: bool,
}

impl Running {
    fn parse(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split(' ').collect();
        let [count, _, _, _, paused_at] = words.as_slice() else { return None };
        Some(Self { count: count.parse().ok()?, is_paused: paused_at.parse::<f64>().ok()? > 0.0 })
    }
}

/// The count of each key is that of the leased jobs that have it.
fn judge_counts(kept: &Kept, queue: &QueueName, jobs: &Jobs, findings: &mut Findings) {
    let keys = kept.keys_of(queue);
    let flow = keys.get(QueueKey::flow);
    let mut counts: BTreeMap<String, i64> = BTreeMap::new();
    for id in kept.hash(keys.get(QueueKey::leased)).keys() {
        let lane = jobs.record(id).and_then(|record| record.lane.as_ref());
        for key in lane.into_iter().flat_map(|lane| lane.as_str().lines()) {
            *counts.entry(key.to_owned()).or_default() += 1;
        }
    }
    for (key, state) in kept.hash(flow) {
        let state = text(state);
        let Some(running) = Running::parse(&state) else {
            findings.add(flow, format!("{key} has {state:?}, which are not five words"));
            continue;
        };
        let leases = counts.remove(key).unwrap_or(0);
        findings.expect(running.count == leases, flow, || {
            format!("{key} is said to run {} times, its leases are {leases}", running.count)
        });
        findings.expect(!key.starts_with(NO_KEY) || running.count == 0, flow, || {
            format!("{key} is no key of a job")
        });
    }
    for (key, leases) in counts {
        findings.add(flow, format!("{key} is said not to run, its leases are {leases}"));
    }
}

/// No lane waits for a key that lets jobs start, unless another lane of that key is in the ring; and what only time can tell is
/// looked at then.
fn judge_waiting(kept: &Kept, queue: &QueueName, findings: &mut Findings) {
    let keys = kept.keys_of(queue);
    let [ring, parked, opening, limits, flow] =
        [QueueKey::ring, QueueKey::parked, QueueKey::opening, QueueKey::limits, QueueKey::flow]
            .map(|key| keys.get(key));
    let waited_for: BTreeSet<&str> =
        kept.sorted(parked).keys().filter_map(|member| split_parked(member)).map(|(key, _)| key).collect();
    for key in waited_for {
        let name = key.split('=').next().unwrap_or(key);
        let limit = kept.hash(limits).get(name).map(|limit| text(limit)).unwrap_or_default();
        let numbers: Vec<f64> = limit.split(' ').filter_map(|number| number.parse().ok()).collect();
        let [concurrency, interval, _, spacing] = numbers[..] else {
            findings.add(parked, format!("lanes wait for {key}, which has no limit: {limit:?}"));
            continue;
        };
        let running =
            kept.hash(flow).get(key).and_then(|state| Running::parse(&text(state))).unwrap_or_default();
        let is_full = concurrency > 0.0 && running.count as f64 >= concurrency;
        let is_paced = interval > 0.0 || spacing > 0.0;
        let is_watched = kept.sorted(opening).contains_key(key)
            || kept.sorted(ring).keys().any(|lane| lane.lines().any(|own| own == key));
        findings.expect(running.is_paused || is_full || is_watched, parked, || {
            let why =
                if is_paced { "nobody looks when its pace lets one start" } else { "it lets jobs start" };
            format!("lanes wait for {key}, and {why}")
        });
    }
}
