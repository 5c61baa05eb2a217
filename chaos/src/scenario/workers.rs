//! Each fault of workers, producers and handlers alone.

use super::{Scenario, single::of};
use crate::{
    fault::{handler, producer, worker},
    stage::Plan,
};

const HOUR_MS: i64 = 60 * 60 * 1000;

pub(super) fn all() -> Vec<Scenario> {
    let holds = |plan| Plan { leases_hold: true, ..plan };
    vec![
        of("nothing", "no fault at all: what the others are held against", [], holds),
        of("worker-killed", "SIGKILL of workers", [worker::kill()], |plan| plan),
        of(
            "worker-frozen",
            "SIGSTOP of workers for longer than their lease, then SIGCONT",
            [worker::freeze_at_work()],
            |plan| plan,
        ),
        of(
            "worker-stopped",
            "SIGTERM of workers at any time, also with more to do than they may finish",
            [worker::stop_at_work(), worker::stop()],
            |plan| Plan { leases_hold: true, hands_back: true, ..plan },
        ),
        of(
            "runtime-blocked",
            "handlers that block all threads of the runtime for longer than a lease",
            [handler::block()],
            holds,
        ),
        of("handler-panics", "handlers that panic", [handler::panic()], holds),
        of(
            "worker-out-of-memory",
            "handlers that take all the memory their process may have",
            [handler::hog()],
            |plan| Plan { memory_mb: Some(2048), ..plan },
        ),
        of(
            "producer-killed",
            "SIGKILL of producers, which then send everything again",
            [producer::kill()],
            holds,
        ),
        of("clocks-wrong", "clocks of workers off by an hour, either way", [worker::stop()], |plan| Plan {
            clocks_ms: vec![0, HOUR_MS, -HOUR_MS],
            leases_hold: true,
            ..plan
        }),
        of("clocks-wrong-and-killed", "the same, and workers are killed", [worker::kill()], |plan| Plan {
            clocks_ms: vec![HOUR_MS, 0, -HOUR_MS],
            ..plan
        }),
        of(
            "rolling-deploys",
            "two releases in turn, one of them with a second version of a function",
            [worker::deploy()],
            holds,
        ),
    ]
}
