//! Functions as they are declared, and what their options make of an event: the function first, then the event, a line each.
#![no_main]

use ergate_shared::{EventRecord, FunctionSpec, JobOptions};
use libfuzzer_sys::fuzz_target;

fuzz_target!(
    // What CEL makes of an expression may panic, which is caught.
    init: std::panic::set_hook(Box::new(|panic| eprintln!("{panic}"))),
    |text: &str| {
        let (spec, event) = text.split_once('\n').unwrap_or((text, ""));
        let _ = serde_json::from_str::<JobOptions>(spec);
        let Ok(spec) = serde_json::from_str::<FunctionSpec>(spec) else { return };
        let kept = serde_json::to_string(&spec).expect("it is JSON");
        let again: FunctionSpec = serde_json::from_str(&kept).expect("what was written reads");
        assert_eq!(serde_json::to_string(&again).expect("it is JSON"), kept);

        let _ = (spec.queue(), spec.options.singleton_key());
        let sound = spec.options.problems().is_empty();
        let Ok(event) = serde_json::from_str::<EventRecord>(event) else { return };
        if sound {
            let _ = (spec.options.rules(&event), spec.options.cancels(&event));
        }
    }
);
