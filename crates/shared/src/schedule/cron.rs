//! Cron expressions, and what daylight saving does to them.
//!
//! `croner` reads the fields and knows the calendar; it is asked about days and times of the clock only, never about
//! zones. Which instants those are is decided here, by two rules:
//!
//! * **Times of the clock.** If second, minute and hour are single values or lists (`30 2 * * *`, `0 9,17 * * 1-5`), the
//!   expression names times of day, and each named time of a day comes once. One that does not exist, because the clock
//!   jumps over it, comes at the moment of the jump; several that are jumped over come together, once. One that
//!   the clock shows twice comes the first time.
//! * **Intervals.** If any of the three has a `*`, a range or a step (`*/30 * * * *`, `0 9-17 * * *`), the expression names
//!   a rhythm, and it comes at every moment at which the clock shows a matching time: not at all for times that are jumped
//!   over, and twice for those that are shown twice.

use std::{fmt, str::FromStr};

use croner::{
    Cron as Calendar,
    parser::{CronParser, Seconds, Year},
};
use jiff::{
    Timestamp,
    civil::{self, DateTime},
    tz::{AmbiguousOffset, TimeZone},
};
use serde::{Deserialize, Serialize};

use super::Zone;
use crate::Error;

mod problem;

/// A cron expression of five fields (minute, hour, day of month, month, day of week) or six (seconds before them), or a
/// name such as `@daily`.
///
/// Fields take `*`, lists, ranges, steps, names (`MON`, `JAN`); days of month also `L` (the last) and `15W` (the weekday
/// nearest to the 15th); days of week 0 to 7 from Sunday to Sunday, `5#2` (the second Friday) and `5L` (the last). If both
/// days of month and of week are restricted, a day that matches either counts, as in every cron; with a `+` before
/// the days of week (`0 0 13 * +5`) both must match.
///
/// What daylight saving does to times that do not exist or come twice: see the guide on schedules.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cron {
    expression: String,
    /// Apart, since it is ten times as large as the rest.
    calendar: Box<Calendar>,
    /// Whether it names times of the clock, not a rhythm.
    of_the_clock: bool,
}

/// A day before all that is ever asked for, from which every expression that comes at all comes within a cycle of the
/// calendar.
const LONG_AGO: DateTime = civil::date(2000, 1, 1).at(0, 0, 0, 0);

impl Cron {
    /// Reads an expression without a zone.
    ///
    /// # Errors
    /// [`Error::Cron`], which names the field that is wrong and what it may be, or says that the expression never comes.
    pub fn new(expression: &str) -> Result<Self, Error> {
        let expression = expression.trim();
        let fields = problem::fields(expression)?;
        let calendar = parser()
            .parse(&fields.join(" "))
            .map_err(|error| problem::explain(expression, &fields, &error))?;
        if calendar.find_next_occurrence(&LONG_AGO, true).is_err() {
            return Err(problem::never(expression));
        }
        let single = |field: &String| field.chars().all(|c| c.is_ascii_digit() || c == ',');
        let of_the_clock = fields[..3].iter().all(single);
        Ok(Self { expression: expression.to_owned(), calendar: Box::new(calendar), of_the_clock })
    }

    /// Reads an expression that may begin with its zone: `TZ=Europe/Berlin 0 3 * * *`, or `CRON_TZ=`.
    ///
    /// # Errors
    /// As [`new`](Self::new) and [`Zone::new`].
    pub fn with_zone(expression: &str) -> Result<(Self, Option<Zone>), Error> {
        let expression = expression.trim();
        let zone = ["CRON_TZ=", "TZ="].into_iter().find_map(|mark| expression.strip_prefix(mark));
        let Some(rest) = zone else { return Ok((Self::new(expression)?, None)) };
        let (zone, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        Ok((Self::new(rest)?, Some(Zone::new(zone)?)))
    }

    /// The expression as it was given.
    pub fn as_str(&self) -> &str {
        &self.expression
    }

    /// Whether it names times of the clock, each of which comes once a day, and not a rhythm.
    pub fn is_of_the_clock(&self) -> bool {
        self.of_the_clock
    }

    /// The first time after `after` by the clock of `zone`; `None` if there is none in the calendar any more.
    pub fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        if self.of_the_clock { self.next_of_the_clock(after, zone) } else { self.next_of_rhythm(after, zone) }
    }

    /// What the clock shows grows with time except where it is set back, and there the first showing counts: so times of
    /// the clock in their order are instants in their order, or the same one.
    fn next_of_the_clock(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let mut shown = zone.to_datetime(after);
        loop {
            shown = self.calendar.find_next_occurrence(&shown, false).ok()?;
            let at = first_shown(shown, zone)?;
            if at > after {
                return Some(at);
            }
        }
    }

    /// Looks for the next matching time as if the clock were never set, and begins again where it is.
    fn next_of_rhythm(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let (mut from, mut inclusive) = (after, false);
        loop {
            let offset = zone.to_offset(from);
            let shown = self.calendar.find_next_occurrence(&offset.to_datetime(from), inclusive).ok()?;
            let at = offset.to_timestamp(shown).ok()?;
            match zone.following(from).next() {
                Some(change) if change.timestamp() <= at => (from, inclusive) = (change.timestamp(), true),
                _ => return Some(at),
            }
        }
    }

    pub(super) fn calendar(&self) -> &Calendar {
        &self.calendar
    }
}

fn parser() -> CronParser {
    CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build()
}

/// When a clock in `zone` first shows this time, or jumps over it.
fn first_shown(time: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(time);
    match ambiguous.offset() {
        AmbiguousOffset::Gap { after, .. } => {
            // Read with the later offset, a time that is jumped over lies before the jump.
            let before_jump = after.to_timestamp(time).ok()?;
            zone.following(before_jump).next().map(|jump| jump.timestamp())
        }
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => ambiguous.earlier().ok(),
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.expression)
    }
}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.expression, f)
    }
}

impl FromStr for Cron {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::new(text)
    }
}

impl TryFrom<String> for Cron {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        Self::new(&text)
    }
}

impl From<Cron> for String {
    fn from(cron: Cron) -> Self {
        cron.expression
    }
}

#[cfg(test)]
mod tests;
