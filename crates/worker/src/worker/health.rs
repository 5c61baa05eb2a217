//! What readiness checks may ask of a worker.

use std::{
    sync::{Arc, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use crate::identity::Seat;

/// What readiness checks may ask of a worker.
#[derive(Debug, Clone, Default)]
pub struct Health {
    seats: Arc<std::sync::Mutex<Option<Vec<Arc<Seat>>>>>,
}

impl Health {
    pub(super) fn start(&self, seats: &[Arc<Seat>]) {
        *self.seats.lock().unwrap_or_else(PoisonError::into_inner) = Some(seats.to_vec());
    }

    pub(super) fn stop(&self) {
        *self.seats.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The age of the last round trip that Redis answered, of the queue for which it is longest; `None` before the worker
    /// runs and once it is stopping. A queue that the worker was told to be quiet in, and has left, is not asked; zero if all are.
    pub fn last_answer(&self) -> Option<Duration> {
        let seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let asked = seats.as_ref()?.iter().filter(|seat| !seat.left.load(Ordering::Relaxed));
        Some(asked.map(|seat| now - seat.last_answer()).max().unwrap_or_default())
    }
}
