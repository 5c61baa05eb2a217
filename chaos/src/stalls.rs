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
const PATIENCE: Duration = Duration::from_secs(5);

/// Watches until it is dropped.
#[derive(Debug, Default)]
pub struct Stalls {
    worst_us: Arc<AtomicU64>,
    slowest_us: Arc<AtomicU64>,
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

    /// Also asks the server at this address for a sign of life, and notes the longest it took: a disk or processor that others use
    /// makes it late too. Nothing is noted of an address that is none of a single server.
    pub fn and_of(self, url: &str) -> Self {
        let (slowest_us, over) = (Arc::clone(&self.slowest_us), Arc::clone(&self.over));
        let Ok(server) = redis::Client::open(url) else { return self };
        thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                let Ok(mut connection) = server.get_connection_with_timeout(PATIENCE) else {
                    thread::sleep(NAP);
                    continue;
                };
                while !over.load(Ordering::Relaxed) {
                    let asked = Instant::now();
                    let answer: redis::RedisResult<String> = redis::cmd("PING").query(&mut connection);
                    if answer.is_err() {
                        break;
                    }
                    let took = u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX);
                    slowest_us.fetch_max(took, Ordering::Relaxed);
                    thread::sleep(5 * NAP);
                }
            }
        });
        self
    }

    /// The longest the server took to answer.
    pub fn slowest_answer(&self) -> Duration {
        Duration::from_micros(self.slowest_us.load(Ordering::Relaxed))
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
