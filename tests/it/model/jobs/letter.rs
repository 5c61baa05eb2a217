//! Calls as they travel: written at one time, they arrive at that time, later, more than once, or never.

use std::{fmt::Debug, time::Duration};

use ergate::{JobState, Key, Limit, Rate};
use proptest::sample::Index;

use super::{
    operation::{Operation, Settling, key_name},
    pace::{KeyLimit, Pace},
    rehearsal::{CRASH_LIMIT, Done, Rehearsal, same},
};
use crate::story::by_hand::{Entry, LEASE, Leased, Settle, Turn, failure, ids};

/// A call with all it says.
#[derive(Debug, Clone)]
pub(super) enum Letter {
    Enqueue { producer: &'static str, number: u64, written_at: u64, entries: Vec<Entry> },
    Turn { seat: usize, worker: String, token: String, ask: usize, settles: Vec<Settle> },
    Heartbeat { seat: usize, worker: String },
    Reap { worker: String, leases: Vec<(String, String)> },
    Leave { seat: usize, worker: String },
    Note { job: Leased, progress: bool, text: String },
    Cancel(String),
    Remove(String),
    Retry { ids: Vec<String>, after: u64, spacing: u64, dead_only: bool },
    Reschedule { id: String, after: u64 },
    Update { id: String, before: Vec<u8>, after: Vec<u8> },
}

/// What the sender has to know of the answer.
#[derive(Debug)]
pub(super) enum Reply {
    Turn(Turn),
    Lapsed,
    Nothing,
}

impl Rehearsal {
    /// The calls an operation comes to, in their order; none if there is nobody to send them, or they are never cut.
    pub(super) async fn write(&mut self, operation: &Operation) -> Vec<Letter> {
        let pick = |job: &Index| (!self.known.is_empty()).then(|| job.get(&self.known).clone());
        let letter = match operation {
            Operation::EnqueuePlain { first, count } => {
                let entries = (0..*count).map(|_| self.entry()).collect();
                Some(self.write_enqueue(*first, entries))
            }
            Operation::Enqueue { first, job } => {
                let entries = vec![self.entry(), self.special(job)];
                Some(self.write_enqueue(*first, entries))
            }
            Operation::Turn { first, ask, settle } => {
                Some(self.write_turn(usize::from(*first), *ask, settle).await)
            }
            Operation::Note { first, job, progress } => {
                let held = &self.seats[usize::from(*first)].noted;
                let job = (!held.is_empty()).then(|| job.get(held).clone());
                self.made += 1;
                // Of any length, so that two or more may be more than is kept.
                let text = format!("line {:0width$}", self.made, width = 1 + self.made % 12);
                job.map(|job| Letter::Note { job, progress: *progress, text })
            }
            Operation::Heartbeat(first) => {
                let seat = usize::from(*first);
                self.seats[seat].worker.clone().map(|worker| Letter::Heartbeat { seat, worker })
            }
            Operation::Leave(first) => {
                let seat = usize::from(*first);
                self.seats[seat].worker.clone().map(|worker| Letter::Leave { seat, worker })
            }
            Operation::Reap => {
                let mut letters = Vec::new();
                for worker in self.model.workers.keys().cloned().collect::<Vec<_>>() {
                    let leases = self.redis.leases_of(&worker).await;
                    letters.push(Letter::Reap { worker, leases });
                }
                return letters;
            }
            Operation::Cancel(job) => pick(job).map(Letter::Cancel),
            Operation::Remove(job) => pick(job).map(Letter::Remove),
            Operation::Retry(job) => {
                pick(job).map(|id| Letter::Retry { ids: vec![id], after: 0, spacing: 0, dead_only: false })
            }
            Operation::Redrive { jobs, after, spacing, dead_only } => {
                let ids: Vec<_> = jobs.iter().filter_map(pick).collect();
                let (after, spacing, dead_only) = (*after, *spacing, *dead_only);
                (!ids.is_empty()).then_some(Letter::Retry { ids, after, spacing, dead_only })
            }
            Operation::Promote(job) => pick(job).map(|id| Letter::Reschedule { id, after: 0 }),
            Operation::Postpone(job, ms) => pick(job).map(|id| Letter::Reschedule { id, after: *ms }),
            Operation::Update { job, stale } => pick(job).map(|id| {
                let mut before = self.model.jobs.get(&id).map(|job| job.record.clone()).unwrap_or_default();
                if *stale {
                    before.push(0);
                }
                let mut after = before.clone();
                after.extend(b" edited");
                Letter::Update { id, before, after }
            }),
            _ => None,
        };
        letter.into_iter().collect()
    }

