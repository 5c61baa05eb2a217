//! Parts of the worker and the client with shuttle under them instead of the standard library and tokio.
#![cfg(test)]
#![allow(dead_code, reason = "each file is taken as a whole")]

mod sync {
    pub(crate) use shuttle::sync::{Arc, Mutex, MutexGuard};
    pub(crate) use std::sync::PoisonError;
}

mod identity {
    //! A seat, as far as the pool knows it: something that can be woken.

    use shuttle::sync::{Condvar, Mutex};

    #[derive(Debug)]
    pub(crate) enum Signal {
        Wake,
    }

    #[derive(Debug, Default)]
    pub(crate) struct Seat {
        is_woken: Mutex<bool>,
        wakes: Condvar,
    }

    impl Seat {
        pub(crate) fn tell(&self, signal: Signal) {
            let Signal::Wake = signal;
            *self.is_woken.lock().unwrap() = true;
            self.wakes.notify_all();
        }

        pub(crate) fn until_woken(&self) {
            let mut is_woken = self.is_woken.lock().unwrap();
            while !*is_woken {
                is_woken = self.wakes.wait(is_woken).unwrap();
            }
            *is_woken = false;
        }
    }
}

mod link {
    //! Nothing is tried again here.

    pub(crate) struct Pause;

    impl Pause {
        pub(crate) fn first() -> Self {
            Self
        }

        pub(crate) fn length(&self) -> std::time::Duration {
            std::time::Duration::ZERO
        }

        pub(crate) async fn wait(&mut self) {}
    }
}

/// What may go wrong with a call.
#[derive(Debug)]
enum Error {
    Server(String),
    GivenUp,
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Server(problem) => f.write_str(problem),
            Self::GivenUp => f.write_str("given up"),
        }
    }
}

impl Error {
    fn is_connection(&self) -> bool {
        false
    }
}

#[path = "../../../crates/api-client/src/coalesce.rs"]
mod coalesce;
#[path = "../../../crates/worker/src/identity/lease.rs"]
mod lease;
#[path = "../../../crates/worker/src/pool.rs"]
mod pool;

mod coalescing;
mod leasing;
mod sharing;

/// Orders tried of each story.
const ORDERS: usize = 1000;
/// How often the order is turned round at the worst moment.
const TURNS: usize = 3;

/// Plays a story in many orders: at random, and with few changes of threads at the worst moments.
fn in_many_orders(story: impl Fn() + Send + Sync + Clone + 'static) {
    shuttle::check_random(story.clone(), ORDERS);
    shuttle::check_pct(story, ORDERS, TURNS);
}
