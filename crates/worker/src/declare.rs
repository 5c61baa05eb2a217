//! Tells Redis which functions there are, and keeps the limits of their queues as they are declared.
//!
//! It is said again now and then, so that versions that nobody has any more are known: see `registry/declare`.
//!
//! A limit that code declares is set whenever a worker starts, so it goes before what was set by hand. One that was declared
//! and is no more is cleared; all others are left alone. Limits come before the declaration: who dies in between has changed
//! nothing that the next to start would not change too, as the declaration from before still says what is to be cleared.

use std::time::Duration;

use ergate_client::{Client, Error, Limit, Queue, Rate};
use ergate_shared::{
    FunctionSpec,
    function::{FunctionOptions, THROTTLE, concurrency_key},
};

use crate::cut_off::cut_off;

/// How often it is looked whether all must be set again, and every how many looks functions are declared anyway: three words
/// that were missed make no version look as if nobody had it.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const DECLARE_EVERY: u32 = 15;
/// How soon what failed is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// Declares functions, however long it takes: a run that started without its limits could not be undone. Returns the
/// connection on which it was done.
pub(crate) async fn declare(client: &Client, specs: &[FunctionSpec]) -> u64 {
    loop {
        let generation = client.redis().generation();
        match try_declare(client, specs).await {
            // The first call makes the connection.
            Ok(()) => return generation.max(1),
            Err(error) => {
                cut_off!(error, "functions could not be declared; it is tried again");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

/// Declares them again now and then, and with their limits after every new connection, as it may lead to new data.
pub(crate) async fn keep_declared(client: Client, specs: Vec<FunctionSpec>, mut generation: u64) {
    let mut looks = 0_u32;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        looks = looks.wrapping_add(1);
        if client.redis().generation() != generation {
            generation = declare(&client, &specs).await;
        } else if looks.is_multiple_of(DECLARE_EVERY)
            && let Err(error) = client.declare(&specs).await
        {
            tracing::debug!(%error, "functions are declared again soon");
        }
    }
}

async fn try_declare(client: &Client, specs: &[FunctionSpec]) -> Result<(), Error> {
    if specs.is_empty() {
        return Ok(());
    }
    let known = client.functions().await?;
    for spec in specs {
        let before = known.get(&spec.name).map(|known| known.options.clone()).unwrap_or_default();
        set_limits(&client.queue(spec.queue().as_str())?, &before, &spec.options).await?;
    }
    client.declare(specs).await
}

async fn set_limits(queue: &Queue, before: &FunctionOptions, options: &FunctionOptions) -> Result<(), Error> {
    if options.concurrency.is_some() || before.concurrency.is_some() {
        queue.set_concurrency(options.concurrency).await?;
    }
    let declared = limits(options);
    for limit in &declared {
        queue.set_limit(limit).await?;
    }
    for limit in limits(before) {
        if declared.iter().all(|declared| declared.name() != limit.name()) {
            queue.clear_limit(limit.name()).await?;
        }
    }
    Ok(())
}

/// The limits per key that options come to.
fn limits(options: &FunctionOptions) -> Vec<Limit> {
    let per = options.concurrency_per.iter().enumerate();
    let mut limits: Vec<_> =
        per.map(|(place, per)| Limit::per_key(concurrency_key(place)).concurrency(per.limit)).collect();
    if let Some(throttle) = &options.throttle {
        let period = Duration::from_millis(throttle.period_ms);
        limits.push(Limit::per_key(THROTTLE).rate(Rate::new(throttle.limit, period).burst(throttle.burst)));
    }
    limits.extend(options.singleton_key().map(|name| Limit::per_key(name).concurrency(1)));
    limits
}
