//! What the heartbeat, the waiter and whoever stops the worker tell the loop.

use std::sync::atomic::Ordering;

use ergate_shared::WorkerId;

use super::QueueLoop;
use crate::{
    context::Reason,
    identity::{Beat, Signal},
};

impl QueueLoop {
    pub(super) fn hear(&mut self, signal: Signal) {
        match signal {
            Signal::Wake => self.hint = true,
            Signal::Beat(beat) => self.hear_beat(beat),
            Signal::Lapsed(worker) => self.lose(&worker),
            Signal::Quiet => self.quiet = true,
            Signal::Interrupt => {
                self.quiet = true;
                self.interrupted = true;
                self.stop_all(Reason::Interrupted);
            }
        }
    }

    fn hear_beat(&mut self, beat: Beat) {
        if self.seat.worker().as_ref() != Some(&beat.worker) {
            return;
        }
        if beat.backlog {
            self.hint = true;
        }
        if let Some(next) = beat.next_in {
            self.due_in(next);
        }
        for (id, why) in beat.cancelled {
            if let Some(context) = self.running.get(id.as_str()) {
                let _ = context.inner.stop.why.set(why);
                context.inner.stop.ask(Reason::Cancelled);
            }
        }
        let comparable = beat.turns == self.seat.turns.load(Ordering::Acquire);
        if comparable && beat.held != self.holding(&beat.worker) {
            self.uncertain = true;
        }
    }

    pub(super) fn stop_all(&self, reason: Reason) {
        for context in self.running.values() {
            context.inner.stop.ask(reason);
        }
    }

    /// Everything leased under this id may be somebody else's by now.
    pub(super) fn lose(&mut self, worker: &WorkerId) {
        for context in self.running.values() {
            if context.inner.token.starts_with(worker.as_str()) {
                context.inner.stop.ask(Reason::Lost);
            }
        }
        self.hint = true;
    }
}