    fn write_enqueue(&mut self, first: bool, entries: Vec<Entry>) -> Letter {
        for entry in &entries {
            if !self.known.contains(&entry.id) {
                self.known.push(entry.id.clone());
            }
        }
        let producer = if first { "one" } else { "two" };
        self.calls[usize::from(first)] += 1;
        Letter::Enqueue {
            producer,
            number: self.calls[usize::from(first)],
            written_at: self.redis.now,
            entries,
        }
    }

    async fn write_turn(&mut self, seat: usize, ask: usize, settle: &[(Index, Settling)]) -> Letter {
        if self.seats[seat].worker.is_none() {
            self.joined += 1;
            let worker = format!("w{}", self.joined);
            self.fill_up().await;
            self.redis.join(&worker).await;
            self.model.workers.insert(worker.clone(), self.redis.now + LEASE);
            self.seats[seat].worker = Some(worker);
        }
        let worker = self.seats[seat].worker.clone().expect("it has joined");
        // What may not have arrived is said again.
        let mut settles = std::mem::take(&mut self.seats[seat].unsure);
        for (index, settling) in settle {
            let held = &mut self.seats[seat].held;
            if held.is_empty() {
                break;
            }
            let job = held.remove(index.index(held.len()));
            settles.push(match settling {
                Settling::Complete => job.complete("7"),
                Settling::Retry(delay) => job.retry(*delay),
                Settling::Snooze(delay) => job.snooze(*delay),
                Settling::HandBack => job.hand_back(),
                Settling::Bury => job.bury(),
                Settling::Discard => job.discard(),
                Settling::Cancel => job.cancel("not needed"),
            });
        }
        // A call settles its plain completions first.
        settles.sort_by_key(|settle| !settle.kind.is_empty());
        let token = self.redis.token(&worker);
        Letter::Turn { seat, worker, token, ask, settles }
    }

