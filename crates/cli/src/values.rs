//! Values of options as people write them, from text.

use std::time::Duration;

use ergate_client::{Durability, Rate};
use ergate_shared::{FailureKind, duration, run::RunState};
use jiff::{Timestamp, Zoned, civil::DateTime, tz::TimeZone};

/// A limit that can also be taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit<T>(pub(crate) Option<T>);

/// Reads `none` or a number.
pub(crate) fn count(text: &str) -> Result<Limit<u32>, String> {
    if text == "none" {
        return Ok(Limit(None));
    }
    let number = text.parse().map_err(|_| "write a number or `none`".to_owned())?;
    Ok(Limit(Some(number)))
}

/// Reads `none` or a duration.
pub(crate) fn time(text: &str) -> Result<Limit<Duration>, String> {
    match text {
        "none" => Ok(Limit(None)),
        _ => duration::parse(text).map(|time| Limit(Some(time))).map_err(|error| error.to_string()),
    }
}

/// Reads `none`, or how many per time: `100/1m`, `5/s`.
pub(crate) fn rate(text: &str) -> Result<Limit<Rate>, String> {
    if text == "none" {
        return Ok(Limit(None));
    }
    let wrong = || "write it like 100/1m, 5/s or none".to_owned();
    let (count, per) = text.split_once('/').ok_or_else(wrong)?;
    let count: u32 = count.trim().parse().map_err(|_| wrong())?;
    let per = match per.trim() {
        unit @ ("ms" | "s" | "m" | "h" | "d") => duration::parse(&format!("1{unit}")),
        per => duration::parse(per),
    }
    .map_err(|error| error.to_string())?;
    if count == 0 || per.is_zero() {
        return Err("it would never let a job start; pause the queue instead".to_owned());
    }
    Ok(Limit(Some(Rate::new(count, per))))
}

/// Writes a rate as [`rate`] reads it, from the time between two jobs in ms.
pub(crate) fn show_rate(interval_ms: f64) -> String {
    for (unit, name) in [(1e3, "1s"), (6e4, "1m"), (3.6e6, "1h"), (8.64e7, "1d")] {
        let count = unit / interval_ms;
        if count >= 0.999_999 && (count - count.round()).abs() < 1e-6 * count {
            return format!("{}/{name}", count.round());
        }
    }
    format!("1/{}", duration::show(Duration::from_secs_f64(interval_ms / 1e3)))
}

/// Reads `fast`, `fsync` or `replicated:N`.
pub(crate) fn durability(text: &str) -> Result<Durability, String> {
    match text.split_once(':') {
        None if text == "fast" => Ok(Durability::Fast),
        None if text == "fsync" => Ok(Durability::Fsync),
        Some(("replicated", replicas)) => match replicas.parse() {
            Ok(replicas @ 1..) => Ok(Durability::Replicated(replicas)),
            _ => Err("it needs a number of replicas of at least 1, like replicated:1".to_owned()),
        },
        _ => Err("it is one of fast, fsync, replicated:N".to_owned()),
    }
}

/// Reads a size in bytes: `4096`, `64KiB`, `1MiB`.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match text[digits.len()..].trim() {
        "" | "B" => 1,
        "KiB" | "K" | "k" => 1 << 10,
        "MiB" | "M" => 1 << 20,
        "GiB" | "G" => 1 << 30,
        _ => return Err("write it like 4096, 64KiB or 1MiB".to_owned()),
    };
    let number: usize = digits.parse().map_err(|_| "write it like 4096, 64KiB or 1MiB".to_owned())?;
    number.checked_mul(unit).filter(|bytes| *bytes > 0).ok_or_else(|| "it is out of range".to_owned())
}

/// Reads a point in time: `2027-01-31T09:00:00Z`, with a zone, or by this machine's clock (`2027-01-31 09:00`).
pub(crate) fn instant(text: &str) -> Result<Timestamp, String> {
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Ok(timestamp);
    }
    if let Ok(zoned) = text.parse::<Zoned>() {
        return Ok(zoned.timestamp());
    }
    text.parse::<DateTime>()
        .and_then(|local| local.to_zoned(TimeZone::system()))
        .map(|zoned| zoned.timestamp())
        .map_err(|_| "write it like 2027-01-31T09:00:00Z or \"2027-01-31 09:00\"".to_owned())
}

/// A start in the past: so long ago, or at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    Ago(Duration),
    At(Timestamp),
}

