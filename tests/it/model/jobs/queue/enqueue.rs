//! How jobs come in, and what becomes of a call that comes again.

use ergate::{JobRecord, Tries};
use ergate_shared::ending;

use super::{Job, Queue, State};
use crate::story::by_hand::Entry;

const KEEP_PRODUCER: u64 = 3_600_000;

/// The last call of a producer that was applied.
#[derive(Debug, Clone)]
pub(super) struct Call {
    number: u64,
    at: u64,
    outcomes: Vec<String>,
}

impl Queue {
    /// One call of a producer, and what is said of each of its jobs.
    pub(in crate::model::jobs) fn enqueue_call(
        &mut self,
        producer: &str,
        number: u64,
        written_at: u64,
        entries: &[Entry],
        now: u64,
    ) -> (&'static str, Vec<String>) {
        if let Some(last) = self.producers.get(producer).filter(|last| last.number >= number) {
            // A call before the last comes too late for anybody to hear.
            let is_last = last.number == number;
            let outcomes = if is_last { last.outcomes.clone() } else { vec![String::new(); entries.len()] };
            return ("repeated", outcomes);
        }
        // A call puts in its plain jobs first; the others come in their order.
        let outcomes: Vec<_> = entries.iter().map(|entry| self.enqueue(entry, written_at, now)).collect();
        let call = Call { number, at: now, outcomes: outcomes.clone() };
        self.producers.insert(producer.to_owned(), call);
        ("ok", outcomes)
    }

    pub(super) fn forget_producers(&mut self, now: u64) {
        self.producers.retain(|_, last| last.at + KEEP_PRODUCER >= now);
    }

    fn enqueue(&mut self, entry: &Entry, written_at: u64, now: u64) -> String {
        if entry.own_id && self.jobs.contains_key(&entry.id) {
            return "exists".to_owned();
        }
        let due = match entry.when.split_at_checked(1) {
            Some(("+", ms)) => now + ms.parse::<u64>().expect("a number"),
            Some(("@", at)) => at.parse().expect("a number"),
            _ => now,
        };
        let mut outcome = String::new();
        if let Some((_, key)) = &entry.unique {
            if let Some(holder) = self.holder_of(key, now).map(str::to_owned) {
                let state = self.jobs.get(&holder).map(|job| job.state.clone());
                match entry.on_conflict {
                    "keep" => return format!("held {holder}"),
                    "drop" => return "dropped".to_owned(),
                    "replace" => match state {
                        Some(State::Leased(_)) => return format!("held {holder}"),
                        Some(state) if state.waits() => {
                            self.tell(&holder, ending::CANCELLED, "replaced by another with its unique key");
                            self.jobs.remove(&holder);
                        }
                        _ => {}
                    },
                    "cancel" => {
                        let why = format!("run {} takes its place", entry.id);
                        match state {
                            Some(State::Leased(token)) => {
                                outcome = format!("asked {token}");
                                self.cancels.insert(holder, (token, why));
                            }
                            Some(state) if state.waits() => self.end_cancelled(&holder, why, now),
                            _ => {}
                        }
                    }
                    puts_off => {
                        if state.is_some_and(|state| state.waits()) {
                            self.put_off(&holder, entry, puts_off, due, written_at, now);
                        }
                        return format!("held {holder}");
                    }
                }
            }
            self.unique.insert(key.clone(), (entry.id.clone(), entry.window.map(|window| now + window)));
        }
        let state = if due > now { State::Scheduled(due) } else { self.last_place() };
        let job = Job {
            record: entry.record(written_at),
            state,
            tries: Tries::default(),
            failure: None,
            progress: None,
            log: String::new(),
            expires_at: entry.expiry.map(|ms| now + ms),
            priority: entry.priority,
            keys: entry.keys.iter().cloned().collect(),
            tells: entry.tells,
            unique: entry.unique.clone(),
        };
        self.jobs.insert(entry.id.clone(), job);
        outcome
    }

    /// The holder gets the record of another, and its time; when it was enqueued stays.
    fn put_off(&mut self, holder: &str, entry: &Entry, how: &str, due: u64, written_at: u64, now: u64) {
        let kept = JobRecord::decode(&self.jobs[holder].record).expect("it was written by us");
        let mut record = JobRecord::decode(&entry.record(written_at)).expect("it was just written");
        let most = how.rsplit(' ').next().and_then(|ms| ms.parse::<u64>().ok());
        let due = most.map_or(due, |most| due.min(kept.enqueued_at + most));
        let is_older = how.contains("newer") && kept.due_at > record.due_at;
        if !is_older {
            record.enqueued_at = kept.enqueued_at;
            let job = self.job(holder);
            job.record = record.encode();
            job.priority = entry.priority;
            job.keys = entry.keys.iter().cloned().collect();
            job.tells = entry.tells;
            job.unique.clone_from(&entry.unique);
        }
        let expires = if is_older { kept.expires } else { entry.expiry.is_some() };
        let was_scheduled = matches!(self.jobs[holder].state, State::Scheduled(_));
        let state = if was_scheduled && due > now { State::Scheduled(due) } else { self.last_place() };
        let job = self.job(holder);
        job.state = state;
        job.expires_at = entry.expiry.filter(|_| expires).map(|ms| now + ms);
    }
}
