//! What a run's steps and whoever drives it both know.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    task::Waker,
    time::Duration,
};

use ergate_shared::{
    Backoff, EventName, EventRecord, FailureKind, FailureRecord, JobId, RunInput,
    run::{Entry, Journal, LARGEST_JOURNAL, MOST_STEPS, Op, Resolution},
};

use super::{
    Instead, Recorded, Store, Write,
    names::{self, Names, Naming, Numbers},
};
use crate::{Failure, failure::Course};

/// What a function declares for its steps.
#[derive(Debug, Clone)]
pub(crate) struct StepDefaults {
    pub(crate) retries: u32,
    pub(crate) backoff: Backoff,
    pub(crate) timeout: Option<Duration>,
}

/// A run in memory.
pub(crate) struct Shared {
    pub(crate) id: JobId,
    pub(crate) store: Box<dyn Store>,
    pub(crate) defaults: StepDefaults,
    /// The event it was started with, as JSON, and since when something may have come that it waits for, in ms since the epoch.
    pub(crate) started_by: serde_json::Value,
    pub(crate) since: u64,
    state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    journal: Journal,
    names: Names,
    /// Whether what is dropped is waited for no more.
    pub(super) abandoning: bool,
    /// Written with the next call.
    outbox: Vec<Write>,
    /// Steps whose body runs.
    pub(super) running: usize,
    /// Steps that only time or something from outside can bring on, with the time they are due at.
    pub(super) pending: HashMap<u64, u64>,
    pub(super) next_pending: u64,
    wakers: Vec<Waker>,
    /// Ends the attempt, whatever the code does.
    end: Option<Failure>,
}

/// How a step stands.
#[derive(Debug)]
pub(crate) enum Standing {
    Fresh,
    /// With the result, as JSON.
    Done(String),
    Failed(FailureRecord),
    /// It has failed this often and is tried again then.
    Retry {
        attempt: u32,
        due: u64,
    },
    Sleep {
        due: u64,
    },
    /// It waits until then.
    Wait {
        due: u64,
    },
    /// It waits for the result of this job until then.
    Invoke {
        job: JobId,
        due: u64,
    },
    Resolved(Resolution),
}

impl Shared {
    /// What is written of a step that failed without a body of its own.
    pub(crate) fn failure(&self, kind: FailureKind, message: String) -> FailureRecord {
        FailureRecord {
            kind,
            message,
            chain: Vec::new(),
            attempt: 1,
            worker: self.store.worker(),
            at: self.store.now_ms(),
        }
    }

