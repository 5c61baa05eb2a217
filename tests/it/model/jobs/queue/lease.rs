//! What workers do to a queue: settling, leasing, living and dying.

use std::collections::BTreeMap;

use ergate::{JobState, UniqueScope};
use ergate_shared::ending;

use super::{Job, Queue, State, holder};
use crate::{
    model::jobs::pace::{Pace, allowance},
    story::by_hand::Settle,
};

impl Queue {
    /// Whether the outcome came in time.
    pub(in crate::model::jobs) fn settle(&mut self, settle: &Settle, now: u64) -> bool {
        let id = settle.id.as_str();
        if !self.jobs.get(id).is_some_and(|job| job.state == State::Leased(settle.token.clone())) {
            return false;
        }
        let detail = settle.detail.clone();
        let why = self.take_cancellation(id, &settle.token);
        if let Some(tries) = settle.tries {
            self.job(id).tries = tries;
        }
        if let Some(why) = why.filter(|_| matches!(settle.kind, "retry" | "snooze" | "hand_back")) {
            self.end_cancelled(id, why, now);
            return true;
        }
        match settle.kind {
            "retry" | "snooze" => {
                self.set(id, State::Scheduled(now + settle.delay));
                if !detail.is_empty() {
                    self.job(id).failure = Some(detail);
                }
            }
            "hand_back" => {
                let place = self.first_place();
                self.set(id, place);
            }
            "dead" => self.bury(id, now, detail),
            "discard" => {
                self.release_at_end(id);
                self.tell(id, ending::DEAD, &detail);
                self.jobs.remove(id);
            }
            "cancel" => self.end_cancelled(id, detail, now),
            kind => {
                self.release_at_end(id);
                if kind == "tell" {
                    self.tell(id, ending::COMPLETED, &detail);
                }
                self.set(id, State::Completed(now, detail));
            }
        }
        true
    }

    /// Why the job was asked to end under this lease.
    fn take_cancellation(&mut self, id: &str, token: &str) -> Option<String> {
        let (asked, why) = self.cancels.remove(id)?;
        (asked == token).then_some(why)
    }

    pub(super) fn promote_due(&mut self, now: u64) {
        let due = self.sorted(|job| match job.state {
            State::Scheduled(due) if due <= now => Some(due),
            _ => None,
        });
        for id in due {
            let place = self.last_place();
            self.set(&id, place);
        }
    }

    /// Sets the queue's own rate; another one owes nothing for what went out at the last.
    pub(in crate::model::jobs) fn set_rate(&mut self, rate: Option<Pace>) {
        if self.rate != rate {
            self.rate_full_at = 0;
        }
        self.rate = rate;
    }

    /// How many jobs may go out at most, and in how many ms the rate lets more go if it lets fewer than asked for.
    fn room(&self, ask: usize, now: u64) -> (u64, Option<u64>) {
        let running = self.count(JobState::Leased);
        let room = self.concurrency.map_or(ask as u64, |most| most.saturating_sub(running).min(ask as u64));
        let Some(rate) = self.rate.filter(|_| room > 0) else { return (room, None) };
        let allowed = allowance(rate, self.rate_full_at, now);
        if allowed >= room {
            return (room, None);
        }
        let full_at = self.rate_full_at.max(now);
        let opens_at = (full_at + (allowed + 1) * rate.interval).saturating_sub(rate.interval * rate.burst);
        (allowed, Some(opens_at.saturating_sub(now).max(1)))
    }

