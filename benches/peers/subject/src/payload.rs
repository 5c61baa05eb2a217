//! The job every system performs: 100 bytes of JSON that carry their own timestamps.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Size of a payload as JSON.
const BYTES: usize = 100;

/// A job's data. As JSON it is 100 bytes long whatever the timestamps are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Payload {
    /// When the job was handed to the system, in microseconds since the epoch; 0 asks for no measurement.
    pub sent_us: u64,
    /// When the job is due, in microseconds since the epoch; 0 is at once.
    pub due_us: u64,
    pad: String,
}

impl Payload {
    /// A job nobody measures.
    #[must_use]
    pub fn plain() -> Self {
        Self::new(0, 0)
    }

    /// A job whose pick-up is measured from now.
    #[must_use]
    pub fn sent_now() -> Self {
        Self::new(now_us(), 0)
    }

    /// A job whose lateness is measured against `due_us`.
    #[must_use]
    pub fn due(due_us: u64) -> Self {
        Self::new(0, due_us)
    }

    fn new(sent_us: u64, due_us: u64) -> Self {
        let mut payload = Self { sent_us, due_us, pad: String::new() };
        let bare = serde_json::to_string(&payload).map_or(0, |json| json.len());
        payload.pad = "x".repeat(BYTES.saturating_sub(bare));
        payload
    }
}

/// Microseconds since the epoch. Driver and subjects run on one machine, so their clocks agree.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "no deadline depends on it, it only measures")]
pub(crate) fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_100_bytes_of_json() {
        for payload in [Payload::plain(), Payload::sent_now(), Payload::due(now_us())] {
            assert_eq!(serde_json::to_string(&payload).unwrap().len(), 100);
        }
    }
}
