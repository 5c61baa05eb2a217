//! A job runs again only for a reason that Redis has counted, and an attempt that lost its lease settles nothing.
//!
//! Whoever leases a job is told its tries. Each way to lose a lease, and each failure, counts one of them up; so no two attempts
//! at a job may have been told the same, and the attempt that settled it must have been told the last.

use std::collections::HashMap;

use super::Finds;
use crate::{
    evidence::{Attempt, Evidence},
    work::{functions, jobs::failures_of},
};

pub(super) fn judge(evidence: &Evidence, finds: &mut Finds) {
    let mut by_id: HashMap<(&str, &str), Vec<&Attempt>> = HashMap::new();
    for attempt in &evidence.attempts {
        // Runs go on in many attempts, and their tries begin anew with each step; `runs` judges them.
        if !functions::NAMES.contains(&attempt.kind.as_str()) {
            by_id.entry((&attempt.kind, &attempt.id)).or_default().push(attempt);
        }
    }
    for ((kind, id), attempts) in by_id {
        finds.counts.again += attempts.len() as u64 - 1;
        let Some(view) = evidence.jobs[&Evidence::queue_of(kind)].get(id) else {
            if !evidence.diary.lost_anything() {
                finds.breach(format!("{kind} {id} was performed, but Redis knows nothing of it"));
            }
            continue;
        };
        let tries = view.tries;
        finds.counts.failures += u64::from(tries.failures);
        finds.counts.crashes += u64::from(tries.crashes);
        finds.counts.interruptions += u64::from(tries.interruptions);
        // What Redis has forgotten it cannot have counted.
        if evidence.diary.lost_anything() {
            continue;
        }

        // A server that answers no heartbeat in time, because the machine is busy elsewhere, costs leases too.
        let machine_kept_up = evidence.stall.max(evidence.slowest_answer) < evidence.plan.lease / 10;
        if evidence.plan.leases_hold && tries.crashes > 0 && machine_kept_up {
            finds.breach(format!("{kind} {id} lost a lease that nothing was to cost it: {tries:?}"));
        }
        let reasons = tries.failures + tries.crashes + tries.interruptions + tries.snoozes;
        if attempts.len() as u64 > 1 + u64::from(reasons) {
            finds.breach(format!("{kind} {id} began {} times, with {tries:?}", attempts.len()));
        }
        for (at, attempt) in attempts.iter().enumerate() {
            if let Some(same) = attempts[..at].iter().find(|other| other.tries == attempt.tries) {
                finds.breach(format!(
                    "{kind} {id} was begun by {} and {} under one lease: {:?}",
                    same.name(),
                    attempt.name(),
                    attempt.tries
                ));
            }
        }
        settled_by_the_last_lease(view, &attempts, kind, finds);
        if kind == "flaky" && tries.failures != failures_of(id) {
            finds.breach(format!(
                "flaky {id} failed {} times, and {} are counted",
                failures_of(id),
                tries.failures
            ));
        }
        if ["plain", "keyed", "only", "tick"].contains(&kind) && tries.failures > 0 {
            finds.breach(format!("{kind} {id} never fails, and {tries:?} are counted: {:?}", view.failure));
        }
    }
}

fn settled_by_the_last_lease(view: &ergate::JobView, attempts: &[&Attempt], kind: &str, finds: &mut Finds) {
    let Some(outcome) = &view.outcome else { return };
    let by: String = serde_json::from_str(&outcome.detail).unwrap_or_default();
    match attempts.iter().find(|attempt| attempt.name() == by) {
        None => finds.breach(format!("{kind} {} was settled by {by:?}, which never began", view.id)),
        Some(attempt) if attempt.tries != view.tries => finds.breach(format!(
            "{kind} {} was settled by {by} under {:?} although its lease was lost: {:?}",
            view.id, attempt.tries, view.tries
        )),
        Some(attempt) if !attempt.ended => {
            finds.breach(format!(
                "{kind} {} was settled as completed by {by}, which never came to its end",
                view.id
            ));
        }
        Some(_) => {}
    }
}
