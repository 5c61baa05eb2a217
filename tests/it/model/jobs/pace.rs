//! Limits as they were promised: what a start would break, and what a job may claim.
//!
//! A rate lets somebody who comes late for a start it waited for be half an interval early the next time. So what must not be
//! is judged by the starts there were, and what must be by a reckoning without that favour.

use std::collections::{BTreeMap, BTreeSet};

use ergate::Key;

/// Starts: one each `interval` ms on the average, and up to `burst` at once after a pause.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pace {
    pub(super) interval: u64,
    pub(super) burst: u64,
}

/// The limit of all keys of a name.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct KeyLimit {
    pub(super) concurrency: Option<u64>,
    pub(super) rate: Option<Pace>,
    /// Between any two starts, in ms.
    pub(super) spacing: Option<u64>,
}

/// What keys are bound by.
#[derive(Debug, Default)]
pub(super) struct Limits {
    of: BTreeMap<String, KeyLimit>,
    paused: BTreeSet<Key>,
    starts: BTreeMap<Key, Starts>,
    /// Whether there ever was a limit that time lifts.
    pub(super) has_paces: bool,
}

/// The starts with a key.
#[derive(Debug, Default, Clone)]
struct Starts {
    /// Since its limit was set last.
    times: Vec<u64>,
    /// When all that was used up will have come back, and at which interval that was reckoned.
    full_at: u64,
    interval: u64,
    last: Option<u64>,
}

/// What all rates, of a queue and of a key, agree on: starts now, and in how many ms one more may come.
pub(super) fn allowance(pace: Pace, full_at: u64, now: u64) -> u64 {
    let full_at = full_at.max(now);
    (now + pace.interval * pace.burst).saturating_sub(full_at) / pace.interval
}

impl Limits {
    pub(super) fn set(&mut self, name: &str, limit: Option<KeyLimit>) {
        if self.of.get(name) == limit.as_ref() {
            return;
        }
        for (_, starts) in self.starts.iter_mut().filter(|(key, _)| key.name().as_str() == name) {
            starts.times.clear();
        }
        match limit {
            Some(limit) => {
                self.has_paces |= limit.rate.is_some() || limit.spacing.is_some();
                self.of.insert(name.to_owned(), limit);
            }
            None => {
                self.of.remove(name);
            }
        }
    }

    pub(super) fn pause(&mut self, key: Key, pauses: bool) {
        if pauses {
            self.paused.insert(key);
        } else {
            self.paused.remove(&key);
        }
    }

    fn limit(&self, key: &Key) -> KeyLimit {
        self.of.get(key.name().as_str()).copied().unwrap_or_default()
    }

    /// Whether a start now would break what was promised.
    pub(super) fn forbids(&self, key: &Key, running: u64, now: u64) -> bool {
        let limit = self.limit(key);
        if self.paused.contains(key) || limit.concurrency.is_some_and(|most| running >= most) {
            return true;
        }
        let Some(starts) = self.starts.get(key) else { return false };
        if let (Some(spacing), Some(last)) = (limit.spacing, starts.times.last())
            && last + spacing > now
        {
            return true;
        }
        let Some(Pace { interval, burst }) = limit.rate else { return false };
        (1..).zip(starts.times.iter().rev()).any(|(others, since)| {
            let count: u64 = others + 1;
            2 * interval * count > 2 * (now - since) + 2 * interval * burst + interval
        })
    }

    /// Whether a job with this key may claim a start now, as far as this key is concerned.
    pub(super) fn owes(&self, key: &Key, running: u64, now: u64) -> bool {
        self.blocked_until(key, now) == Some(now) && self.has_place(key, running)
    }

    /// Whether fewer jobs with this key run than may at once.
    pub(super) fn has_place(&self, key: &Key, running: u64) -> bool {
        self.limit(key).concurrency.is_none_or(|most| running < most)
    }

    /// When its paces let a job with this key start for sure; `None` if it is paused.
    pub(super) fn blocked_until(&self, key: &Key, now: u64) -> Option<u64> {
        if self.paused.contains(key) {
            return None;
        }
        let limit = self.limit(key);
        let starts = self.starts.get(key).cloned().unwrap_or_default();
        let spaced = limit.spacing.zip(starts.last).map_or(0, |(spacing, last)| last + spacing);
        let paced = match limit.rate {
            Some(pace) if starts.interval == pace.interval => {
                starts.full_at.saturating_sub(pace.interval * (pace.burst - 1))
            }
            _ => 0,
        };
        Some(now.max(spaced).max(paced))
    }

    pub(super) fn started(&mut self, key: &Key, now: u64) {
        let interval = self.limit(key).rate.map_or(0, |rate| rate.interval);
        let starts = self.starts.entry(key.clone()).or_default();
        if starts.interval != interval {
            (starts.full_at, starts.interval) = (0, interval);
        }
        starts.full_at = starts.full_at.max(now) + interval;
        starts.times.push(now);
        starts.last = Some(now);
    }
}
