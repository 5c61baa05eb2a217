//! How late this machine runs what is due: a thread that sleeps ten milliseconds and notes how much longer it took.
//!
//! Promises about time are judged with this in mind. A machine that stands still for half a second makes everybody late.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

const NAP: Duration = Duration::from_millis(10);

/// Watches until it is dropped.
#[derive(Debug, Default)]
pub struct Stalls {
    worst_us: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
}

impl Stalls {
    /// Begins to watch.
    pub fn watch() -> Self {
        let stalls = Self::default();
        let (worst_us, over) = (Arc::clone(&stalls.worst_us), Arc::clone(&stalls.over));
        thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                let asleep = Instant::now();
                thread::sleep(NAP);
                let late = asleep.elapsed().saturating_sub(NAP);
                worst_us.fetch_max(u64::try_from(late.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
            }
        });
        stalls
    }

    /// The longest it came late.
    pub fn worst(&self) -> Duration {
        Duration::from_micros(self.worst_us.load(Ordering::Relaxed))
    }
}

impl Drop for Stalls {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}
