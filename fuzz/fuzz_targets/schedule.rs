//! Schedules as they are kept: a definition, a state and a time, a line each.
#![no_main]

use ergate_shared::{
    ScheduleName,
    schedule::{ScheduleSpec, ScheduleState},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut lines = text.split('\n');
    let (definition, state) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let now = lines.next().and_then(|now| now.parse().ok()).unwrap_or(1_795_316_400_000);
    let name = ScheduleName::new("nightly").expect("it is a name");
    if let Ok(state) = ScheduleState::read(&name, state) {
        assert_eq!(ScheduleState::read(&name, &state.write()).expect("it reads back"), state);
    }
    let Ok(spec) = ScheduleSpec::read(&name, definition) else { return };
    assert_eq!(ScheduleSpec::read(&name, &spec.write()).expect("it reads back").write(), spec.write());

    let state = ScheduleState::read(&name, state)
        .unwrap_or_else(|_| ScheduleState::new("b".to_owned(), &spec, now));
    let _ = state.due(&name, &spec, now);
    for busy in [false, true] {
        let Some(plan) = state.plan(&name, &spec, now, busy) else { continue };
        for start in &plan.starts {
            let _ = start.starting(&name, &spec);
        }
        let planned = state.clone().planned(plan);
        let _ = planned.due(&name, &spec, now);
        if let Ok(next) = planned.carried_out(&name, &spec, now) {
            assert_eq!(next.plan, None);
            let _ = next.paused(now).resumed(&spec, now).set(&spec, now).due(&name, &spec, now);
        }
    }
});
