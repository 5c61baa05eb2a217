//! Expressions over events, and formulas: the expression first, then the two events it is about, a line each.
#![no_main]

use ergate_shared::{
    Condition, EventRecord, Expression,
    expression::{Formula, Scope},
};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

fuzz_target!(
    // The parser of CEL may panic, which is caught and means that there is no such expression.
    init: std::panic::set_hook(Box::new(|panic| eprintln!("{panic}"))),
    |text: &str| {
        let mut lines = text.split('\n');
        let expression = lines.next().unwrap_or_default();
        let mut event = || lines.next().and_then(|line| serde_json::from_str::<Value>(line).ok());
        let first = event().unwrap_or_else(|| json!({"data": {"a": 1, "b": "x", "c": [1, 2.5, null]}}));
        let other = event().unwrap_or_else(|| json!({"data": {"a": 1.0, "b": "y"}}));
        if let Ok(compiled) = Expression::compile(expression) {
            assert_eq!(compiled.as_str(), expression);
            let meant = compiled.holds(&Scope { event: &first, other: Some(&other) });
            let _ = compiled.holds(&Scope { event: &first, other: None });
            let found = json!({"id": "a", "name": "x/y", "ts": 1, "data": other.get("data")});
            let record: EventRecord = serde_json::from_value(found.clone()).expect("it is an event");
            // An expression and the condition it comes to say the same.
            if other == found
                && let (Ok(meant), Ok(condition)) = (meant, Condition::any().when(expression, first.clone()))
                && let Ok(met) = condition.is_met_by(&record, |_| {})
            {
                assert_eq!(met, meant, "{condition:?}");
            }
        }
        if let Ok(formula) = Formula::compile(expression) {
            let _ = formula.value(&first);
        }
    }
);
