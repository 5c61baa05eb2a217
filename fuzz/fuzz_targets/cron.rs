//! Cron expressions, with or without a zone, and the second after which their times are asked for on a line below.
#![no_main]

use ergate_shared::{
    duration,
    schedule::{Cron, Recurrence, Zone},
};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

/// From the year 1970 to the year 9000.
const LAST_SECOND: i64 = 221_845_392_000;

fuzz_target!(|text: &str| {
    let (expression, after) = text.split_once('\n').unwrap_or((text, ""));
    if let Ok(length) = duration::parse(expression) {
        let shown = duration::show(length);
        assert!(duration::parse(&shown).is_ok(), "{length:?} is shown as {shown:?}");
    }
    let Ok((cron, zone)) = Cron::with_zone(expression) else { return };
    let after = after.trim().parse().unwrap_or(1_795_316_400_i64).clamp(0, LAST_SECOND);
    let after = Timestamp::from_second(after).expect("it is in range");
    let recurrence = Recurrence::Cron { cron, zone: zone.unwrap_or_else(Zone::utc) };

    let mut before = after;
    for time in recurrence.preview(after, 5) {
        assert!(time > before, "{time} does not come after {before}");
        before = time;
    }
    for time in recurrence.last(after, before, 3) {
        assert!(time > after && time <= before, "{time} is not between {after} and {before}");
    }
    assert!(!recurrence.describe().is_empty());
    let kept = serde_json::to_string(&recurrence).expect("it is JSON");
    assert_eq!(serde_json::from_str::<Recurrence>(&kept).expect("it reads back"), recurrence);
});
