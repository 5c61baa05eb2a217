//! What holds for as long as something lives: a body that runs, a step that waits, an open entry of the journal.

use std::sync::Arc;

use ergate_shared::run::{Entry, Op, Resolution};

use super::Shared;

impl Shared {
    /// Counts a body as running for as long as the guard lives.
    pub(crate) fn running(self: &Arc<Self>) -> Running {
        self.state().running += 1;
        Running { shared: Arc::clone(self) }
    }

    /// Counts a step as waiting until `due` for as long as the guard lives.
    pub(crate) fn pending(self: &Arc<Self>, due: u64) -> Pending {
        let mut state = self.state();
        state.next_pending += 1;
        let key = state.next_pending;
        state.pending.insert(key, due);
        Pending { shared: Arc::clone(self), key }
    }
}

/// A body that runs.
pub(crate) struct Running {
    shared: Arc<Shared>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.state().running -= 1;
    }
}

/// A step that waits.
pub(crate) struct Pending {
    shared: Arc<Shared>,
    key: u64,
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.shared.state().pending.remove(&self.key);
    }
}

/// A step that waits for its open entry to be resolved. If it is [abandoned](Shared::abandon), the entry is closed.
pub(crate) struct Open {
    shared: Arc<Shared>,
    step: String,
    entry: u32,
}

impl Open {
    pub(crate) fn new(shared: &Arc<Shared>, step: &str, entry: u32) -> Self {
        Self { shared: Arc::clone(shared), step: step.to_owned(), entry }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let at = self.shared.store.now_ms();
        let mut state = self.shared.state();
        if state.abandoning {
            let op = Op::Resolved { entry: self.entry, with: Resolution::TimedOut };
            state.push(Entry { step: std::mem::take(&mut self.step), at, op }, Some(self.entry), false);
        }
    }
}
