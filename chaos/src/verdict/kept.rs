//! Acknowledged means kept: every job that Redis said it keeps has completed, and so has what every event was to start.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use ergate::JobState;

use super::Finds;
use crate::evidence::Evidence;

/// An event that an order has sent is routed within this time, also by another router than the one that read it first.
const ROUTED_WITHIN: Duration = Duration::from_secs(15);

pub(super) fn judge(evidence: &Evidence, finds: &mut Finds) {
    if !evidence.done {
        finds.breach(format!("not all was done within {:?} after all was sent", evidence.plan.patience));
    }
    jobs(evidence, finds);
    orders(evidence, finds);
    heard(evidence, finds);
    finds.counts.events = evidence.kept(&["ordered", "paid"]).count() as u64;
}

fn jobs(evidence: &Evidence, finds: &mut Finds) {
    let begun: HashSet<&str> = evidence.attempts.iter().map(|attempt| attempt.id.as_str()).collect();
    let ended = evidence.attempts.iter().filter(|attempt| attempt.ended);
    let ended: HashSet<&str> = ended.map(|attempt| attempt.id.as_str()).collect();
    for told in evidence.kept(&[&Evidence::JOBS[..], &["pack"]].concat()) {
        finds.counts.jobs += 1;
        let (id, queue) = (told.id.as_str(), Evidence::queue_of(&told.kind));
        match evidence.jobs[&queue].get(id) {
            Some(view) if view.state == JobState::Completed => {
                if !begun.contains(id) {
                    finds
                        .breach(format!("{} {id} is completed, but its handler was never called", told.kind));
                }
            }
            Some(view) => {
                finds.breach(format!("{} {id} is {}: {:?}", told.kind, view.state, view.failure));
            }
            // What was done before Redis forgot that it ever was there was done.
            None if evidence.diary.may_be_lost(told) => {
                finds.counts.lost_by_redis += u64::from(!ended.contains(id));
            }
            None => finds.breach(format!("{} {id} was acknowledged and is lost", told.kind)),
        }
    }
}

/// Orders of which Redis may have lost something: of a run, or of what a run had sent.
fn forgotten(evidence: &Evidence) -> HashSet<String> {
    let mut in_doubt = evidence.attempts.iter().filter(|attempt| evidence.in_doubt(attempt, ROUTED_WITHIN));
    let runs: HashSet<&str> = in_doubt.by_ref().map(|attempt| attempt.id.as_str()).collect();
    let of_runs = evidence.runs("order").chain(evidence.runs("shipped"));
    of_runs.filter(|view| runs.contains(view.id.as_str())).filter_map(Evidence::order_of).collect()
}

fn orders(evidence: &Evidence, finds: &mut Finds) {
    let forgotten = forgotten(evidence);
    for function in ["order", "shipped"] {
        let mut runs: HashMap<String, Vec<String>> = HashMap::new();
        for view in evidence.runs(function) {
            let Some(order) = Evidence::order_of(view) else {
                finds.breach(format!("run {} of {function} has an input that cannot be read", view.id));
                continue;
            };
            if view.state == JobState::Completed {
                finds.counts.runs += 1;
            } else {
                finds.breach(format!(
                    "run {} of {function} for {order} is {}: {:?}",
                    view.id, view.state, view.failure
                ));
            }
            runs.entry(order).or_default().push(view.id.to_string());
        }
        for told in evidence.kept(&["ordered"]) {
            let found = runs.get(&told.id).map_or(&[][..], Vec::as_slice);
            match found.len() {
                1 => {}
                0 if evidence.diary.may_be_lost(told) => {
                    let filled =
                        evidence.bodies.iter().any(|body| body.about == told.id && body.step == "close");
                    finds.counts.lost_by_redis += u64::from(!filled && function == "order");
                }
                // Its event was sent by the order, in the time that Redis has forgotten.
                0 if function == "shipped" && forgotten.contains(&told.id) => {
                    finds.counts.lost_by_redis += 1;
                }
                0 => finds
                    .breach(format!("event {} was acknowledged and no run of {function} is there", told.id)),
                // A router had the event in hand when Redis forgot it, and the order has sent it once more.
                _ if function == "shipped" && forgotten.contains(&told.id) => {}
                _ => finds.breach(format!("event {} has several runs of {function}: {found:?}", told.id)),
            }
        }
    }
    finds.counts.runs +=
        evidence.runs("pack").filter(|view| view.state == JobState::Completed).count() as u64;
}

/// Who waits for the end of a run hears of it.
fn heard(evidence: &Evidence, finds: &mut Finds) {
    if evidence.diary.lost_anything() {
        return;
    }
    let heard: HashSet<&str> = evidence.kept(&["heard"]).map(|told| told.id.as_str()).collect();
    for told in evidence.kept(&["pack"]).filter(|told| !heard.contains(told.id.as_str())) {
        finds.breach(format!("who waited for the end of pack {} was not told of it", told.id));
    }
}
