//! Durations as people write them: `45s`, `1h30m`, `7d`. Days are 24 hours.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo, Unit};

use crate::Error;

/// The longest delay, time-out or retention anything here takes: ten years.
pub const LONGEST: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);

/// Reads a duration such as `45s`, `1h30m`, `7d` or `250ms`.
///
/// # Errors
/// [`Error::Duration`] if it cannot be read, is negative, has months or years, or is over ten years.
pub fn parse(text: &str) -> Result<Duration, Error> {
    let wrong = |problem: &str| Error::Duration { value: text.to_owned(), problem: problem.to_owned() };
    let span: Span = text.parse().map_err(|_| wrong("cannot be read"))?;
    if span.get_months() != 0 || span.get_years() != 0 {
        return Err(wrong("has months or years, which differ in length"));
    }
    if span.is_negative() {
        return Err(wrong("is negative"));
    }
    let days = SpanRelativeTo::days_are_24_hours();
    let millis = span.total((Unit::Millisecond, days)).map_err(|_| wrong("is too long"))?;
    let duration = Duration::from_secs_f64(millis / 1000.0);
    if duration > LONGEST {
        return Err(wrong("is over ten years"));
    }
    Ok(duration)
}

/// Writes a duration as [`parse`] reads it, in at most three units: `1h30m`, `250ms`, `0s`.
pub fn show(duration: Duration) -> String {
    const UNITS: [(u128, &str); 5] =
        [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")];
    let mut rest = duration.as_millis();
    let mut text = String::new();
    let mut shown = 0;
    for (length, unit) in UNITS {
        if rest >= length && shown < 3 {
            text.push_str(&format!("{}{unit}", rest / length));
            rest %= length;
            shown += 1;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        for (text, seconds) in [("45s", 45), ("1h30m", 5400), ("7d", 604_800), ("2w", 1_209_600)] {
            assert_eq!(parse(text).unwrap(), Duration::from_secs(seconds), "{text}");
        }
        assert_eq!(parse("250ms").unwrap(), Duration::from_millis(250));
    }

    #[test]
    fn what_is_no_duration_is_refused_with_an_example() {
        for text in ["", "soon", "-5s", "1 month", "20000d", "5"] {
            assert!(parse(text).unwrap_err().to_string().contains("45s"), "{text:?}");
        }
    }

    #[test]
    fn what_is_shown_reads_back() {
        for millis in [0, 250, 45_000, 5_400_000, 604_800_000] {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse(&show(duration)).unwrap(), duration);
        }
    }
}