    /// The code, and in how many ms the queue's rate opens. `handed_out` are the jobs that were, in their order: which lane has its
    /// turn is not for the model to say, but that each of them was first in its lane and its keys let it start, and that nobody was
    /// left who could have.
    pub(in crate::model::jobs) fn lease(
        &mut self,
        worker: &str,
        token: &str,
        ask: usize,
        now: u64,
        handed_out: &[&str],
    ) -> Result<(&'static str, Option<u64>), String> {
        let nothing = |code| match handed_out {
            [] => Ok((code, None)),
            _ => Err(format!("{handed_out:?} were handed out though the queue is {code}")),
        };
        if ask == 0 {
            self.promote_due(now);
            return nothing("ok");
        }
        if !self.is_alive(worker, now) {
            return nothing("lapsed");
        }
        self.promote_due(now);
        if self.paused {
            return nothing("paused");
        }
        let (room, opens_in) = self.room(ask, now);
        if handed_out.len() as u64 > room {
            return Err(format!("{handed_out:?} are more than {room}"));
        }
        for id in handed_out {
            let keys = self.jobs.get(*id).map(|job| job.keys.clone()).unwrap_or_default();
            if keys.is_empty() {
                self.expire_in_front(now);
            }
            if self.lane(&keys).first().map(String::as_str) != Some(id) {
                return Err(format!("{id} was handed out before {:?}", self.lane(&keys)));
            }
            if let Some(key) = keys.iter().find(|key| self.limits.forbids(key, self.running(key), now)) {
                return Err(format!("{id} was handed out though {key} lets none start"));
            }
            self.release(id, &[UniqueScope::Started]);
            let job = self.job(id);
            job.expires_at = None;
            job.state = State::Leased(token.to_owned());
            for key in &keys {
                self.limits.started(key, now);
            }
        }
        if let Some(rate) = self.rate {
            let used = handed_out.len() as u64 * rate.interval;
            if used > 0 {
                self.rate_full_at = self.rate_full_at.max(now) + used;
            }
        }
        if handed_out.len() as u64 == room {
            return Ok(("ok", opens_in));
        }
        self.expire_in_front(now);
        let may_start = |job: &&Job| job.keys.iter().all(|key| self.limits.owes(key, self.running(key), now));
        let is_ready = |job: &&Job| matches!(job.state, State::Ready(_));
        match self.jobs.values().filter(is_ready).find(may_start) {
            Some(job) => Err(format!("one with {:?} was not handed out though there was room", job.keys)),
            None => Ok(("ok", opens_in)),
        }
    }

    /// When a job that waits for nothing but the pace of its only key may start for sure, if there is one.
    pub(in crate::model::jobs) fn opens_at(&self, now: u64) -> Option<u64> {
        let waits = |job: &Job| match (&job.state, job.keys.first()) {
            (State::Ready(_), Some(key))
                if job.keys.len() == 1 && self.limits.has_place(key, self.running(key)) =>
            {
                self.limits.blocked_until(key, now).filter(|at| *at > now)
            }
            _ => None,
        };
        self.jobs.values().filter_map(waits).min()
    }

    fn expire_in_front(&mut self, now: u64) {
        for id in self.expired_in_front(now) {
            self.expire_started(&id, now);
        }
    }

    /// Buries a job that was found to have expired when it was about to start.
    pub(in crate::model::jobs) fn expire_started(&mut self, id: &str, now: u64) {
        self.release(id, &[UniqueScope::Started]);
        self.expire(id, now);
    }

    /// Ids a worker is told to cancel.
    pub(in crate::model::jobs) fn heartbeat(&mut self, worker: &str, ends: u64) -> Vec<String> {
        self.workers.insert(worker.to_owned(), ends);
        let leases: BTreeMap<_, _> = self
            .jobs
            .iter()
            .filter_map(|(id, job)| match &job.state {
                State::Leased(token) => Some((id.clone(), token.clone())),
                _ => None,
            })
            .collect();
        self.cancels.retain(|id, (token, _)| leases.get(id) == Some(token));
        let asked = self.cancels.iter().filter(|(_, (token, _))| holder(token) == worker);
        asked.map(|(id, _)| id.clone()).collect()
    }

    /// How many went back, and how many are dead, of these leases of a worker whose entry ran out.
    pub(in crate::model::jobs) fn reap(
        &mut self,
        worker: &str,
        leases: &[(String, String)],
        crash_limit: u32,
        failure: &str,
        now: u64,
    ) -> (u64, u64) {
        let (mut returned, mut dead) = (0, 0);
        for (id, token) in leases {
            if !self.jobs.get(id).is_some_and(|job| job.state == State::Leased(token.clone())) {
                continue;
            }
            let why = self.take_cancellation(id, token);
            self.job(id).tries.crashes += 1;
            if let Some(why) = why {
                self.end_cancelled(id, why, now);
            } else if self.jobs[id].tries.crashes >= crash_limit {
                self.bury(id, now, failure.to_owned());
                dead += 1;
            } else {
                let place = self.first_place();
                self.set(id, place);
                returned += 1;
            }
        }
        // What was leased since these were read is found by the next reaper, under the entry.
        if self.held(worker) == 0 {
            self.workers.remove(worker);
        }
        (returned, dead)
    }
}
