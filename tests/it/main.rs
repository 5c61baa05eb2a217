//! Behaviour of the whole: client, worker and scripts against a real Redis, one server per test.

mod bad_input;
mod cancel;
mod chaos;
mod crash;
mod dead_letters;
mod delayed;
mod durability;
mod enqueue;
mod expiry;
mod handlers;
mod inspect;
mod ledger;
mod limits;
mod lost_replies;
mod outages;
mod priority;
mod progress;
mod queues;
mod retention;
mod retries;
mod shutdown;
mod story;
mod support;
mod support_works;
mod unique;
