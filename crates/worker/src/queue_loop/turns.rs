//! One call to Redis: what has ended is settled, and free slots are filled.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use ergate_client::link::Pause;
use ergate_shared::WorkerId;

use super::{MOST_AT_ONCE, QueueLoop};
use crate::{
    outcome::Settlement,
    turn::{self, Code, MOST_BYTES, Turn},
};

impl QueueLoop {
    /// Returns how many jobs were leased and started.
    pub(super) async fn turn(&mut self, ask: usize) -> usize {
        if self.notes.is_busy() && self.unsettled.iter().any(|settled| settled.context.is_some()) {
            // Progress and log lines are taken only while the lease runs.
            let notes = self.notes.clone();
            self.answer(async move { notes.flushed().await }).await;
        }
        let Some(worker) = self.seat.worker() else { return 0 };
        let rest = self.unsettled.split_off(self.settled_at_once());
        let settlements = std::mem::replace(&mut self.unsettled, rest);
        self.calls += 1;
        let token: Arc<str> = worker.token(self.calls).into();
        self.seat.in_turn.store(true, Ordering::Release);
        self.seat.turns.fetch_add(1, Ordering::AcqRel);
        let started = Instant::now();
        let (client, seat) = (self.client.clone(), Arc::clone(&self.seat));
        let taken = self.answer(turn::take(client.redis(), &seat, &worker, &token, ask, &settlements)).await;
        self.seat.in_turn.store(false, Ordering::Release);
        match taken {
            Ok(turn) => {
                self.metrics.turn(&self.seat.queue, started.elapsed(), settlements.len(), turn.leased.len());
                self.answered();
                self.pause = Pause::first();
                if settlements.iter().any(Settlement::is_told) {
                    self.seat.to_tell.notify_one();
                }
                self.settled(settlements, &turn.stale);
                let before = self.running.len();
                self.took(&worker, &token, ask, &turn);
                self.running.len() - before
            }
            Err(error) => {
                // Redis may have carried it out: the settlements are sent again, and their tokens tell.
                self.unsettled.splice(0..0, settlements);
                self.uncertain = true;
                self.failed(&error);
                0
            }
        }
    }

    /// How many of the unsettled go with the next call, so that it crosses a slow link in time: one at least.
    fn settled_at_once(&self) -> usize {
        let mut bytes = 0;
        let fits = |settled: &&Settlement| {
            let has_room = bytes < MOST_BYTES;
            bytes += settled.action.bytes();
            has_room
        };
        self.unsettled.iter().take(MOST_AT_ONCE).take_while(fits).count()
    }

    fn took(&mut self, worker: &WorkerId, token: &Arc<str>, ask: usize, turn: &Turn) {
        self.client.redis().saw_time(turn.now);
        self.next_at = turn.next_in.map(|next| Instant::now() + next);
        let leased = turn.leased.len();
        // Given up while the answer was under way: what it leased may be taken by others before it has begun.
        let given_up = self.seat.worker().as_ref() != Some(worker);
        if turn.code == Code::Lapsed || given_up {
            if self.seat.lease.lapsed(worker) || given_up {
                self.lose(worker);
            }
            return;
        }
        // Less than asked with jobs left over: a limit of the queue, which opens by time or by another settle; or they are large.
        self.hint = turn.more && (leased == ask || turn.is_full()) && turn.code == Code::Ok;
        for job in &turn.leased {
            self.start(job, Arc::clone(token), turn.now);
        }
        if turn.held != self.holding(worker) {
            self.uncertain = true;
        }
    }
}
