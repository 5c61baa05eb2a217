//! What people and upkeep do to jobs.

use ergate::{JobState, Tries, UniqueScope};
use ergate_shared::ending;

use super::{Queue, State};

const KEEP_ENDED: u64 = 3_600_000;
const KEEP_DEAD: u64 = 14 * 86_400_000;

impl Queue {
    pub(in crate::model::jobs) fn cancel(&mut self, id: &str, why: &str, now: u64) -> &'static str {
        match self.jobs.get(id).map(|job| job.state.clone()) {
            None => "gone",
            Some(State::Leased(token)) => {
                self.cancels.insert(id.to_owned(), (token, why.to_owned()));
                "asked"
            }
            Some(state) if state.waits() => {
                self.end_cancelled(id, why.to_owned(), now);
                "ok"
            }
            Some(_) => "ended",
        }
    }

    pub(in crate::model::jobs) fn remove(&mut self, id: &str) -> &'static str {
        match self.jobs.get(id).map(|job| job.state.clone()) {
            None => "gone",
            Some(State::Leased(_)) => "leased",
            Some(state) => {
                self.release(id, &[UniqueScope::Started, UniqueScope::Finished, UniqueScope::Window]);
                if state.waits() {
                    self.tell(id, ending::CANCELLED, "removed");
                }
                self.jobs.remove(id);
                "ok"
            }
        }
    }

    /// The first after so many ms, then one each `spacing` ms; 0 is at once.
    pub(in crate::model::jobs) fn retry_all(
        &mut self,
        ids: &[String],
        mut after: u64,
        spacing: u64,
        dead_only: bool,
        now: u64,
    ) -> Vec<String> {
        let mut outcomes = Vec::new();
        for id in ids {
            let outcome = self.retry(id, after, dead_only, now);
            if outcome == "ok" {
                after += spacing;
            }
            outcomes.push(outcome);
        }
        outcomes
    }

    fn retry(&mut self, id: &str, after: u64, dead_only: bool, now: u64) -> String {
        let Some(job) = self.jobs.get(id) else { return "gone".to_owned() };
        let (state, _) = job.state.told();
        if !state.is_ended() || (dead_only && state != JobState::Dead) {
            return state.to_string();
        }
        if let Some((UniqueScope::Started | UniqueScope::Finished, key)) = job.unique.clone() {
            if let Some(holder) = self.holder_of(&key, now) {
                return format!("held {holder}");
            }
            self.unique.insert(key, (id.to_owned(), None));
        }
        let state = if after > 0 { State::Scheduled(now + after) } else { self.last_place() };
        let job = self.job(id);
        (job.state, job.tries, job.failure, job.progress) = (state, Tries::default(), None, None);
        "ok".to_owned()
    }

    /// `due` is now for a promotion.
    pub(in crate::model::jobs) fn reschedule(&mut self, id: &str, due: u64, now: u64) -> String {
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

    pub(in crate::model::jobs) fn update(&mut self, id: &str, expected: &[u8], record: &[u8]) -> String {
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
    pub(in crate::model::jobs) fn sweep(&mut self, now: u64) -> (u64, u64) {
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
        self.forget_producers(now);
        self.promote_due(now);
        (trimmed, expired.len() as u64)
    }
}
