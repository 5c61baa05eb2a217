//! A schedule as it is kept: what was declared, and by whom.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{CatchUp, Overlap, Recurrence, Target};
use crate::{Error, ScheduleName, duration};

/// The longest name of a schedule, in bytes: the id of a job is made of it and a time.
pub const LONGEST_SCHEDULE_NAME: usize = 96;
/// The most by which a start may be put off at random.
pub const MOST_JITTER: Duration = Duration::from_hours(24);

/// Who wrote a schedule down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The code of a worker, which keeps declaring it; it is retired when no worker does any more.
    Code,
    /// Somebody, by the API or the command line; it stays until it is removed, and goes before what code declares under
    /// the same name.
    Hand,
}

/// A schedule as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ScheduleSpec {
    /// When.
    pub recurrence: Recurrence,
    /// What is started.
    pub target: Target,
    /// What becomes of times that were missed.
    #[serde(default)]
    pub catch_up: CatchUp,
    /// What becomes of times that come while the last job has not ended.
    #[serde(default)]
    pub overlap: Overlap,
    /// By how many ms at most a start is put off at random; 0 for none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub jitter_ms: u64,
    /// Who wrote it down.
    pub origin: Origin,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl ScheduleSpec {
    /// Reads a schedule as it is kept.
    ///
    /// # Errors
    /// [`Error::Schedule`] for one this release, or this machine's time zone database, does not understand.
    pub fn read(name: &ScheduleName, definition: &str) -> Result<Self, Error> {
        serde_json::from_str(definition).map_err(|error| Error::Schedule {
            name: name.to_string(),
            problem: format!("cannot be read: {error}"),
        })
    }

    /// The text that is kept.
    pub fn write(&self) -> String {
        serde_json::to_string(self).expect("names, numbers and JSON always serialise")
    }

    /// When what is for `nominal` is to be started: then, or later by chance, but always by the same chance. It is before
    /// the next time, so that however large the jitter is, no two times are due at once and one of them is missed.
    pub fn due(&self, name: &ScheduleName, nominal: Timestamp) -> Timestamp {
        if self.jitter_ms == 0 {
            return nominal;
        }
        let until_next = self.recurrence.next(nominal).map_or(u64::MAX, |next| {
            u64::try_from(next.as_millisecond() - nominal.as_millisecond()).unwrap_or(0)
        });
        let most = self.jitter_ms.min(until_next.saturating_sub(1));
        let put_off = chance(name.as_str(), nominal) % most.saturating_add(1);
        nominal.checked_add(Duration::from_millis(put_off)).unwrap_or(nominal)
    }

    /// What is wrong with it, if anything is.
    pub(super) fn check(&self, name: &ScheduleName) -> Result<(), Error> {
        let length = name.as_str().len();
        let problem = if length > LONGEST_SCHEDULE_NAME {
            Some(format!("has a name of {length} bytes, the most is {LONGEST_SCHEDULE_NAME}"))
        } else if Duration::from_millis(self.jitter_ms) > MOST_JITTER {
            let jitter = duration::show(Duration::from_millis(self.jitter_ms));
            Some(format!("puts starts off by up to {jitter}, the most is {}", duration::show(MOST_JITTER)))
        } else {
            self.catch_up.problem()
        };
        match problem {
            Some(problem) => Err(Error::Schedule { name: name.to_string(), problem }),
            None => Ok(()),
        }
    }
}

/// A number that looks random and is the same in every process: FNV-1a, its bits mixed as in SplitMix64.
fn chance(name: &str, nominal: Timestamp) -> u64 {
    let bytes = name.bytes().chain(nominal.as_millisecond().to_be_bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mixed = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Schedule;

    #[test]
    fn jitter_is_always_the_same_for_a_time_and_spreads_over_its_range() {
        let (name, spec) = Schedule::cron("nightly", "* * * * *")
            .function("cleanup")
            .jitter(Duration::from_secs(10))
            .build(Origin::Hand)
            .unwrap();
        let times: Vec<_> = spec.recurrence.preview(Timestamp::UNIX_EPOCH, 1000);

        let put_off: Vec<_> = times
            .iter()
            .map(|time| spec.due(&name, *time).as_millisecond() - time.as_millisecond())
            .collect();

        assert!(put_off.iter().all(|ms| (0..=10_000).contains(ms)));
        let mean = put_off.iter().sum::<i64>() / 1000;
        assert!((4_500..5_500).contains(&mean), "{mean}");
        assert_eq!(spec.due(&name, times[0]), spec.due(&name, times[0]));
    }

    #[test]
    fn however_large_the_jitter_a_time_is_due_before_the_next_one() {
        let (name, spec) = Schedule::cron("nightly", "0,1,20 3 * * *")
            .function("cleanup")
            .jitter(Duration::from_hours(1))
            .build(Origin::Hand)
            .unwrap();
        let times: Vec<_> = spec.recurrence.preview(Timestamp::UNIX_EPOCH, 900);

        for pair in times.windows(2) {
            let due = spec.due(&name, pair[0]);
            assert!((pair[0]..pair[1]).contains(&due), "{} is due at {due}", pair[0]);
        }
        let most = times.iter().map(|time| spec.due(&name, *time).as_millisecond() - time.as_millisecond());
        assert!(most.max().unwrap() > 55 * 60_000, "those before a long gap are put off by all of it");
    }

    #[test]
    fn any_jitter_that_others_wrote_is_borne() {
        let (name, spec) = Schedule::cron("n", "@daily").function("f").build(Origin::Hand).unwrap();
        let spec = ScheduleSpec { jitter_ms: u64::MAX, ..spec };

        assert!(spec.due(&name, Timestamp::UNIX_EPOCH) < Timestamp::UNIX_EPOCH + Duration::from_hours(24));
        assert_eq!(spec.due(&name, Timestamp::MAX), Timestamp::MAX);
    }

    #[test]
    fn what_is_kept_reads_back_and_without_what_is_by_default() {
        let (name, spec) =
            Schedule::cron("nightly", "0 3 * * *").function("cleanup").build(Origin::Code).unwrap();

        let kept = r#"{"recurrence":{"cron":{"expression":"0 3 * * *","zone":"UTC"}},"target":{"function":"cleanup"},"catch_up":"latest","overlap":"allow","origin":"code"}"#;
        assert_eq!(spec.write(), kept);
        assert_eq!(ScheduleSpec::read(&name, kept).unwrap().write(), kept);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let name = ScheduleName::new("nightly").unwrap();
        let kept = r#"{"recurrence":{"cron":{"expression":"0 3 * * *","zone":"Middle-earth/Shire"}},"target":{"function":"x"},"origin":"code"}"#;

        let error = ScheduleSpec::read(&name, kept).unwrap_err().to_string();

        assert!(
            error.starts_with(
                "schedule nightly cannot be read: time zone \"Middle-earth/Shire\" is not known"
            ),
            "{error}"
        );
    }
}
