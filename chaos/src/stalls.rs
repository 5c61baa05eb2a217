//! How late this machine runs what is due: a thread that sleeps ten milliseconds and notes how much longer it took.
//!
//! Promises about time are judged with this in mind. A machine that stands still for half a second makes everybody late, and so does
//! one whose processors the host gives to others: Linux counts that as stolen.

use std::{
    fs,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::ledger::now_ns;

const NAP: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(5);
/// What comes less late than this stood still for nobody.
const LATE: Duration = Duration::from_millis(20);
/// Stolen time is told of the worst stretch of this length: an hour loses little where a second loses all.
const STRETCH: Duration = Duration::from_secs(5);

/// A time in which the machine stood still, in ns of the clock of the ledgers.
#[derive(Debug, Clone, Copy)]
pub struct Stall {
    /// When it began.
    pub from: u64,
    /// When it was over.
    pub until: u64,
}

impl Stall {
    /// How long it was.
    pub fn lasted(&self) -> Duration {
        Duration::from_nanos(self.until - self.from)
    }
}

/// Watches until it is dropped.
#[derive(Debug, Default)]
pub struct Stalls {
    stalls: Arc<Mutex<Vec<Stall>>>,
    slowest_us: Arc<AtomicU64>,
    stolen_permille: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
}

/// Time of all processors since the machine was started: see proc(5), `/proc/stat`.
#[derive(Debug, Clone, Copy, Default)]
struct Ticks {
    all: u64,
    stolen: u64,
}

impl Ticks {
    /// Zeros where the system does not tell.
    fn now() -> Self {
        let text = fs::read_to_string("/proc/stat").unwrap_or_default();
        let first = text.lines().next().unwrap_or_default();
        // user, nice, system, idle, iowait, irq, softirq, steal; what follows is part of these.
        let ticks: Vec<u64> =
            first.split_whitespace().skip(1).take(8).filter_map(|ticks| ticks.parse().ok()).collect();
        Self { all: ticks.iter().sum(), stolen: ticks.get(7).copied().unwrap_or(0) }
    }

    fn stolen_permille_since(self, before: Self) -> u64 {
        (1000 * (self.stolen - before.stolen)).checked_div(self.all - before.all).unwrap_or(0)
    }
}

impl Stalls {
    /// Begins to watch.
    pub fn watch() -> Self {
        let stalls = Self::default();
        let (found, stolen_permille) = (Arc::clone(&stalls.stalls), Arc::clone(&stalls.stolen_permille));
        let over = Arc::clone(&stalls.over);
        thread::spawn(move || {
            let (mut since, mut at_first) = (Instant::now(), Ticks::now());
            while !over.load(Ordering::Relaxed) {
                let asleep = Instant::now();
                thread::sleep(NAP);
                let late = asleep.elapsed().saturating_sub(NAP);
                if late > LATE {
                    let until = now_ns();
                    let from = until.saturating_sub(late.as_nanos() as u64);
                    found.lock().unwrap_or_else(PoisonError::into_inner).push(Stall { from, until });
                }
                if since.elapsed() >= STRETCH {
                    let now = Ticks::now();
                    stolen_permille.fetch_max(now.stolen_permille_since(at_first), Ordering::Relaxed);
                    (since, at_first) = (Instant::now(), now);
                }
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

    /// How much of the processors' time the host gave to others in the worst five seconds since, in percent.
    pub fn stolen_percent(&self) -> f64 {
        self.stolen_permille.load(Ordering::Relaxed) as f64 / 10.0
    }

    /// The longest the server took to answer.
    pub fn slowest_answer(&self) -> Duration {
        Duration::from_micros(self.slowest_us.load(Ordering::Relaxed))
    }

    /// All times of more than 20 ms in which it stood still.
    pub fn all(&self) -> Vec<Stall> {
        self.stalls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The longest of them.
    pub fn worst(&self) -> Duration {
        self.all().iter().map(Stall::lasted).max().unwrap_or_default()
    }
}

impl Drop for Stalls {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}