impl Since {
    /// In ms since the epoch, seen from `now`.
    pub(crate) fn millis(self, now: u64) -> u64 {
        match self {
            Self::Ago(time) => now.saturating_sub(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
            Self::At(time) => u64::try_from(time.as_millisecond()).unwrap_or(0),
        }
    }
}

/// Reads `2h` as two hours ago, or a point in time.
pub(crate) fn since(text: &str) -> Result<Since, String> {
    if let Ok(ago) = duration::parse(text) {
        return Ok(Since::Ago(ago));
    }
    instant(text).map(Since::At).map_err(|problem| format!("{problem}, or how long ago, like 45m, 2h or 7d"))
}

/// Reads the kind of a failure.
pub(crate) fn kind(text: &str) -> Result<FailureKind, String> {
    serde_json::from_value(text.into())
        .map_err(|_| "it is one of error, panic, timeout, crashed, decode, unhandled, expired".to_owned())
}

/// Reads the state of a run.
pub(crate) fn run_state(text: &str) -> Result<RunState, String> {
    serde_json::from_value(text.into())
        .map_err(|_| "it is one of queued, running, suspended, completed, failed, cancelled".to_owned())
}

/// Reads a JSON value.
pub(crate) fn json(text: &str) -> Result<serde_json::Value, String> {
    serde_json::from_str(text).map_err(|error| format!("not valid JSON: {error}"))
}

/// Reads a number of jobs per second, above 0.
pub(crate) fn per_second(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text).parse::<f64>();
    number
        .ok()
        .filter(|rate| *rate > 0.0 && rate.is_finite())
        .ok_or_else(|| "write a number above 0".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_reads_with_and_without_a_number_before_the_unit() {
        assert_eq!(rate("100/1m"), Ok(Limit(Some(Rate::new(100, Duration::from_mins(1))))));
        assert_eq!(rate("5/s"), Ok(Limit(Some(Rate::new(5, Duration::from_secs(1))))));
        assert_eq!(rate("none"), Ok(Limit(None)));
    }

    #[test]
    fn a_rate_that_would_stop_the_queue_is_refused() {
        for text in ["0/1m", "5/0s", "5", "x/1m", "5/soon", "-5/1m", "5/1month"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_rate_is_shown_in_the_shortest_unit_that_makes_it_whole() {
        assert_eq!(show_rate(200.0), "5/1s");
        assert_eq!(show_rate(600.0), "100/1m");
        assert_eq!(show_rate(60_000.0 / 7.0), "7/1m");
        assert_eq!(show_rate(3_600_000.0), "1/1h");
        assert_eq!(show_rate(7_777.0), "1/7s777ms");
    }

    #[test]
    fn a_limit_is_a_number_or_none() {
        assert_eq!(count("10"), Ok(Limit(Some(10))));
        assert_eq!(count("none"), Ok(Limit(None)));
        assert!(count("-1").is_err() && count("many").is_err() && count("").is_err());
    }

    #[test]
    fn durability_names_its_replicas() {
        assert_eq!(durability("fast"), Ok(Durability::Fast));
        assert_eq!(durability("replicated:2"), Ok(Durability::Replicated(2)));
        for text in ["replicated", "replicated:0", "replicated:x", "always", ""] {
            assert!(durability(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_have_binary_units() {
        assert_eq!(size("4096"), Ok(4096));
        assert_eq!(size("64KiB"), Ok(65_536));
        assert_eq!(size("1MiB"), Ok(1_048_576));
        for text in ["", "KiB", "0", "1XB", "-1", "99999999999999999999"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_reads_with_an_offset_with_a_zone_and_without_either() {
        let nine = "2027-01-31T09:00:00Z".parse::<Timestamp>().unwrap();

        assert_eq!(instant("2027-01-31T09:00:00Z"), Ok(nine));
        assert_eq!(instant("2027-01-31T10:00:00+01:00"), Ok(nine));
        assert_eq!(instant("2027-01-31T10:00[Europe/Berlin]"), Ok(nine));
        assert!(instant("2027-01-31 09:00").is_ok());
        assert!(instant("tomorrow").unwrap_err().contains("2027-01-31T09:00:00Z"));
    }

    #[test]
    fn a_duration_after_since_counts_back_from_now() {
        assert_eq!(since("2s").unwrap().millis(10_000), 8_000);
        assert_eq!(since("1970-01-01T00:00:05Z").unwrap().millis(10_000), 5_000);
        assert_eq!(since("1h").unwrap().millis(10_000), 0);
        assert!(since("yesterday").unwrap_err().contains("2h"));
    }

    #[test]
    fn failure_kinds_are_those_that_are_kept() {
        assert_eq!(kind("timeout"), Ok(FailureKind::Timeout));
        assert!(kind("Timeout").unwrap_err().contains("crashed"));
    }

    #[test]
    fn a_redrive_rate_is_above_zero() {
        assert_eq!(per_second("10"), Ok(10.0));
        assert_eq!(per_second("0.5/s"), Ok(0.5));
        for text in ["0", "-1", "inf", "NaN", "fast"] {
            assert!(per_second(text).is_err(), "{text}");
        }
    }
}
