//! Each time of the schedule was started once, when it came: none is missing from the first until the schedule was paused, none
//! began before its time, and none long after it unless something was in the way.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use ergate::{JobState, Timestamp};

use super::Finds;
use crate::{
    diary::Did,
    evidence::Evidence,
    work::jobs::{SCHEDULE, TICK, TICKS},
};

/// Clocks of one machine, read one after the other.
const SAME_MS: u64 = 50;
/// A tick begins so soon where nothing costs workers their leases, and in any case so soon: calls that are lost one after the other
/// cost some seconds each.
const IN_PEACE: Duration = Duration::from_secs(6);
const AT_ALL: Duration = Duration::from_secs(30);

pub(super) fn judge(evidence: &Evidence, finds: &mut Finds) {
    let mut times = BTreeSet::new();
    for view in evidence.jobs[TICKS].values() {
        let nominal =
            view.id.as_str().strip_prefix(&format!("{SCHEDULE}@")).and_then(|time| time.parse().ok());
        let Some(nominal) = nominal.map(Timestamp::as_millisecond) else {
            finds.breach(format!("tick {} names no time", view.id));
            continue;
        };
        times.insert(nominal);
        if view.state == JobState::Completed {
            finds.counts.ticks += 1;
        } else {
            finds.breach(format!("tick {} is {}", view.id, view.state));
        }
    }
    let period = TICK.as_millis() as i64;
    // What Redis has forgotten it cannot tell. That the schedule is there again is seen by its being paused at the end.
    if evidence.diary.lost_anything() {
        return;
    }
    if times.len() < 2 {
        finds.breach(format!("{} times of the schedule were started in {:?}", times.len(), evidence.took));
    }
    let all: Vec<i64> = times.into_iter().collect();
    for pair in all.windows(2) {
        if pair[1] - pair[0] != period {
            finds.breach(format!("no times were started between {} and {}", pair[0], pair[1]));
        }
    }
    in_time(evidence, &all, finds);
}

/// Times are in ms since the epoch, and begins in the ledger.
fn in_time(evidence: &Evidence, times: &[i64], finds: &mut Finds) {
    let late = if evidence.plan.leases_hold { IN_PEACE } else { AT_ALL };
    let disturbs = |did: &Did| matches!(did, Did::Outage | Did::Killed(_) | Did::Frozen(_) | Did::Full);
    let disturbances = evidence.diary.of(disturbs).map(|deed| (deed.ns, deed.until_ns));
    let blocked = evidence.blocked();
    let disturbances: Vec<_> = disturbances.chain(blocked.into_iter().map(|(_, time)| time)).collect();
    let undisturbed = |from: u64, to: u64| !disturbances.iter().any(|time| time.0 <= to && time.1 >= from);
    let too_late = |from: u64, to: u64| {
        to.saturating_sub(from) > (late + evidence.allowance(from, to)).as_nanos() as u64
    };
    if let (Some(last), Some(paused)) =
        (times.last(), evidence.diary.of(|did| *did == Did::Paused).map(|deed| deed.ns).next())
    {
        let last = evidence.ns_of(last.unsigned_abs());
        if too_late(last, paused) && undisturbed(last, paused) {
            let before = Duration::from_nanos(paused - last);
            finds.breach(format!("the last time was started {before:.1?} before the schedule was paused"));
        }
    }
    let mut begun: HashMap<&str, u64> = HashMap::new();
    for attempt in evidence.attempts.iter().filter(|attempt| attempt.kind == "tick") {
        begun.entry(&attempt.id).or_insert(attempt.from);
    }
    for (id, begun) in begun {
        let time = id.strip_prefix(&format!("{SCHEDULE}@")).and_then(|time| time.parse::<Timestamp>().ok());
        let Some(time) = time.map(|time| evidence.ns_of(time.as_millisecond().unsigned_abs())) else {
            continue;
        };
        if begun + SAME_MS * 1_000_000 < time {
            let early = Duration::from_nanos(time - begun);
            finds.breach(format!("tick {id} began {early:.1?} before its time"));
        }
        if too_late(time, begun) && undisturbed(time, begun) {
            let late = Duration::from_nanos(begun - time);
            finds.breach(format!("tick {id} began {late:.1?} after its time, and nothing was in the way"));
        }
    }
}
