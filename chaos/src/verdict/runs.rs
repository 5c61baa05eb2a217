//! A step's result is kept once it is written down: its body is not called again once a later step's body was, and what a run
//! returns is what its steps' bodies said when they were called for it.

use std::collections::HashMap;

use ergate::JobState;

use super::Finds;
use crate::{
    evidence::{Body, Evidence},
    work::functions::Filled,
};

/// The steps of `order` with bodies, in order.
const STEPS: [&str; 2] = ["reserve", "close"];

pub(super) fn judge(evidence: &Evidence, finds: &mut Finds) {
    let mut bodies: HashMap<&str, Vec<&Body>> = HashMap::new();
    for body in &evidence.bodies {
        bodies.entry(&body.run).or_default().push(body);
    }
    for called in bodies.values() {
        for step in ["reserve", "close", "wrap", "note"] {
            finds.counts.bodies_again +=
                (called.iter().filter(|body| body.step == step).count() as u64).saturating_sub(1);
        }
    }
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

fn in_order(evidence: &Evidence, run: &str, called: &[&Body], finds: &mut Finds) {
    let Some(closed) = called.iter().find(|body| body.step == STEPS[1]) else { return };
    // A worker that stood still may be in the middle of a step whose run others have taken over.
    let awake = |body: &&&Body| evidence.diary.frozen(&body.member, evidence.plan.lease).next().is_none();
    let mut late = called.iter().filter(|body| body.step == STEPS[0] && body.ns > closed.ns).filter(awake);
    if let Some(late) = late.next()
        && !evidence.diary.lost_anything()
    {
        finds.breach(format!(
            "the body of step reserve of run {run} was called by {} after that of close",
            late.name
        ));
    }
}
