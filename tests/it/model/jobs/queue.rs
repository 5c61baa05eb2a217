//! A queue as it should be: slow, obvious, and without Redis.

use std::collections::{BTreeMap, BTreeSet};

use ergate::{JobState, Key, Tries, UniqueScope};
use ergate_shared::ending;

use super::pace::{Limits, Pace};
use crate::story::by_hand::{Leased, MOST_LOG};

mod change;
mod enqueue;
mod lease;

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
    /// The queue's own rate, and when all that was used up of it will have come back.
    pub(super) rate: Option<Pace>,
    rate_full_at: u64,
    pub(super) limits: Limits,
    /// Ends that are to be told outside the queue: whose, how it ended, and what else is said of it.
    pub(super) told: Vec<(String, char, String)>,
    producers: BTreeMap<String, enqueue::Call>,
    places: i64,
}

#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) record: Vec<u8>,
    pub(super) state: State,
    pub(super) tries: Tries,
    pub(super) failure: Option<String>,
    pub(super) progress: Option<String>,
    pub(super) log: String,
    /// When it must have started, while it has not.
    pub(super) expires_at: Option<u64>,
    pub(super) keys: BTreeSet<Key>,
    priority: i64,
    tells: bool,
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
        self.job(id).state = state;
    }

    fn job(&mut self, id: &str) -> &mut Job {
        self.jobs.get_mut(id).expect("it exists")
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

    /// Keeps an end for those outside who are to be told of it.
    fn tell(&mut self, id: &str, mark: u8, detail: &str) {
        if self.jobs[id].tells {
            self.told.push((id.to_owned(), char::from(mark), detail.to_owned()));
        }
    }

    fn end_cancelled(&mut self, id: &str, why: String, now: u64) {
        self.release_at_end(id);
        self.tell(id, ending::CANCELLED, &why);
        let job = self.job(id);
        job.state = State::Cancelled(now, why);
        job.expires_at = None;
    }

    fn bury(&mut self, id: &str, now: u64, failure: String) {
        self.release_at_end(id);
        self.tell(id, ending::DEAD, &failure);
        let job = self.job(id);
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

    /// How many jobs run with a key.
    pub(super) fn running(&self, key: &Key) -> u64 {
        let runs = |job: &&Job| matches!(job.state, State::Leased(_)) && job.keys.contains(key);
        self.jobs.values().filter(runs).count() as u64
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

    /// What a worker holds, by id: the tokens.
    pub(super) fn leased_by(&self, worker: &str) -> Vec<(String, String)> {
        let held = self.jobs.iter().filter_map(|(id, job)| match &job.state {
            State::Leased(token) if holder(token) == worker => Some((id.clone(), token.clone())),
            _ => None,
        });
        held.collect()
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

    pub(super) fn is_alive(&self, worker: &str, now: u64) -> bool {
        self.workers.get(worker).is_some_and(|ends| *ends > now)
    }

    pub(super) fn leased(&self, id: &str) -> Leased {
        let job = &self.jobs[id];
        let (_, token) = job.state.told();
        Leased { id: id.to_owned(), token, record: job.record.clone(), tries: job.tries, steps: 0 }
    }

    /// Whether the lease under which it is said still holds.
    pub(super) fn note(&mut self, is_progress: bool, id: &str, token: &str, text: &str) -> bool {
        let Some(job) = self.jobs.get_mut(id) else { return false };
        if job.state != State::Leased(token.to_owned()) {
            return false;
        }
        if is_progress {
            job.progress = Some(text.to_owned());
            return true;
        }
        job.log.push_str(text);
        job.log.push('\n');
        while job.log.len() > MOST_LOG {
            let line = job.log.find('\n').expect("it ends with one");
            job.log.drain(..=line);
        }
        true
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
