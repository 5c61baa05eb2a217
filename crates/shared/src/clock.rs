//! The only place that reads the system's clock.
//!
//! Redis' clock decides every deadline; this one only stamps records, and durations are measured with `Instant`.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch by this machine's clock; 0 for a clock set before 1970.
#[allow(clippy::disallowed_methods, reason = "this is the one place the others call")]
pub fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
