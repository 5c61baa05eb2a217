//! A job runs again only for a reason that Redis has counted, and an attempt that lost its lease settles nothing.
//!
//! Whoever leases a job is told its tries. Each way to lose a lease, and each failure, counts one of them up; so no two attempts
//! at a job may have been told the same, and the attempt that settled it must have been told the last.

use std::{collections::HashMap, time::Duration};

use super::Finds;
use crate::{
    evidence::{Attempt, Evidence},
    work::{functions, jobs::failures_of},
};

/// What comes of an attempt is settled so soon.
const SETTLES_WITHIN: Duration = Duration::from_secs(1);

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
        // What Redis has forgotten it cannot have counted.
        let in_doubt = attempts.iter().any(|attempt| evidence.in_doubt(attempt, SETTLES_WITHIN));
        let Some(view) = evidence.jobs[&Evidence::queue_of(kind)].get(id) else {
            if !in_doubt {
                finds.breach(format!("{kind} {id} was performed, but Redis knows nothing of it"));
            }
            continue;
        };
        let tries = view.tries;
        finds.counts.failures += u64::from(tries.failures);
        finds.counts.crashes += u64::from(tries.crashes);
        finds.counts.interruptions += u64::from(tries.interruptions);
        if in_doubt {
            continue;
        }

        if evidence.plan.leases_hold && tries.crashes > 0 && evidence.kept_up() {
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
    if evidence.plan.hands_back && finds.counts.interruptions == 0 {
        finds.breach(
            "workers were told to stop with more to do than they may finish, and handed nothing back",
        );
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
