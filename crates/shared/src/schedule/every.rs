//! Periods: every so often, counted from a fixed moment.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Error, duration};

/// The shortest period.
const SHORTEST: Duration = Duration::from_millis(100);

/// Every so often, by elapsed time: no zone and no daylight saving changes anything.
///
/// The times are the anchor and all whole periods before and after it. The anchor is the Unix epoch unless set, so that a
/// period that divides an hour or a day falls on whole ones (in UTC), and stays the same however often it is declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Every {
    period_ms: u64,
    #[serde(default, skip_serializing_if = "is_epoch")]
    anchor_ms: i64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn is_epoch(anchor_ms: &i64) -> bool {
    *anchor_ms == 0
}

impl Every {
    /// Takes a period of whole milliseconds, from 100 ms to ten years.
    ///
    /// # Errors
    /// [`Error::Duration`] outside that range.
    pub fn new(period: Duration) -> Result<Self, Error> {
        if !(SHORTEST..=duration::LONGEST).contains(&period) {
            return Err(Error::Duration {
                value: duration::show(period),
                problem: "is no period from 100ms to ten years".to_owned(),
            });
        }
        let period_ms = u64::try_from(period.as_millis()).expect("it is at most ten years");
        Ok(Self { period_ms, anchor_ms: 0 })
    }

    /// Counts the periods from `anchor`; default the Unix epoch.
    #[must_use]
    pub fn anchored(mut self, anchor: Timestamp) -> Self {
        self.anchor_ms = anchor.as_millisecond();
        self
    }

    /// The period.
    pub fn period(&self) -> Duration {
        Duration::from_millis(self.period_ms)
    }

    /// The first time after `after`; `None` at the end of the calendar.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        // Whatever others wrote there must not end the process.
        let period = i64::try_from(self.period_ms.max(1)).ok()?;
        let periods =
            after.as_millisecond().checked_sub(self.anchor_ms)?.div_euclid(period).checked_add(1)?;
        Timestamp::from_millisecond(self.anchor_ms.checked_add(periods.checked_mul(period)?)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).unwrap()
    }

    #[test]
    fn a_quarter_of_an_hour_falls_on_the_quarters() {
        let every = Every::new(Duration::from_mins(15)).unwrap();

        let next = every.next("2026-11-22T09:31:05.5Z".parse().unwrap()).unwrap();

        assert_eq!(next.to_string(), "2026-11-22T09:45:00Z");
        assert_eq!(every.next(next).unwrap().to_string(), "2026-11-22T10:00:00Z");
    }

    #[test]
    fn an_anchor_moves_the_times_and_nothing_else() {
        let every =
            Every::new(Duration::from_hours(1)).unwrap().anchored("2026-11-22T09:07:00Z".parse().unwrap());

        assert_eq!(
            every.next("2026-11-22T12:00:00Z".parse().unwrap()).unwrap().to_string(),
            "2026-11-22T12:07:00Z"
        );
        assert_eq!(
            every.next("2026-11-22T03:07:00Z".parse().unwrap()).unwrap().to_string(),
            "2026-11-22T04:07:00Z"
        );
    }

    #[test]
    fn a_period_below_100_ms_or_over_ten_years_is_refused() {
        assert!(Every::new(Duration::from_millis(99)).is_err());
        assert!(Every::new(Duration::ZERO).is_err());
        assert!(Every::new(duration::LONGEST + Duration::from_millis(1)).is_err());
    }

    proptest! {
        #[test]
        fn times_are_a_period_apart_and_none_is_passed_over(
            period in 100_u64..1_000_000_000, anchor in -1_000_000_000_000_i64..4_000_000_000_000, after in -1_000_000_000_000_i64..4_000_000_000_000,
        ) {
            let every = Every::new(Duration::from_millis(period)).unwrap().anchored(at(anchor));

            let first = every.next(at(after)).unwrap();
            let second = every.next(first).unwrap();

            prop_assert!(first > at(after));
            prop_assert!(first.as_millisecond() - after <= period as i64);
            prop_assert_eq!(second.as_millisecond() - first.as_millisecond(), period as i64);
        }
    }
}
