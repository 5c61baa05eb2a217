//! The only place that reads the system's clock.
//!
//! Redis' clock decides every deadline; this one only stamps records, and durations are measured with `Instant`.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

/// By how many ms this process believes another time than its machine shows.
static SKEW_MS: AtomicI64 = AtomicI64::new(0);

/// Milliseconds since the Unix epoch by this machine's clock; 0 for a clock set before 1970.
#[allow(clippy::disallowed_methods, reason = "this is the one place the others call")]
pub fn unix_ms() -> u64 {
    let shown = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    shown.saturating_add_signed(SKEW_MS.load(Ordering::Relaxed))
}

/// Sets this process' clock wrong, for tests: from now on it believes a time that is off by so many ms.
#[doc(hidden)]
pub fn set_wrong_by(ms: i64) {
    SKEW_MS.store(ms, Ordering::Relaxed);
}
