//! A queue as it should be: slow, obvious, and without Redis.

use std::collections::{BTreeMap, BTreeSet};

use ergate::{JobState, Key, Tries, UniqueScope};
use ergate_shared::ending;

use crate::story::by_hand::{Entry, Leased, Settle};

const KEEP_ENDED: u64 = 3_600_000;
const KEEP_DEAD: u64 = 14 * 86_400_000;

/// A queue and all its jobs.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) jobs: BTreeMap<String, Job>,
    /// Unique key: who holds it, and until when if it is for a time.
    pub(super) unique: BTreeMap<String, (String, Option<u64>)>,
    /// When each worker's lease ends.
    pub(super) workers: BTreeMap<String, u64>,
    /// Running jobs that shall be cancelled, with the token they ran under when that was asked, and why.
    pub(super) cancels: BTreeMap<String, (String, String)>,
    pub(super) paused: bool,
    pub(super) concurrency: Option<u64>,
    /// Jobs of each key that may run at once, by its name.
    pub(super) limits: BTreeMap<String, u64>,
    pub(super) paused_keys: BTreeSet<Key>,
    places: i64,
}

#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) record: Vec<u8>,
    pub(super) state: State,
    pub(super) tries: Tries,
    pub(super) failure: Option<String>,
    /// When it must have started, while it has not.
    pub(super) expires_at: Option<u64>,
    priority: i64,
    keys: BTreeSet<Key>,
    unique: Option<(UniqueScope, String)>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum State {
    /// With its place among jobs of its priority.
    Ready(i64),
    Scheduled(u64),
    Leased(String),
    Completed(u64, String),
    Cancelled(u64, String),
    Dead(u64),
}

impl State {
    /// As `job/inspect` says it.
    pub(super) fn told(&self) -> (JobState, String) {
        match self {
            Self::Ready(_) => (JobState::Ready, String::new()),
            Self::Scheduled(due) => (JobState::Scheduled, due.to_string()),
            Self::Leased(token) => (JobState::Leased, token.clone()),
            Self::Completed(at, result) => (JobState::Completed, ended(ending::COMPLETED, *at, result)),
            Self::Cancelled(at, why) => (JobState::Cancelled, ended(ending::CANCELLED, *at, why)),
            Self::Dead(at) => (JobState::Dead, at.to_string()),
        }
    }

    fn waits(&self) -> bool {
        matches!(self, Self::Ready(_) | Self::Scheduled(_))
    }
}

impl Queue {
    fn last_place(&mut self) -> State {
        self.places += 1;
        State::Ready(self.places)
    }

    fn first_place(&mut self) -> State {
        self.places += 1;
        State::Ready(-self.places)
    }

    fn set(&mut self, id: &str, state: State) {
        self.jobs.get_mut(id).expect("it exists").state = state;
    }

    /// Lets go of the key a job holds, if it has one of these scopes.
    fn release(&mut self, id: &str, scopes: &[UniqueScope]) {
        if let Some((scope, key)) = &self.jobs[id].unique
            && scopes.contains(scope)
            && self.unique.get(key).is_some_and(|(holder, _)| holder == id)
        {
            self.unique.remove(key);
        }
    }

    fn release_at_end(&mut self, id: &str) {
        self.release(id, &[UniqueScope::Started, UniqueScope::Finished]);
    }

    fn bury(&mut self, id: &str, now: u64, failure: String) {
        self.release_at_end(id);
        let job = self.jobs.get_mut(id).expect("it exists");
        job.state = State::Dead(now);
        job.failure = Some(failure);
        job.expires_at = None;
    }