    /// A call arrives, at Redis and at the model: both have to do and to answer the same.
    pub(super) async fn deliver(&mut self, letter: &Letter) -> Result<Reply, String> {
        let now = self.redis.now;
        // What workers say is heard when memory is full; these are not.
        if let Letter::Enqueue { .. }
        | Letter::Remove(..)
        | Letter::Retry { .. }
        | Letter::Reschedule { .. }
        | Letter::Update { .. } = letter
        {
            self.fill(false).await;
        } else {
            self.fill_up().await;
        }
        match letter {
            Letter::Enqueue { producer, number, written_at, entries } => {
                let redis = self.redis.enqueue_as(producer, *number, *written_at, entries).await;
                let (code, outcomes) = self.model.enqueue_call(producer, *number, *written_at, entries, now);
                self.met.insert(("job/enqueue", code.to_owned()));
                for outcome in &redis.1 {
                    let word = outcome.split(' ').next().unwrap_or_default();
                    self.met.insert(("job/enqueue", word.to_owned()));
                }
                same("enqueue", redis, (code.to_owned(), outcomes))?;
            }
            Letter::Turn { worker, token, ask, settles, .. } => {
                let (turn, code) = self.turn(worker, token, *ask, settles).await?;
                self.met.insert(("worker/turn", code.to_owned()));
                return Ok(Reply::Turn(turn));
            }
            Letter::Heartbeat { worker, .. } => return self.heartbeat(worker).await,
            Letter::Reap { worker, leases } => {
                let reaped = self.redis.reap_these(worker, CRASH_LIMIT, leases).await;
                self.met.insert(("worker/reap", reaped.0.clone()));
                if self.model.is_alive(worker, now) {
                    same("reap", reaped, ("alive".to_owned(), 0, 0))?;
                } else {
                    let (returned, dead) =
                        self.model.reap(worker, leases, CRASH_LIMIT, &failure("crashed"), now);
                    same("reap", reaped, ("ok".to_owned(), returned, dead))?;
                }
            }
            Letter::Leave { worker, .. } => {
                let holding = self.redis.leave(worker).await;
                let code = if holding == 0 { "ok" } else { "holding" };
                self.met.insert(("worker/leave", code.to_owned()));
                same("leave", holding, self.model.held(worker))?;
                if holding == 0 {
                    self.model.workers.remove(worker);
                }
            }
            Letter::Note { job, progress, text } => {
                let kind = if *progress { "progress" } else { "log" };
                let lost = self.redis.note(kind, job, text).await;
                let holds = self.model.note(*progress, &job.id, &job.token, text);
                self.met.insert(("worker/note", if holds { kind } else { "lost" }.to_owned()));
                same("note", lost.is_empty(), holds)?;
            }
            Letter::Cancel(id) => {
                let code = self.redis.cancel(id, "why").await;
                let expected = self.model.cancel(id, "why", now);
                self.meets("job/cancel", "cancel", code, expected)?;
            }
            Letter::Remove(id) => {
                let code = self.redis.remove(id).await;
                let expected = self.model.remove(id);
                self.meets("job/remove", "remove", code, expected)?;
            }
            Letter::Retry { ids, after, spacing, dead_only } => {
                let outcomes = self.redis.retry_all(ids, *after, *spacing, *dead_only).await;
                for outcome in &outcomes {
                    let word = outcome.split(' ').next().unwrap_or_default();
                    self.met.insert(("job/retry", word.to_owned()));
                }
                same("retry", outcomes, self.model.retry_all(ids, *after, *spacing, *dead_only, now))?;
            }
            Letter::Reschedule { id, after } => {
                let when = if *after == 0 { String::new() } else { format!("+{after}") };
                let code = self.redis.reschedule(id, &when).await;
                let expected = self.model.reschedule(id, now + after, now);
                self.meets("job/reschedule", "reschedule", code, &expected)?;
            }
            Letter::Update { id, before, after } => {
                let code = self.redis.update(id, before, after).await;
                let expected = self.model.update(id, before, after);
                self.meets("job/update", "update", code, &expected)?;
            }
        }
        Ok(Reply::Nothing)
    }

    fn meets(&mut self, script: &'static str, what: &str, code: String, expected: &str) -> Done {
        self.met.insert((script, code.clone()));
        same(what, code.as_str(), expected)
    }

    /// The answer reaches the sender.
    pub(super) fn told(&mut self, letter: &Letter, reply: Reply) {
        match (letter, reply) {
            (Letter::Turn { seat, worker, .. }, Reply::Turn(turn)) => {
                let seat = &mut self.seats[*seat];
                seat.noted.extend(turn.leased.iter().cloned());
                seat.held.extend(turn.leased);
                if turn.code == "lapsed" && seat.worker.as_ref() == Some(worker) {
                    seat.worker = None;
                }
            }
            (Letter::Heartbeat { seat, worker }, Reply::Lapsed)
                if self.seats[*seat].worker.as_ref() == Some(worker) =>
            {
                self.seats[*seat].worker = None;
            }
            (Letter::Leave { seat, .. }, _) => self.seats[*seat].worker = None,
            _ => {}
        }
    }

    /// The answer does not reach the sender, who will say again what it cannot be sure of.
    pub(super) fn in_doubt(&mut self, letter: &Letter) {
        if let Letter::Turn { seat, settles, .. } = letter {
            self.seats[*seat].unsure.extend(settles.iter().cloned());
        }
    }

    async fn turn(
        &mut self,
        worker: &str,
        token: &str,
        ask: usize,
        settles: &[Settle],
    ) -> Result<(Turn, &'static str), String> {
        let now = self.redis.now;
        let turn = self.redis.turn_as(worker, token, ask, settles).await;
        let mut stale = Vec::new();
        for settle in settles {
            let in_time = self.model.settle(settle, now);
            let kind = if settle.kind.is_empty() { "together" } else { settle.kind };
            self.met.insert(("worker/turn", if in_time { kind } else { "stale" }.to_owned()));
            if !in_time {
                stale.push(settle.id.clone());
            }
        }
        same("stale", &turn.stale, &stale)?;
        let (code, opens_in) = self.model.lease(worker, token, ask, now, &ids(&turn.leased))?;
        same("code", turn.code.as_str(), code)?;
        if self.model.has_keys() {
            self.adopt_expired().await;
        }
        for job in &turn.leased {
            let model = self.model.leased(&job.id);
            same("what came with the lease", (&job.record, job.tries), (&model.record, model.tries))?;
        }
        same("held", turn.held, self.model.held(worker))?;
        self.compare_next(&turn, opens_in)?;
        if !self.model.ready().is_empty() {
            same("more", turn.more, true)?;
        }
        Ok((turn, code))
    }

