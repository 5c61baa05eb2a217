//! What is kept under the names of events: recent ones and their index, waits and theirs.

use std::collections::BTreeSet;

use ergate::{EventName, WaitRef};
use ergate_shared::key::NameKeys;

use super::{
    Findings,
    kept::{Kept, text},
};

pub(super) fn judge(kept: &Kept, findings: &mut Findings) {
    for name in kept.event_names() {
        judge_recent(kept, &name, findings);
        judge_waits(kept, &name, findings);
    }
}

/// The log, its bodies and its index say the same.
fn judge_recent(kept: &Kept, name: &EventName, findings: &mut Findings) {
    let keys = NameKeys::new(&kept.namespace, name);
    let (mut indexed, mut bytes, mut last) = (BTreeSet::new(), 0, 0.0_f64);
    for (key, place) in kept.sorted(&keys.recent) {
        last = last.max(*place);
        let Some(body) = kept.hash(&keys.bodies).get(key) else {
            findings.add(&keys.bodies, format!("the event {key} has no body"));
            continue;
        };
        bytes += body.len();
        let body = text(body);
        for term in body.lines().next().unwrap_or_default().split_whitespace() {
            indexed.insert(format!("{term} {place:016.0} {key}"));
        }
    }
    for key in kept.hash(&keys.bodies).keys() {
        findings.expect(kept.sorted(&keys.recent).contains_key(key), &keys.bodies, || {
            format!("{key} is no recent event")
        });
    }
    for member in &indexed {
        findings.expect(kept.sorted(&keys.seen).contains_key(member), &keys.seen, || {
            format!("{member:?} is missing")
        });
    }
    for member in kept.sorted(&keys.seen).keys() {
        findings.expect(indexed.contains(member), &keys.seen, || format!("{member:?} leads to no event"));
    }
    let fact = |name: &str| {
        let fact = kept.hash(&keys.facts).get(name).map(|fact| text(fact));
        fact.and_then(|fact| fact.parse::<f64>().ok()).unwrap_or(0.0)
    };
    findings.expect(fact("bytes") == bytes as f64, &keys.facts, || {
        format!("the log is said to have {} bytes and has {bytes}", fact("bytes"))
    });
    findings.expect(fact("last") >= last, &keys.facts, || {
        format!("the last place is said to be {:.0} and is {last:.0}", fact("last"))
    });
}

/// Each wait is found by its term, and goes when its time is over.
fn judge_waits(kept: &Kept, name: &EventName, findings: &mut Findings) {
    let keys = NameKeys::new(&kept.namespace, name);
    let mut indexed = BTreeSet::new();
    for (who, wait) in kept.hash(&keys.waits) {
        let wait = text(wait);
        indexed.insert(format!("{} {who}", wait.split_whitespace().next().unwrap_or_default()));
        findings.expect(kept.sorted(&keys.lapsing).contains_key(who), &keys.lapsing, || {
            format!("{who:?} waits for ever")
        });
        findings.expect(who.parse::<WaitRef>().is_ok(), &keys.waits, || {
            format!("{who:?} names nobody who could wait")
        });
    }
    for member in &indexed {
        findings.expect(kept.sorted(&keys.waiting).contains_key(member), &keys.waiting, || {
            format!("{member:?} is missing: no event finds this wait")
        });
    }
    for member in kept.sorted(&keys.waiting).keys() {
        findings.expect(indexed.contains(member), &keys.waiting, || format!("{member:?} leads to no wait"));
    }
    for who in kept.sorted(&keys.lapsing).keys() {
        findings.expect(kept.hash(&keys.waits).contains_key(who), &keys.lapsing, || {
            format!("{who:?} does not wait")
        });
    }
}
