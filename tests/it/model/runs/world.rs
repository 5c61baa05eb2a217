//! Runs, their journals, events and waits as they should be.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::journal::Write;

#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) runs: BTreeMap<String, Run>,
    /// Ends to be told outside, in their order.
    pub(super) outbox: VecDeque<String>,
    /// Ids of runs that cannot be started again.
    pub(super) routed: BTreeSet<String>,
    pub(super) cancels: BTreeMap<String, String>,
    pub(super) events: BTreeMap<String, Event>,
    /// Own id: the event that has it, and until when it is not free again.
    pub(super) own: BTreeMap<String, (String, u64)>,
    /// Events nobody has read yet.
    pub(super) unread: VecDeque<String>,
    /// Events in the log of their name, and their places.
    pub(super) recent: BTreeMap<String, u64>,
    /// The last place in the log.
    pub(super) last: u64,
    /// Whether somebody has waited by the field already.
    pub(super) is_indexed: bool,
    /// Who waits: for which number, since and until when.
    pub(super) waits: BTreeMap<String, Wait>,
}

#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) state: State,
    pub(super) journal: Vec<String>,
    pub(super) open: BTreeSet<u32>,
    pub(super) failures: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum State {
    Ready,
    Scheduled(u64),
    Leased(String),
    Completed,
    Cancelled,
    Dead,
}

#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) number: u8,
    pub(super) record: String,
    pub(super) due: Option<u64>,
    /// When it came into the stream.
    pub(super) came: u64,
    pub(super) routed: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wait {
    pub(super) number: u8,
    pub(super) since: u64,
    pub(super) until: u64,
}

/// What `run/record` answers for a run: code, entries before, those that were not known, and a number for each entry.
pub(super) type Recorded = (String, u32, Vec<String>, Vec<u32>);

impl World {
    pub(super) fn started(&mut self, id: &str) {
        let run = Run { state: State::Ready, journal: Vec::new(), open: BTreeSet::new(), failures: 0 };
        self.runs.insert(id.to_owned(), run);
    }

    /// A router starts a run until its time is over.
    pub(super) fn start(&mut self, id: &str, until: u64, now: u64) -> &'static str {
        if self.runs.contains_key(id) {
            "exists"
        } else if now > until {
            "late"
        } else if !self.routed.insert(id.to_owned()) {
            "exists"
        } else {
            self.started(id);
            ""
        }
    }

    pub(super) fn promote(&mut self, now: u64) {
        for run in self.runs.values_mut() {
            if matches!(run.state, State::Scheduled(due) if due <= now) {
                run.state = State::Ready;
            }
        }
    }

    pub(super) fn holds(&self, run: &str, token: &str) -> bool {
        self.runs.get(run).is_some_and(|run| run.state == State::Leased(token.to_owned()))
    }

    pub(super) fn record(&mut self, run: &str, token: &str, known: usize, writes: &[Write]) -> Recorded {
        if !self.holds(run, token) {
            return ("lost".to_owned(), 0, Vec::new(), Vec::new());
        }
        let run = self.runs.get_mut(run).expect("it is held");
        let before = run.journal.len() as u32;
        let unknown = run.journal[known..].to_vec();
        let mut numbers = Vec::new();
        for write in writes {
            let place = unknown.iter().position(|text| *text == write.text);
            if let Some(place) = place {
                numbers.push((known + place + 1) as u32);
            } else if write.closes.is_some_and(|open| !run.open.remove(&open)) {
                numbers.push(0);
            } else {
                run.journal.push(write.text.clone());
                let number = run.journal.len() as u32;
                if write.opens {
                    run.open.insert(number);
                }
                numbers.push(number);
            }
        }
        run.failures = 0;
        ("ok".to_owned(), before, unknown, numbers)
    }

    pub(super) fn deliver(&mut self, run: &str, entry: u32, text: &str) -> &'static str {
        let Some(run) = self.runs.get_mut(run) else { return "gone" };
        let has_ended = matches!(run.state, State::Completed | State::Cancelled | State::Dead);
        if !run.open.remove(&entry) {
            return if has_ended { "gone" } else { "closed" };
        }
        run.journal.push(text.to_owned());
        if has_ended {
            return "gone";
        }
        if let State::Scheduled(_) = run.state {
            run.state = State::Ready;
        }
        "ok"
    }

    /// Every run tells of its end.
    pub(super) fn end(&mut self, id: &str, state: State) {
        self.runs.get_mut(id).expect("it is there").state = state;
        self.outbox.push_back(id.to_owned());
    }

    /// Whether an outcome came in time.
    pub(super) fn settle(&mut self, id: &str, token: &str, to: &Settled, now: u64) -> bool {
        if !self.holds(id, token) {
            return false;
        }
        let asked = self.cancels.remove(id).is_some_and(|asked| asked == token);
        let run = self.runs.get_mut(id).expect("it is held");
        match to {
            Settled::Suspended(..) | Settled::TryAgain(..) if asked => {
                if let Settled::TryAgain(_, failures) = to {
                    run.failures = *failures;
                }
                self.end(id, State::Cancelled);
            }
            Settled::Suspended(due, known) => {
                let is_told = run.journal.len() == *known as usize;
                run.state = if is_told { State::Scheduled(*due) } else { State::Ready };
            }
            Settled::TryAgain(ms, failures) => {
                run.failures = *failures;
                run.state = State::Scheduled(now + ms);
            }
            Settled::Completed => self.end(id, State::Completed),
            Settled::Failed(failures) => {
                run.failures = *failures;
                self.end(id, State::Dead);
            }
        }
        true
    }

    /// An event that a run may be meant by, of those in the log.
    pub(super) fn look_back(&self, wait: &Wait) -> impl Iterator<Item = &String> {
        self.recent.keys().filter(|key| self.meets(key, wait))
    }

    pub(super) fn meets(&self, key: &str, wait: &Wait) -> bool {
        let event = &self.events[key];
        event.number == wait.number && event.came >= wait.since && event.came <= wait.until
    }
}

/// How a run leaves its worker.
#[derive(Debug, Clone)]
pub(super) enum Settled {
    /// Until then, with so many entries known.
    Suspended(u64, u32),
    /// After so many ms, with so many failures.
    TryAgain(u64, u32),
    Completed,
    /// For good, with so many failures.
    Failed(u32),
}