    /// When the worker is told to come again: no later than something is to be done.
    fn compare_next(&self, turn: &Turn, opens_in: Option<u64>) -> Done {
        let now = self.redis.now;
        let due = self.model.next_due().map(|due| due.saturating_sub(now));
        let latest = due.into_iter().chain(opens_in).min();
        if !self.model.limits.has_paces {
            return same("next", turn.next, latest.map_or(-1, |latest| latest as i64));
        }
        let of_key = (turn.code == "ok" && !turn.more).then(|| self.model.opens_at(now)).flatten();
        let latest = latest.into_iter().chain(of_key.map(|at| at - now)).min();
        match latest {
            Some(latest) if turn.next < 0 || turn.next > latest as i64 => {
                Err(format!("next is {}, and {latest} is the latest", turn.next))
            }
            _ => Ok(()),
        }
    }

    /// A call whose room was filled by jobs with keys may have seen expired ones before.
    async fn adopt_expired(&mut self) {
        let now = self.redis.now;
        for id in self.model.expired_in_front(now) {
            if self.redis.state(&id).await == Some(JobState::Dead) {
                self.model.expire_started(&id, now);
            }
        }
    }

    async fn heartbeat(&mut self, worker: &str) -> Result<Reply, String> {
        let now = self.redis.now;
        let beat = self.redis.heartbeat(worker).await;
        self.met.insert(("worker/heartbeat", beat.code.clone()));
        if !self.model.is_alive(worker, now) {
            same("heartbeat", beat.code.as_str(), "lapsed")?;
            return Ok(Reply::Lapsed);
        }
        let asked = self.model.heartbeat(worker, now + LEASE);
        same("heartbeat", beat.code.as_str(), "ok")?;
        same("held", beat.held, self.model.held(worker))?;
        let due = self.model.next_due().map(|due| due.saturating_sub(now));
        let opens = (!beat.backlog).then(|| self.model.opens_at(now)).flatten().map(|at| at - now);
        match due.into_iter().chain(opens).min() {
            Some(latest) if !(0..=latest as i64).contains(&beat.next) => {
                return Err(format!("next is {}, and {latest} is the latest", beat.next));
            }
            None if !self.model.limits.has_paces => same("next", beat.next, -1)?,
            _ => {}
        }
        if !self.model.ready().is_empty() {
            same("backlog", beat.backlog, true)?;
        }
        let first_end = self.model.workers.values().min().map(|end| *end as i64 - now as i64);
        same("first end of a lease", Some(beat.first_end), first_end)?;
        same("whether there are ends to tell", beat.told, !self.model.told.is_empty())?;
        let mut told = beat.cancelled;
        told.sort();
        same("cancelled", told, asked)?;
        Ok(Reply::Nothing)
    }
}

/// The limit of keys as users set it.
pub(super) fn limit_of(name: &str, limit: &KeyLimit) -> Limit {
    let KeyLimit { concurrency, rate, spacing } = *limit;
    let limit = Limit::per_key(name);
    let limit = concurrency.into_iter().fold(limit, |limit, most| limit.concurrency(most as u32));
    let limit = rate.into_iter().fold(limit, |limit, pace| limit.rate(rate_of(pace)));
    spacing.into_iter().fold(limit, |limit, ms| limit.spacing(Duration::from_millis(ms)))
}

pub(super) fn rate_of(pace: Pace) -> Rate {
    Rate::new(1, Duration::from_millis(pace.interval)).burst(pace.burst as u32)
}

pub(super) fn key(first: bool, value: u8) -> Key {
    Key::new(key_name(first), value.to_string()).expect("it is short")
}