    fn expire(&mut self, id: &str, now: u64) {
        self.bury(
            id,
            now,
            format!(r#"{{"kind":"expired","message":"not started before its expiry","at":{now}}}"#),
        );
    }

    /// Ids for which something holds, in the order of what it gives.
    fn sorted<T: Ord>(&self, of: impl Fn(&Job) -> Option<T>) -> Vec<String> {
        let mut found: Vec<_> = self.jobs.iter().filter_map(|(id, job)| Some((of(job)?, id))).collect();
        found.sort();
        found.into_iter().map(|(_, id)| id.clone()).collect()
    }

    /// Those without keys, in the order they are to run.
    pub(super) fn ready(&self) -> Vec<String> {
        self.lane(&BTreeSet::new())
    }

    /// Ready jobs with exactly these keys, in the order they are to run.
    fn lane(&self, keys: &BTreeSet<Key>) -> Vec<String> {
        self.sorted(|job| match job.state {
            State::Ready(place) if job.keys == *keys => Some((job.priority, place)),
            _ => None,
        })
    }

    /// Whether the keys of a job let it start.
    fn may_start(&self, keys: &BTreeSet<Key>) -> bool {
        let runs = |key: &Key| {
            let of_key = |job: &&Job| matches!(job.state, State::Leased(_)) && job.keys.contains(key);
            self.jobs.values().filter(of_key).count() as u64
        };
        let has_room = |key: &Key| self.limits.get(key.name().as_str()).is_none_or(|most| runs(key) < *most);
        keys.iter().all(|key| has_room(key) && !self.paused_keys.contains(key))
    }

    /// Whether jobs with keys are or were there, so that those without take turns with them.
    pub(super) fn has_keys(&self) -> bool {
        self.jobs.values().any(|job| !job.keys.is_empty())
    }

    /// Expired jobs that stand before all others without keys: whether somebody has seen them is for chance to say.
    pub(super) fn expired_in_front(&self, now: u64) -> Vec<String> {
        let expired = |id: &String| self.jobs[id].expires_at.is_some_and(|at| at <= now);
        self.ready().into_iter().take_while(expired).collect()
    }

    fn leased_by(&self, worker: &str) -> Vec<String> {
        self.sorted(|job| matches!(&job.state, State::Leased(token) if holder(token) == worker).then_some(()))
    }

    pub(super) fn held(&self, worker: &str) -> u64 {
        self.leased_by(worker).len() as u64
    }

    pub(super) fn count(&self, state: JobState) -> u64 {
        self.jobs.values().filter(|job| job.state.told().0 == state).count() as u64
    }

    pub(super) fn next_due(&self) -> Option<u64> {
        let due = |job: &Job| match job.state {
            State::Scheduled(due) => Some(due),
            _ => None,
        };
        self.jobs.values().filter_map(due).min()
    }

    /// Who holds a key now: windows that are over hold nothing.
    pub(super) fn holder_of(&self, key: &str, now: u64) -> Option<&str> {
        let (holder, until) = self.unique.get(key)?;
        until.is_none_or(|until| until > now).then_some(holder)
    }

    pub(super) fn enqueue(&mut self, entry: &Entry, due: u64, now: u64) -> String {
        if entry.own_id && self.jobs.contains_key(&entry.id) {
            return "exists".to_owned();
        }
        if let Some((_, key)) = &entry.unique {
            if let Some(holder) = self.holder_of(key, now).map(str::to_owned) {
                let state = self.jobs.get(&holder).map(|job| job.state.clone());
                if entry.on_conflict != "replace" || matches!(state, Some(State::Leased(_))) {
                    return format!("held {holder}");
                }
                if state.is_some_and(|state| state.waits()) {
                    self.jobs.remove(&holder);
                }
            }
            self.unique.insert(key.clone(), (entry.id.clone(), entry.window.map(|window| now + window)));
        }
        let state = if due > now { State::Scheduled(due) } else { self.last_place() };
        let job = Job {
            record: entry.record(now),
            state,
            tries: Tries::default(),
            failure: None,
            expires_at: entry.expiry.map(|ms| now + ms),
            priority: entry.priority,
            keys: entry.keys.iter().cloned().collect(),
            unique: entry.unique.clone(),
        };
        self.jobs.insert(entry.id.clone(), job);
        String::new()
    }

    pub(super) fn is_alive(&self, worker: &str, now: u64) -> bool {
        self.workers.get(worker).is_some_and(|ends| *ends > now)
    }

    /// Whether the outcome came in time.
    pub(super) fn settle(&mut self, settle: &Settle, now: u64) -> bool {
        let id = settle.id.as_str();
        if !self.jobs.get(id).is_some_and(|job| job.state == State::Leased(settle.token.clone())) {
            return false;
        }
        if let Some(tries) = settle.tries {
            self.jobs.get_mut(id).expect("just seen").tries = tries;
        }
        let detail = settle.detail.clone();
        if matches!(settle.kind, "retry" | "snooze" | "hand_back")
            && let Some(why) = self.take_cancellation(id, &settle.token)
        {
            self.release_at_end(id);
            self.set(id, State::Cancelled(now, why));
            return true;
        }
        match settle.kind {
            "retry" | "snooze" => {
                self.set(id, State::Scheduled(now + settle.delay));
                if !detail.is_empty() {
                    self.jobs.get_mut(id).expect("just seen").failure = Some(detail);
                }
            }
            "hand_back" => {
                let place = self.first_place();
                self.set(id, place);
            }
            "dead" => self.bury(id, now, detail),
            "discard" => {
                self.release_at_end(id);
                self.jobs.remove(id);
            }
            "cancel" => {
                self.release_at_end(id);
                self.set(id, State::Cancelled(now, detail));
            }
            _ => {
                self.release_at_end(id);
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

    fn promote_due(&mut self, now: u64) {
        let due = self.sorted(|job| match job.state {
            State::Scheduled(due) if due <= now => Some(due),
            _ => None,
        });
        for id in due {
            let place = self.last_place();
            self.set(&id, place);
        }
    }

    /// The code. `handed_out` are the jobs that were, in their order: which lane has its turn is not for the model to say, but
    /// that each of them was first in its lane and its keys let it start, and that nobody was left who could have.
    pub(super) fn lease(
        &mut self,
        worker: &str,
        token: &str,
        ask: usize,
        now: u64,
        handed_out: &[&str],
    ) -> Result<&'static str, String> {
        let nothing = |code| match handed_out {
            [] => Ok(code),
            _ => Err(format!("{handed_out:?} were handed out though the queue is {code}")),
        };
        if ask == 0 {
            return nothing("ok");
        }
        if !self.is_alive(worker, now) {
            return nothing("lapsed");
        }
        self.promote_due(now);
        if self.paused {
            return nothing("paused");
        }
        let running = self.count(JobState::Leased);
        let room = self.concurrency.map_or(ask as u64, |most| most.saturating_sub(running).min(ask as u64));
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
            if !self.may_start(&keys) {
                return Err(format!("{id} was handed out though {keys:?} let none start"));
            }
            self.release(id, &[UniqueScope::Started]);
            let job = self.jobs.get_mut(*id).expect("it is ready");
            job.expires_at = None;
            job.state = State::Leased(token.to_owned());
        }
        if handed_out.len() as u64 == room {
            return Ok("ok");
        }
        self.expire_in_front(now);
        let left = |job: &&Job| matches!(job.state, State::Ready(_)) && self.may_start(&job.keys);
        match self.jobs.values().find(left) {
            Some(job) => Err(format!("one with {:?} was not handed out though there was room", job.keys)),
            None => Ok("ok"),
        }
    }

    fn expire_in_front(&mut self, now: u64) {
        for id in self.expired_in_front(now) {
            self.expire_started(&id, now);
        }
    }

    /// Buries a job that was found to have expired when it was about to start.
    pub(super) fn expire_started(&mut self, id: &str, now: u64) {
        self.release(id, &[UniqueScope::Started]);
        self.expire(id, now);
    }

    /// Ids a worker is told to cancel.
    pub(super) fn heartbeat(&mut self, worker: &str, ends: u64) -> Vec<String> {
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
        self.cancels
            .iter()
            .filter(|(_, (token, _))| holder(token) == worker)
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// How many went back, and how many are dead.
    pub(super) fn reap(&mut self, worker: &str, crash_limit: u32, failure: &str, now: u64) -> (u64, u64) {
        let (mut returned, mut dead) = (0, 0);
        for id in self.leased_by(worker) {
            let (_, token) = self.jobs[&id].state.told();
            let why = self.take_cancellation(&id, &token);
            let job = self.jobs.get_mut(&id).expect("it is leased");
            job.tries.crashes += 1;
            if let Some(why) = why {
                self.release_at_end(&id);
                self.set(&id, State::Cancelled(now, why));
            } else if job.tries.crashes >= crash_limit {
                self.bury(&id, now, failure.to_owned());
                dead += 1;
            } else {
                let place = self.first_place();
                self.set(&id, place);
                returned += 1;
            }
        }
        self.workers.remove(worker);
        (returned, dead)
    }

    pub(super) fn cancel(&mut self, id: &str, why: &str, now: u64) -> &'static str {
        match self.jobs.get(id).map(|job| job.state.clone()) {
            None => "gone",
            Some(State::Leased(token)) => {
                self.cancels.insert(id.to_owned(), (token, why.to_owned()));
                "asked"
            }
            Some(state) if state.waits() => {
                self.release_at_end(id);
                let job = self.jobs.get_mut(id).expect("just seen");
                job.state = State::Cancelled(now, why.to_owned());
                job.expires_at = None;
                "ok"
            }
            Some(_) => "ended",
        }
    }

    pub(super) fn remove(&mut self, id: &str) -> &'static str {
        match self.jobs.get(id).map(|job| &job.state) {
            None => "gone",
            Some(State::Leased(_)) => "leased",
            Some(_) => {
                self.release(id, &[UniqueScope::Started, UniqueScope::Finished, UniqueScope::Window]);
                self.jobs.remove(id);
                "ok"
            }
        }
    }

    pub(super) fn retry(&mut self, id: &str, now: u64) -> String {
        let Some(job) = self.jobs.get(id) else { return "gone".to_owned() };
        let (state, _) = job.state.told();
        if !state.is_ended() {
            return state.to_string();
        }
        if let Some((UniqueScope::Started | UniqueScope::Finished, key)) = job.unique.clone() {
            if let Some(holder) = self.holder_of(&key, now) {
                return format!("held {holder}");
            }
            self.unique.insert(key, (id.to_owned(), None));
        }
        let place = self.last_place();
        let job = self.jobs.get_mut(id).expect("just seen");
        (job.state, job.tries, job.failure) = (place, Tries::default(), None);
        "ok".to_owned()
    }

    /// `due` is now for a promotion.
    pub(super) fn reschedule(&mut self, id: &str, due: u64, now: u64) -> String {
        let Some(job) = self.jobs.get(id) else { return "gone".to_owned() };
        if !job.state.waits() {
            return job.state.told().0.to_string();
        }
        if due > now {
            self.set(id, State::Scheduled(due));
        } else if let State::Scheduled(_) = job.state {
            let place = self.last_place();
            self.set(id, place);
        }
        "ok".to_owned()
    }

    pub(super) fn update(&mut self, id: &str, expected: &[u8], record: &[u8]) -> String {
        let Some(job) = self.jobs.get_mut(id) else { return "gone".to_owned() };
        let (state, _) = job.state.told();
        if !job.state.waits() && state != JobState::Dead {
            return state.to_string();
        }
        if job.record != expected {
            return "changed".to_owned();
        }
        record.clone_into(&mut job.record);
        "ok".to_owned()
    }

    /// How many were trimmed, and how many were past their expiry.
    pub(super) fn sweep(&mut self, now: u64) -> (u64, u64) {
        let before = self.jobs.len();
        self.jobs.retain(|_, job| match job.state {
            State::Completed(at, _) | State::Cancelled(at, _) => at + KEEP_ENDED > now,
            State::Dead(at) => at + KEEP_DEAD > now,
            _ => true,
        });
        let trimmed = (before - self.jobs.len()) as u64;
        let expired = self.sorted(|job| job.expires_at.filter(|at| *at <= now));
        for id in &expired {
            self.expire(id, now);
        }
        self.unique.retain(|_, (_, until)| until.is_none_or(|until| until > now));
        self.promote_due(now);
        (trimmed, expired.len() as u64)
    }

    pub(super) fn leased(&self, id: &str) -> Leased {
        let job = &self.jobs[id];
        let (_, token) = job.state.told();
        Leased { id: id.to_owned(), token, record: job.record.clone(), tries: job.tries }
    }
}

fn ended(mark: u8, at: u64, detail: &str) -> String {
    String::from_utf8(ending::write(&mut Vec::new(), mark, at, detail.as_bytes()).to_vec())
        .expect("it is text")
}

/// Whose token it is.
pub(super) fn holder(token: &str) -> &str {
    token.split('.').next().unwrap_or_default()
}
