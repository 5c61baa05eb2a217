//! Times and durations as people read them.

use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};

/// What time it is where the jobs are: all that is told relative to now goes by Redis' clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    now: u64,
}

impl Clock {
    /// A clock that shows `now`, in ms since the epoch.
    pub(crate) fn new(now: u64) -> Self {
        Self { now }
    }

    /// `2026-11-22 09:31:05 (3 minutes ago)`, by this machine's time zone.
    pub(crate) fn full(self, at: u64) -> String {
        format!("{} ({})", formatted(at, "%Y-%m-%d %H:%M:%S"), self.relative(at))
    }

    /// `3 minutes ago`, `in 2 hours`, `just now`.
    pub(crate) fn relative(self, at: u64) -> String {
        let apart = Duration::from_millis(at.abs_diff(self.now));
        match at.cmp(&self.now) {
            _ if apart.as_secs() == 0 => "just now".to_owned(),
            std::cmp::Ordering::Greater => format!("in {}", about(rounded(apart))),
            _ => format!("{} ago", about(apart)),
        }
    }

    /// `3m`, for columns.
    pub(crate) fn age(self, at: u64) -> String {
        short(Duration::from_millis(self.now.saturating_sub(at)))
    }

    /// `3m ago` or `in 2h`, for columns.
    pub(crate) fn brief(self, at: u64) -> String {
        let apart = Duration::from_millis(at.abs_diff(self.now));
        match at.cmp(&self.now) {
            _ if apart.as_secs() == 0 => "now".to_owned(),
            std::cmp::Ordering::Greater => format!("in {}", short(rounded(apart))),
            _ => format!("{} ago", short(apart)),
        }
    }
}

/// `2026-11-22 09:31:05.123`, for lines of a log.
pub(crate) fn moment(at: u64) -> String {
    formatted(at, "%Y-%m-%d %H:%M:%S%.3f")
}

fn formatted(at: u64, format: &str) -> String {
    let Ok(timestamp) = Timestamp::from_millisecond(at.cast_signed()) else { return format!("{at} ms") };
    timestamp.to_zoned(TimeZone::system()).strftime(format).to_string()
}

const UNITS: [(u64, &str, &str); 4] =
    [(86_400, "day", "d"), (3_600, "hour", "h"), (60, "minute", "m"), (1, "second", "s")];

/// Rounds down to one unit, as nobody needs the seconds of a day.
fn split(duration: Duration) -> Option<(u64, &'static str, &'static str)> {
    let (length, long, short) = unit(duration)?;
    Some((duration.as_secs() / length, long, short))
}

fn unit(duration: Duration) -> Option<(u64, &'static str, &'static str)> {
    UNITS.into_iter().find(|(length, ..)| duration.as_secs() >= *length)
}

/// To the nearest of the unit it is told in, so that a delay of 10 minutes does not read as 9 at once.
fn rounded(duration: Duration) -> Duration {
    let Some((length, ..)) = unit(duration) else { return duration };
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).saturating_add(length * 500);
    Duration::from_secs(millis / 1_000 / length * length)
}

/// `3 minutes`.
pub(crate) fn about(duration: Duration) -> String {
    match split(duration) {
        Some((1, unit, _)) => format!("1 {unit}"),
        Some((count, unit, _)) => format!("{count} {unit}s"),
        None => format!("{} ms", duration.as_millis()),
    }
}

/// `3m`.
pub(crate) fn short(duration: Duration) -> String {
    match split(duration) {
        Some((count, _, unit)) => format!("{count}{unit}"),
        None => "0s".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_from_now_on_and_backwards() {
        let clock = Clock::new(10_000_000);

        assert_eq!(clock.relative(10_000_000 - 180_000), "3 minutes ago");
        assert_eq!(clock.relative(10_000_000 + 7_300_000), "in 2 hours");
        assert_eq!(clock.relative(10_000_000 + 599_999), "in 10 minutes");
        assert_eq!(clock.relative(10_000_000 + 3_599_500), "in 1 hour");
        assert_eq!(clock.relative(10_000_400), "just now");
        assert_eq!(clock.relative(10_000_000 - 1_000), "1 second ago");
    }

    #[test]
    fn ages_fit_into_columns() {
        let clock = Clock::new(90_000_000_000);

        assert_eq!(clock.age(90_000_000_000 - 59_999), "59s");
        assert_eq!(clock.age(90_000_000_000 - 3 * 86_400_000), "3d");
        assert_eq!(clock.age(90_000_000_001), "0s");
        assert_eq!(clock.brief(90_000_000_000 - 180_000), "3m ago");
        assert_eq!(clock.brief(90_000_000_000 + 7_199_000), "in 2h");
    }
}
