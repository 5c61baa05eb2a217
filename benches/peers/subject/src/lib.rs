//! The protocol between the benchmark's driver and a system under test.
//!
//! A subject is a program around one queue system. This crate owns everything the systems share: arguments, payload,
//! the rhythm of adding, the no-op handler, and the lines exchanged with the driver. A subject implements [`System`]
//! and calls [`run`]. The same protocol in other languages: see `benches/README.md`.

mod add;
mod meter;
mod payload;
mod protocol;

use std::{future::Future, time::Duration};

use clap::Parser;

pub use meter::Meter;
pub use payload::Payload;

/// One queue system, as far as the benchmark uses it.
pub trait System: 'static {
    /// What a process that adds jobs holds; clones share it.
    type Producer: Clone + Send + Sync + 'static;

    /// How many completed jobs the system keeps by default; `None` is all of them, 0 is none.
    const KEEPS: Option<u64>;

    /// Connects a process that adds jobs.
    fn connect(redis: &str) -> impl Future<Output = anyhow::Result<Self::Producer>> + Send;

    /// Adds one job that may run at once.
    fn add(producer: &Self::Producer, payload: Payload) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// Adds many jobs the fastest way the system offers.
    fn add_bulk(
        producer: &Self::Producer,
        payloads: Vec<Payload>,
    ) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// Adds one job that may not run before `delay` has passed.
    fn add_in(
        producer: &Self::Producer,
        payload: Payload,
        delay: Duration,
    ) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// Runs a worker with `slots` slots whose handler is [`Meter::handle`]. Calls [`Meter::ready`] when everything is
    /// prepared and leases nothing before that returns.
    fn work(redis: &str, slots: usize, meter: Meter) -> impl Future<Output = anyhow::Result<()>>;
}

/// Does what the command line asks for.
///
/// # Errors
///
/// Returns what the system under test reports; the driver then names the subject and shows its standard error.
pub async fn run<S: System>() -> anyhow::Result<()> {
    match protocol::Command::parse() {
        protocol::Command::Add(args) => add::run::<S>(args).await,
        protocol::Command::Work(args) => {
            let meter = Meter::start(args.gated, S::KEEPS);
            S::work(&args.redis, args.slots, meter).await
        }
    }
}
