//! Events and waits as they are kept: an event on the first line, the condition of a wait on the second.
#![no_main]

use ergate_shared::{Condition, EventRecord, wait::terms};
use libfuzzer_sys::fuzz_target;

fuzz_target!(
    // What CEL makes of an expression may panic, which is caught.
    init: std::panic::set_hook(Box::new(|panic| eprintln!("{panic}"))),
    |text: &str| {
        let (event, condition) = text.split_once('\n').unwrap_or((text, "{}"));
        let Ok(event) = serde_json::from_str::<EventRecord>(event) else { return };
        let kept = event.to_value().to_string();
        let again: EventRecord = serde_json::from_str(&kept).expect("what was written reads");
        assert_eq!(again.to_value(), event.to_value());

        let Ok(condition) = serde_json::from_str::<Condition>(condition) else { return };
        let (field, term) = condition.indexed();
        let of_event = terms(&event, &[field.to_owned()]);
        if condition.is_met_by(&event, |_| {}).is_ok_and(|met| met) {
            assert_eq!(of_event, [term], "a wait that is met is found by its term");
        }
    }
);
