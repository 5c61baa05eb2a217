//! What Redis keeps of a job: its record, its end, its failure. What reads is written as it was read, or means the same.
#![no_main]

use ergate_shared::{FailureRecord, JobRecord, ending};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(record) = JobRecord::decode(bytes) {
        let again = record.encode();
        assert_eq!(JobRecord::decode(&again).expect("what was encoded reads"), record);
        if let Some(backoff) = &record.options.backoff {
            for (failures, chance) in [(0, 0.0), (1, 0.5), (25, 0.999), (u32::MAX, 0.0)] {
                let _ = backoff.delay(failures, chance);
            }
        }
        if let Some(lane) = &record.lane {
            let _ = lane.keys().count();
        }
    }
    let failure = FailureRecord::from_json(bytes);
    assert_eq!(FailureRecord::from_json(&failure.to_json()).message, failure.message);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let (at, result) = ending::read(text);
        let mut buffer = Vec::new();
        let written = ending::write(&mut buffer, ending::COMPLETED, at, result.as_bytes());
        if at < 36_u64.pow(9) {
            let written = std::str::from_utf8(written).expect("it is text");
            assert_eq!(ending::read(written), (at, result));
        }
    }
});
