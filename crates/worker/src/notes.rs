//! Progress and log lines on their way to Redis: one call in flight, what comes meanwhile goes with the next.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use ergate_client::Redis;
use ergate_shared::{JobId, key::QueueKeys, script};

/// The most log kept per job, in bytes.
const MOST_LOG: usize = 64 * 1024;
/// The most notes of one call.
const MOST_AT_ONCE: usize = 500;
/// Notes that may wait; further log lines are dropped and counted, as a handler must not be held up by its log.
const MOST_WAITING: usize = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum NoteKind {
    Progress,
    Log,
}

#[derive(Debug)]
pub(crate) struct Note {
    pub(crate) kind: NoteKind,
    pub(crate) id: JobId,
    pub(crate) token: Arc<str>,
    pub(crate) text: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Notes {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    redis: Redis,
    keys: QueueKeys,
    state: Mutex<State>,
    written: tokio::sync::Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Note>,
    /// Where a job's progress waits, so that a newer one replaces it.
    progress: HashMap<JobId, usize>,
    writing: bool,
    dropped: u64,
    /// How many came to wait so far, and how many of the first of these wait no more.
    came: u64,
    gone: u64,
}

impl Notes {
    pub(crate) fn new(redis: Redis, keys: QueueKeys) -> Self {
        let (state, written) = (Mutex::default(), tokio::sync::Notify::new());
        Self { shared: Arc::new(Shared { redis, keys, state, written }) }
    }

    pub(crate) fn add(&self, note: Note) {
        let start = {
            let mut state = self.shared.state();
            let waiting = state.waiting.len();
            match note.kind {
                NoteKind::Progress => match state.progress.get(&note.id).copied() {
                    Some(place) => state.waiting[place] = note,
                    None => {
                        state.progress.insert(note.id.clone(), waiting);
                        state.take(note);
                    }
                },
                NoteKind::Log if waiting >= MOST_WAITING => state.dropped += 1,
                NoteKind::Log => state.take(note),
            }
            !std::mem::replace(&mut state.writing, true)
        };
        if start {
            tokio::spawn(Arc::clone(&self.shared).write());
        }
    }

    /// Returns once what waits now is written, or Redis does not take it: a settle ends the lease under which notes are taken. What
    /// comes meanwhile is not waited for, as there are handlers that tell more all the time.
    pub(crate) async fn flushed(&self) {
        let came = self.shared.state().came;
        loop {
            let mut written = std::pin::pin!(self.shared.written.notified());
            written.as_mut().enable();
            if self.shared.state().gone >= came {
                return;
            }
            written.await;
        }
    }

    /// Whether something waits, without waiting for it.
    pub(crate) fn is_busy(&self) -> bool {
        self.shared.state().writing
    }
}

impl State {
    fn take(&mut self, note: Note) {
        self.waiting.push(note);
        self.came += 1;
    }

    /// Some are written, or not. Notes are for show: what Redis cannot take now is not worth holding up a job for, nor is what waits
    /// behind it.
    fn left(&mut self, written: bool) {
        let behind = if written { self.waiting.len() as u64 } else { 0 };
        self.gone = self.gone.max(self.came - behind);
    }
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn write(self: Arc<Self>) {
        loop {
            let (notes, dropped) = {
                let mut state = self.state();
                if state.waiting.is_empty() {
                    state.writing = false;
                    return;
                }
                state.progress.clear();
                let count = state.waiting.len().min(MOST_AT_ONCE);
                let notes: Vec<Note> = state.waiting.drain(..count).collect();
                let left: Vec<(JobId, usize)> = state
                    .waiting
                    .iter()
                    .enumerate()
                    .filter(|(_, note)| note.kind == NoteKind::Progress)
                    .map(|(place, note)| (note.id.clone(), place))
                    .collect();
                state.progress.extend(left);
                (notes, std::mem::take(&mut state.dropped))
            };
            if dropped > 0 {
                tracing::warn!(dropped, "log lines were dropped: they came faster than redis takes them");
            }
            let mut call = script::WORKER_NOTE.on(&self.keys).number(MOST_LOG as u64);
            for note in &notes {
                call.push(match note.kind {
                    NoteKind::Progress => "progress",
                    NoteKind::Log => "log",
                });
                call.push(note.id.as_str());
                call.push(note.token.as_bytes());
                call.push(&note.text);
            }
            let written = self.redis.run::<Vec<String>>(&call).await;
            if let Err(error) = &written {
                tracing::debug!(%error, notes = notes.len(), "notes were not kept");
            }
            self.state().left(written.is_ok());
            self.written.notify_waiters();
        }
    }
}