    pub(crate) fn new(
        id: JobId,
        store: Box<dyn Store>,
        defaults: StepDefaults,
        input: &RunInput,
        since: u64,
    ) -> Self {
        let started_by = input.events.first().map_or(serde_json::Value::Null, EventRecord::to_value);
        Self { id, store, defaults, started_by, since, state: Mutex::default() }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the journal.
    pub(crate) async fn load(&self) -> Result<(), Failure> {
        let texts = self.store.load().await?;
        let mut state = self.state();
        for text in &texts {
            state.append(text)?;
        }
        Ok(())
    }

    /// The name a step has in the journal: what the code calls it, and which time that is.
    pub(crate) fn name(&self, id: String) -> String {
        let name = self.state().names.next(id);
        self.store.asked(&name);
        name
    }

    /// Polls a way of a race, whose steps are named so.
    pub(crate) fn naming<T>(&self, naming: &mut Naming, poll: impl FnOnce() -> T) -> T {
        self.state().names.enter(std::mem::take(naming));
        let polled = poll();
        *naming = self.state().names.leave();
        polled
    }

    /// Keeps the names of a decided race for itself: of its winner, which is replayed, and of the others, which are not.
    pub(crate) fn keep_names(&self, won: &Numbers, lost: &Numbers) {
        let mut state = self.state();
        state.names.keep(won);
        state.names.keep(lost);
        drop(state);
        for (id, numbers) in lost {
            numbers.iter().for_each(|number| self.store.asked(&names::name(id.clone(), *number)));
        }
    }

    /// Counts an id as used that was used by what is not replayed: ids after it have the same names then.
    pub(crate) fn count_as_used(&self, id: &str, times: u32) {
        for _ in 0..times {
            self.name(id.to_owned());
        }
    }

    /// Drops something of which nothing is waited for any more.
    pub(crate) fn abandon(&self, something: impl Sized) {
        self.state().abandoning = true;
        drop(something);
        self.state().abandoning = false;
    }

    /// How a step stands, and the number of the entry that says so.
    pub(crate) fn standing(&self, step: &str) -> (u32, Standing) {
        self.newer_standing(step, 0).unwrap_or((0, Standing::Fresh))
    }

    /// The same if the entry is a later one than `seen`: a step that is polled while it waits costs no copy of a result.
    pub(crate) fn newer_standing(&self, step: &str, seen: u32) -> Option<(u32, Standing)> {
        let state = self.state();
        let (number, entry) = state.journal.step(step).filter(|(number, _)| *number > seen)?;
        let standing = match &entry.op {
            Op::Done { result, .. } => Standing::Done(result.get().to_owned()),
            Op::Failed { failure, .. } => Standing::Failed(failure.clone()),
            Op::Retry { attempt, due, .. } => Standing::Retry { attempt: *attempt, due: *due },
            Op::Sleep { due } => Standing::Sleep { due: *due },
            Op::Wait { due, .. } => Standing::Wait { due: *due },
            Op::Invoke { job, due, .. } => Standing::Invoke { job: job.clone(), due: *due },
            Op::Resolved { with, .. } => Standing::Resolved(with.clone()),
            Op::Again => Standing::Fresh,
        };
        Some((number, standing))
    }

    /// What an entry says.
    pub(crate) fn entry(&self, number: u32) -> Option<Op> {
        self.state().journal.entry(number).map(|entry| entry.op.clone())
    }

    /// The waits for events that have not ended: which entry waits, for what, and until when.
    pub(crate) fn open_waits(&self) -> Vec<(u32, EventName, u64)> {
        let state = self.state();
        let entries = (1..).zip(state.journal.entries());
        let last =
            |entry: &Entry, number| state.journal.step(&entry.step).is_some_and(|(last, _)| last == number);
        entries
            .filter_map(|(number, entry)| match &entry.op {
                Op::Wait { event, due, .. } if last(entry, number) => Some((number, event.clone(), *due)),
                _ => None,
            })
            .collect()
    }

    /// Calls `waker` when the journal has grown, or something pending is due while a body runs.
    pub(crate) fn listen(&self, waker: &Waker) {
        let wakers = &mut self.state().wakers;
        if !wakers.iter().any(|known| known.will_wake(waker)) {
            wakers.push(waker.clone());
        }
    }

    /// Has all look again who listen.
    pub(crate) fn wake(&self) {
        let wakers = std::mem::take(&mut self.state().wakers);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Has an entry written.
    pub(crate) fn write(&self, step: &str, op: Op) {
        self.push(step, op, None, false);
    }

    /// Has an entry written that waits for something from outside.
    pub(crate) fn open(&self, step: &str, op: Op) {
        self.push(step, op, None, true);
    }

    /// Has an open entry resolved, unless somebody else does so first.
    pub(crate) fn resolve(&self, step: &str, entry: u32, with: Resolution) {
        self.push(step, Op::Resolved { entry, with }, Some(entry), false);
    }

    fn push(&self, step: &str, op: Op, closes: Option<u32>, opens: bool) {
        let at = self.store.now_ms();
        let mut state = self.state();
        if state.journal.steps() + state.outbox.len() >= MOST_STEPS && state.journal.step(step).is_none() {
            state.end(Failure::fatal(format!(
                "run {} has more than {MOST_STEPS} steps; let it start other runs instead",
                self.id
            )));
            return;
        }
        state.push(Entry { step: step.to_owned(), at, op }, closes, opens);
    }

    /// What is to be written now, and after how many entries.
    pub(crate) fn take_writes(&self) -> Option<(u32, Vec<Write>)> {
        let mut state = self.state();
        (!state.outbox.is_empty()).then(|| (state.journal.len(), std::mem::take(&mut state.outbox)))
    }

    /// Takes in what has been written, and what others wrote.
    pub(crate) fn recorded(&self, writes: Vec<Write>, recorded: Recorded) {
        let mut state = self.state();
        for text in recorded.unknown {
            if let Err(failure) = state.append(&text) {
                state.end(failure);
                return;
            }
        }
        for (write, number) in writes.into_iter().zip(recorded.numbers) {
            if number > recorded.before {
                state.journal.append(write.entry, write.text.len());
            }
        }
        if state.journal.bytes() > LARGEST_JOURNAL {
            let failure = Failure::fatal(format!(
                "journal of run {} is over {LARGEST_JOURNAL} bytes; keep large results elsewhere and return where they are",
                self.id
            ));
            state.end(failure);
        }
        drop(state);
        self.wake();
    }

    /// Ends the attempt with this failure.
    pub(crate) fn end(&self, failure: Failure) {
        self.state().end(failure);
    }

    pub(crate) fn take_end(&self) -> Option<Failure> {
        self.state().end.take()
    }

    /// When the run is next due, and how many entries it knows, if all that goes on in it is waiting.
    pub(crate) fn suspension(&self) -> Option<(u64, u32)> {
        let state = self.state();
        if state.running > 0 || !state.outbox.is_empty() {
            return None;
        }
        let due = state.pending.values().min()?;
        Some((*due, state.journal.len()))
    }

    /// When time next brings on something that waits beside a body: until that has ended the run is not suspended.
    pub(crate) fn next_due(&self) -> Option<u64> {
        let now = self.store.now_ms();
        let state = self.state();
        if state.running == 0 {
            return None;
        }
        state.pending.values().copied().filter(|due| *due > now).min()
    }

    /// Whether a test wants the run to stop before this step; then it ends.
    pub(crate) fn stops_before(&self, step: &str) -> bool {
        let stops = matches!(self.store.instead(step), Some(Instead::Stop));
        if stops {
            self.end(Failure::cancel("stopped here"));
        }
        stops
    }
}

impl State {
    fn append(&mut self, text: &str) -> Result<(), Failure> {
        let entry = Entry::from_json(text)
            .map_err(|error| Failure::of_kind(FailureKind::Decode, Course::Fatal, error))?;
        self.journal.append(entry, text.len());
        Ok(())
    }

    pub(super) fn push(&mut self, entry: Entry, closes: Option<u32>, opens: bool) {
        let text = entry.to_json();
        self.outbox.push(Write { closes, opens, entry, text });
    }

    /// The first word counts.
    fn end(&mut self, failure: Failure) {
        self.end.get_or_insert(failure);
    }
}
