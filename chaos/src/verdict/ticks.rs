//! Each time of the schedule was started once: none is missing between the first and the last, none is there twice.

use std::collections::BTreeMap;

use ergate::{JobState, Timestamp};

use super::Finds;
use crate::{
    evidence::Evidence,
    work::jobs::{SCHEDULE, TICK, TICKS},
};

pub(super) fn judge(evidence: &Evidence, finds: &mut Finds) {
    let mut times: BTreeMap<i64, u32> = BTreeMap::new();
    for view in evidence.jobs[TICKS].values() {
        let nominal =
            view.id.as_str().strip_prefix(&format!("{SCHEDULE}@")).and_then(|time| time.parse().ok());
        let Some(nominal) = nominal.map(Timestamp::as_millisecond) else {
            finds.breach(format!("tick {} names no time", view.id));
            continue;
        };
        *times.entry(nominal).or_default() += 1;
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
    let all: Vec<i64> = times.keys().copied().collect();
    for pair in all.windows(2) {
        if pair[1] - pair[0] != period {
            finds.breach(format!("no times were started between {} and {}", pair[0], pair[1]));
        }
    }
    if let Some((time, count)) = times.iter().find(|(_, count)| **count > 1) {
        finds.breach(format!("the time {time} was started {count} times"));
    }
}
