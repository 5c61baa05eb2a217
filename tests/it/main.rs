//! Behaviour of the whole: client, worker and scripts against a real Redis, one server per test.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]
#![allow(
    clippy::needless_pass_by_value,
    clippy::type_complexity,
    reason = "a test says it in the fewest words"
)]

mod audit;
mod bad_input;
mod cancel;
mod cluster;
mod connections;
mod crash;
mod dead_letters;
mod delayed;
mod durability;
mod enqueue;
mod events;
mod expiry;
mod flow;
mod function_metrics;
mod handlers;
mod idle;
mod inspect;
mod large;
mod late_calls;
mod ledger;
mod limits;
mod lost_replies;
mod meetings;
mod model;
mod options;
mod outages;
mod priority;
mod progress;
mod queues;
mod retention;
mod retries;
mod run_list;
mod run_rerun;
mod runs;
mod schedules;
mod shared_slots;
mod shutdown;
mod story;
mod support;
mod support_works;
mod testing;
mod ui;
mod unique;
mod waits;
mod waking;
