//! `Retry-After`: how long a server asks to be left alone.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// No server may put a job off for longer.
const LONGEST: Duration = Duration::from_hours(24);
/// "At once" would burn all tries within milliseconds.
const SHORTEST: Duration = Duration::from_secs(1);

/// Reads a header value: seconds, or a date of HTTP, which counts from `date`, the server's own, or else from now.
/// At least a second, at most a day; nothing if it cannot be read.
///
/// The forms are those of [RFC 9110, section 10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3).
pub(super) fn parse(value: &str, date: Option<&str>, now_ms: u64) -> Option<Duration> {
    let value = value.trim();
    let delay = if value.bytes().all(|byte| byte.is_ascii_digit()) && !value.is_empty() {
        // More digits than fit mean: very long.
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let until = httpdate::parse_http_date(value).ok()?;
        let from = date.and_then(|date| httpdate::parse_http_date(date).ok());
        let from: SystemTime = from.unwrap_or(UNIX_EPOCH + Duration::from_millis(now_ms));
        until.duration_since(from).unwrap_or_default()
    };
    Some(delay.clamp(SHORTEST, LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sun, 22 Nov 2026 10:00:00 GMT
    const NOW_MS: u64 = 1_795_341_600_000;

    #[test]
    fn seconds_and_dates_are_both_read() {
        let cases = [
            ("120", None, Some(120)),
            (" 5 ", None, Some(5)),
            ("Sun, 22 Nov 2026 10:01:30 GMT", None, Some(90)),
            ("Sun, 22 Nov 2026 10:01:30 GMT", Some("Sun, 22 Nov 2026 10:01:00 GMT"), Some(30)),
            ("soon", None, None),
            ("-5", None, None),
            ("", None, None),
        ];
        for (value, date, seconds) in cases {
            assert_eq!(parse(value, date, NOW_MS), seconds.map(Duration::from_secs), "{value:?}");
        }
    }

    #[test]
    fn a_delay_is_at_least_a_second_and_at_most_a_day() {
        for (value, seconds) in [
            ("0", 1),
            ("Sun, 22 Nov 2026 09:00:00 GMT", 1),
            ("99999999", 86_400),
            ("99999999999999999999999999", 86_400),
            ("Sun, 22 Nov 2037 10:00:00 GMT", 86_400),
        ] {
            assert_eq!(parse(value, None, NOW_MS), Some(Duration::from_secs(seconds)), "{value}");
        }
    }
}
