//! What has a next time: a cron expression in a zone, or a period.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Cron, Every, Zone, describe};
use crate::duration;

/// When something is started again and again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recurrence {
    /// At the times of an expression, by the clock of a zone.
    Cron {
        /// The expression.
        #[serde(rename = "expression")]
        cron: Cron,
        /// The zone; default UTC.
        #[serde(default)]
        zone: Zone,
    },
    /// Every so often.
    Every(Every),
}

/// How far back [`Recurrence::last`] looks at first; four times as far whenever that was not enough.
const FIRST_LOOK: Duration = Duration::from_secs(60);

impl Recurrence {
    /// The first time after `after`; `None` if there is none any more.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Cron { cron, zone } => cron.next(after, zone.rules()),
            Self::Every(every) => every.next(after),
        }
    }

    /// All times after `after`, one by one.
    pub fn after(&self, after: Timestamp) -> impl Iterator<Item = Timestamp> + '_ {
        std::iter::successors(self.next(after), move |time| self.next(*time))
    }

    /// The next `count` times after `after`.
    pub fn preview(&self, after: Timestamp, count: usize) -> Vec<Timestamp> {
        self.after(after).take(count).collect()
    }

    /// The last `count` times after `after` and up to `until`, oldest first.
    ///
    /// However long ago `after` is, it takes no longer than finding about four times as many.
    pub fn last(&self, after: Timestamp, until: Timestamp, count: usize) -> Vec<Timestamp> {
        let mut look = FIRST_LOOK;
        loop {
            let from = until.checked_sub(look).unwrap_or(Timestamp::MIN).max(after);
            let mut times: Vec<_> = self.after(from).take_while(|time| *time <= until).collect();
            if times.len() >= count || from == after {
                return times.split_off(times.len().saturating_sub(count));
            }
            look = look.saturating_mul(4);
        }
    }

    /// In words: `at 03:00, on Monday (Europe/Berlin)`, `every 15m`.
    pub fn describe(&self) -> String {
        match self {
            Self::Cron { cron, zone } => format!("{} ({zone})", describe::describe(cron)),
            Self::Every(every) => format!("every {}", duration::show(every.period())),
        }
    }

    /// As it is written: the expression, or `every 15m`.
    pub fn text(&self) -> String {
        match self {
            Self::Cron { cron, .. } => cron.to_string(),
            Self::Every(every) => format!("every {}", duration::show(every.period())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn berlin(expression: &str) -> Recurrence {
        Recurrence::Cron { cron: Cron::new(expression).unwrap(), zone: Zone::new("Europe/Berlin").unwrap() }
    }

    #[test]
    fn the_last_times_are_found_without_counting_all_since() {
        let each_second = berlin("* * * * * *");
        let yearly = berlin("@yearly");
        let now = time("2026-11-22T10:00:00Z");

        let last = each_second.last(time("2000-01-01T00:00:00Z"), now, 3);
        let years = yearly.last(time("2023-06-01T00:00:00Z"), now, 2);

        assert_eq!(last, ["2026-11-22T09:59:58Z", "2026-11-22T09:59:59Z", "2026-11-22T10:00:00Z"].map(time));
        assert_eq!(years, ["2024-12-31T23:00:00Z", "2025-12-31T23:00:00Z"].map(time));
        assert_eq!(yearly.last(now, now, 5), []);
    }

    #[test]
    fn it_is_told_in_words_with_its_zone() {
        assert_eq!(berlin("0 3 * * 1").describe(), "at 03:00, on Monday (Europe/Berlin)");
        assert_eq!(Recurrence::Every(Every::new(Duration::from_mins(90)).unwrap()).describe(), "every 1h30m");
    }

    #[test]
    fn it_is_kept_as_it_is_written() {
        let cron = serde_json::to_string(&berlin("0 3 * * 1")).unwrap();
        let every =
            serde_json::to_string(&Recurrence::Every(Every::new(Duration::from_secs(5)).unwrap())).unwrap();

        assert_eq!(cron, r#"{"cron":{"expression":"0 3 * * 1","zone":"Europe/Berlin"}}"#);
        assert_eq!(every, r#"{"every":{"period_ms":5000}}"#);
        assert_eq!(serde_json::from_str::<Recurrence>(&cron).unwrap(), berlin("0 3 * * 1"));
        assert!(matches!(serde_json::from_str::<Recurrence>(&every).unwrap(), Recurrence::Every(_)));
    }
}
