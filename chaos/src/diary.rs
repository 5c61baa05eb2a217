//! What was done to a stage, and when: verdicts hold it against the ledgers.

use std::{collections::HashSet, time::Duration};

use crate::ledger::{Told, now_ns};

/// One thing that was done.
#[derive(Debug, Clone)]
pub struct Deed {
    /// When it was begun.
    pub ns: u64,
    /// When it was over.
    pub until_ns: u64,
    /// What it was.
    pub what: Did,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Did {
    /// The worker is gone from one instruction to the next.
    Killed(String),
    /// The worker stood still.
    Frozen(String),
    /// The worker was told to stop.
    ToldToStop(String),
    /// Redis was away, or of no use to anybody.
    Outage,
    /// What Redis acknowledged from `ns` to `until_ns` may be gone.
    Lost,
    /// Redis had no memory for anything new.
    Full,
    /// The schedule was told to start nothing any more.
    Paused,
    /// From when the last strike was over until the worker began a job that was sent after it.
    Answered(String),
    /// The worker began none in all that time.
    Silent(String),
}

/// All that was done, in order.
#[derive(Debug, Default)]
pub struct Diary {
    /// In order of their beginning.
    pub deeds: Vec<Deed>,
    /// The same for people, beginning with the name of the fault.
    pub words: Vec<String>,
    /// Strikes that met nobody: what they were to hit did not come in time.
    pub missed: usize,
    /// Jobs and events that Redis might have lost, and that were there when it was back.
    pub survivors: HashSet<String>,
}

impl Diary {
    /// Notes what happens at this moment.
    pub fn note(&mut self, what: Did) {
        let ns = now_ns();
        self.deeds.push(Deed { ns, until_ns: ns, what });
    }

    /// Notes what began at `ns` and is over now.
    pub fn note_since(&mut self, ns: u64, what: Did) {
        self.deeds.push(Deed { ns, until_ns: now_ns(), what });
    }

    /// Notes what was from one time to another.
    pub fn note_between(&mut self, ns: u64, until_ns: u64, what: Did) {
        self.deeds.push(Deed { ns, until_ns, what });
    }

    /// All of a sort.
    pub fn of<'a>(&'a self, is: impl Fn(&Did) -> bool + 'a) -> impl Iterator<Item = &'a Deed> {
        self.deeds.iter().filter(move |deed| is(&deed.what))
    }

    /// Whether what was acknowledged may have been lost by Redis: at some time from when it was asked for to when who asked heard of
    /// it Redis lost something, and it was not there when that was over.
    pub fn may_be_lost(&self, told: &Told) -> bool {
        !self.survivors.contains(&told.id)
            && self
                .of(|did| *did == Did::Lost)
                .any(|deed| deed.ns <= told.ns && told.asked_ns <= deed.until_ns)
    }

    /// Whether Redis may have lost something of what went on from `from` to `to` (ns), or goes on: what comes of it is acknowledged
    /// up to `after` later, and who held leases that are lost goes on for up to `told` until it hears of that.
    pub fn in_doubt(&self, from: u64, to: Option<u64>, after: Duration, told: Duration) -> bool {
        let ns = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.of(|did| *did == Did::Lost).any(|deed| {
            to.is_none_or(|to| deed.ns <= to.saturating_add(ns(after)))
                && from <= deed.until_ns.saturating_add(ns(told))
        })
    }

    /// Whether Redis lost anything it had acknowledged.
    pub fn lost_anything(&self) -> bool {
        self.of(|did| *did == Did::Lost).next().is_some()
    }

    /// When the worker was killed.
    pub fn killed(&self, member: &str) -> Option<u64> {
        self.of(|did| matches!(did, Did::Killed(who) if who == member)).map(|deed| deed.ns).next()
    }

    /// The times in which the worker stood still for long enough to lose its leases: two thirds of one, as the last heartbeat before
    /// may be a third of it old.
    pub fn frozen<'a>(&'a self, member: &'a str, lease: Duration) -> impl Iterator<Item = &'a Deed> {
        let least = u64::try_from(lease.as_nanos()).unwrap_or(u64::MAX) / 3 * 2;
        self.of(move |did| matches!(did, Did::Frozen(who) if who == member))
            .filter(move |deed| deed.until_ns - deed.ns >= least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_doubt_is_what_went_on_while_redis_lost_something_and_until_that_was_told() {
        let mut diary = Diary::default();
        diary.note_between(1000, 2000, Did::Lost);
        let in_doubt =
            |from, to| diary.in_doubt(from, to, Duration::from_nanos(100), Duration::from_nanos(500));

        assert!(in_doubt(0, Some(900)), "what came of it was acknowledged then");
        assert!(in_doubt(0, None) && in_doubt(1500, Some(1600)) && in_doubt(2500, Some(9000)));
        assert!(!in_doubt(0, Some(899)) && !in_doubt(2501, None));
    }
}
