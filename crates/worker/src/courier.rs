//! Carries ends out of a queue: to the runs that wait for a result, and as events to functions that are started by them.
//!
//! An end that somebody is to be told of is kept in the script that ends the job. Every worker of the queue carries it: at
//! once after its own calls, and when a heartbeat says that others left some behind. Telling twice changes nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ergate_client::Client;
use ergate_shared::{Event, function::FunctionFinished};

use crate::{cut_off::cut_off, identity::Seat};

/// The wait before what was cut off is tried again; a heartbeat asks for it as well.
const AGAIN: Duration = Duration::from_millis(500);
/// How often it is looked whether a function is started by the completion of others.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Works for ever; dropped when the worker stops.
pub(crate) async fn run(client: Client, seat: Arc<Seat>) {
    let mut courier = client.courier(&seat.queue);
    loop {
        seat.to_tell.notified().await;
        while let Err(error) = courier.tell_ends().await {
            cut_off!(error, queue = %seat.queue, "ends are not told yet; it is tried again");
            tokio::time::sleep(AGAIN).await;
        }
    }
}

/// Keeps note of whether completed runs are to be told at all: most are of no interest to anybody, and cost nothing.
pub(crate) async fn look_for_audience(client: Client, audience: Arc<AtomicBool>) {
    loop {
        match client.starts_something(FunctionFinished::NAME).await {
            Ok(heard) => audience.store(heard, Ordering::Relaxed),
            Err(error) => tracing::debug!(%error, "functions could not be read"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
