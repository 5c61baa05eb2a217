//! A step's result is kept once it is written down: its body is not called again once a later step's body was, and what a run
//! returns is what its steps' bodies said when they were called for it.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use ergate::JobState;

use super::Finds;
use crate::{
    evidence::{Body, Evidence},
    work::functions::{Filled, NAMES},
};

/// The steps of `order` with bodies, in order.
const STEPS: [&str; 2] = ["reserve", "close"];

/// A step is written down so soon.
const RECORDED_WITHIN: Duration = Duration::from_secs(1);

pub(super) fn judge(evidence: &Evidence, finds: &mut Finds) {
    let mut bodies: HashMap<&str, Vec<&Body>> = HashMap::new();
    for body in &evidence.bodies {
        bodies.entry(&body.run).or_default().push(body);
    }
    again(evidence, &bodies, finds);
    for view in evidence.runs("order").filter(|view| view.state == JobState::Completed) {
        let run = view.id.to_string();
        let called = bodies.get(run.as_str()).map_or(&[][..], Vec::as_slice);
        let detail = view.outcome.as_ref().map(|outcome| outcome.detail.as_str()).unwrap_or_default();
        let Ok(filled) = serde_json::from_str::<Filled>(detail) else {
            finds.breach(format!("run {run} returned {detail:?}"));
            continue;
        };
        if !filled.paid {
            finds.breach(format!("run {run} for {} was never told of its payment", filled.order));
        }
        let said = |step: &str, name: &str| {
            evidence
                .bodies
                .iter()
                .any(|body| body.about == filled.order && body.step == step && body.name == name)
        };
        for (step, name) in
            [("reserve", &filled.reserved), ("close", &filled.closed), ("wrap", &filled.packed)]
        {
            if !said(step, name) {
                finds.breach(format!("run {run} has the result {name} of step {step}, which no body said"));
            }
        }
        in_order(evidence, &run, called, finds);
    }
}

/// No attempt at a run fails, and a body is called again only where Redis has counted why its attempt did not come to its end.
fn again(evidence: &Evidence, bodies: &HashMap<&str, Vec<&Body>>, finds: &mut Finds) {
    let mut cut_off = HashSet::new();
    for attempt in evidence.attempts.iter().filter(|attempt| NAMES.contains(&attempt.kind.as_str())) {
        let (kind, id, tries) = (&attempt.kind, &attempt.id, attempt.tries);
        if tries.failures > 0 {
            finds.breach(format!(
                "run {id} of {kind} never fails, and {tries:?} were told to {}",
                attempt.name()
            ));
        }
        if tries.crashes > 0 && evidence.plan.leases_hold && evidence.kept_up() {
            finds.breach(format!("run {id} of {kind} lost a lease that nothing was to cost it: {tries:?}"));
        }
        if tries.crashes + tries.interruptions > 0 {
            cut_off.insert(id.as_str());
        }
    }
    for (run, called) in bodies {
        for step in ["reserve", "close", "wrap", "note"] {
            let times = called.iter().filter(|body| body.step == step).count() as u64;
            finds.counts.bodies_again += times.saturating_sub(1);
            if times > 1 && !cut_off.contains(run) && !in_doubt(evidence, run) {
                finds.breach(format!(
                    "the body of step {step} of run {run} was called {times} times, and no attempt was cut off"
                ));
            }
        }
    }
}

/// Whether Redis may have lost something of a run.
fn in_doubt(evidence: &Evidence, run: &str) -> bool {
    let mut attempts = evidence.attempts.iter().filter(|attempt| attempt.id == run);
    attempts.any(|attempt| evidence.in_doubt(attempt, RECORDED_WITHIN))
}

fn in_order(evidence: &Evidence, run: &str, called: &[&Body], finds: &mut Finds) {
    let Some(closed) = called.iter().find(|body| body.step == STEPS[1]) else { return };
    // A worker that stood still may be in the middle of a step whose run others have taken over.
    let awake = |body: &&&Body| evidence.diary.frozen(&body.member, evidence.plan.lease).next().is_none();
    let mut late = called.iter().filter(|body| body.step == STEPS[0] && body.ns > closed.ns).filter(awake);
    if let Some(late) = late.next()
        && !in_doubt(evidence, run)
    {
        finds.breach(format!(
            "the body of step reserve of run {run} was called by {} after that of close",
            late.name
        ));
    }
}
