//! Schedules: each with a definition and a state that can be read, and looked at in time.

use ergate::ScheduleName;
use ergate_shared::{
    key::ScheduleKeys,
    schedule::{ScheduleSpec, ScheduleState},
};

use super::{
    Findings,
    kept::{Kept, text},
};

/// How long what was handed out may be away, with room for a machine that stands still, in ms.
const CLAIM: f64 = 10_000.0;

pub(super) fn judge(kept: &Kept, findings: &mut Findings) {
    let keys = ScheduleKeys::new(&kept.namespace);
    for (name, definition) in kept.hash(&keys.definitions) {
        let Some(state) = kept.hash(&keys.states).get(name) else {
            findings.add(&keys.states, format!("{name} has no state"));
            continue;
        };
        let read = name.parse::<ScheduleName>().and_then(|parsed| {
            let spec = ScheduleSpec::read(&parsed, &text(definition))?;
            let state = ScheduleState::read(&parsed, &text(state))?;
            Ok((parsed, spec, state))
        });
        match read {
            Ok((name, spec, state)) => judge_one(kept, &keys, &name, (&spec, &state), findings),
            Err(error) => findings.add(&keys.definitions, error),
        }
    }
    for name in kept.hash(&keys.states).keys() {
        let is_known = kept.hash(&keys.definitions).contains_key(name);
        findings.expect(is_known, &keys.definitions, || format!("{name} has a state and no definition"));
    }
    for key in [&keys.due, &keys.declared, &keys.retired] {
        for name in kept.sorted(key).keys() {
            let is_known = kept.hash(&keys.definitions).contains_key(name);
            findings.expect(is_known, key, || format!("{name} is no schedule"));
        }
    }
}

fn judge_one(
    kept: &Kept,
    keys: &ScheduleKeys,
    name: &ScheduleName,
    (spec, state): (&ScheduleSpec, &ScheduleState),
    findings: &mut Findings,
) {
    let looked_at = kept.sorted(&keys.due).get(name.as_str());
    if kept.sorted(&keys.retired).contains_key(name.as_str()) {
        findings.expect(looked_at.is_none(), &keys.due, || format!("{name} is retired and looked at"));
        let is_declared = kept.sorted(&keys.declared).contains_key(name.as_str());
        findings.expect(!is_declared, &keys.declared, || format!("{name} is retired and declared"));
        return;
    }
    let next = state.awaited.and_then(|awaited| i64::try_from(awaited).ok());
    let next = next.and_then(|awaited| ergate::Timestamp::from_millisecond(awaited).ok());
    if let Some(awaited) = next {
        let before = ergate::Timestamp::from_millisecond(awaited.as_millisecond() - 1).ok();
        let is_time = before.and_then(|before| spec.recurrence.next(before)) == Some(awaited);
        findings.expect(is_time, &keys.states, || format!("{name} awaits {awaited}, which is no time of it"));
    }
    match (state.due(name, spec, kept.now), looked_at) {
        (Some(_), None) => findings.add(&keys.due, format!("nobody looks at {name}, which has a next time")),
        // In time for what is awaited, or handed out just now.
        (Some(due), Some(at)) => {
            let latest = (due as f64).max(kept.now as f64 + CLAIM);
            findings.expect(*at <= latest, &keys.due, || {
                format!("{name} is due at {due} and looked at only at {at:.0}")
            });
        }
        (None, _) => {}
    }
}
