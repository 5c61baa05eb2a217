//! `ergate bench`: what this Redis does for Ergate from here, in a namespace that is deleted afterwards.

mod measure;

use std::{convert::Infallible, time::Duration};

use clap::Args;
use ergate_client::Client;
use ergate_shared::{
    Namespace, QueueName,
    key::{QueueKey, QueueKeys, RegistryKeys},
};
use ergate_worker::shutdown_signal;
use tokio::sync::mpsc;

use crate::{
    connection::Connection,
    exit::Refusal,
    output::{self, BOLD, DIM, Output},
};

/// Queues the measurements use.
const QUEUES: [&str; 2] = ["load", "pick-up"];

/// `ergate bench`.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// How many jobs each measurement takes
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=10_000_000))]
    jobs: u32,
    /// How many tasks enqueue at the same time, one job after the other
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    tasks: u16,
    /// How many jobs the worker runs at the same time
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    slots: u16,
    /// How large each payload is, in bytes
    #[arg(long, value_name = "SIZE", default_value = "100", value_parser = crate::values::size)]
    payload: usize,
}

impl Bench {
    pub(crate) async fn run(self, connection: &Connection, output: Output) -> anyhow::Result<()> {
        if cfg!(debug_assertions) {
            output::warn("this is a debug build: a release build is several times as fast");
        }
        // Below the namespace, so that a user who may only touch that one may do this.
        let name = format!("{}:bench-{}", connection.namespace(), std::process::id());
        let namespace = Namespace::new(name)?;
        let client = connection.connect(connection.builder().namespace(namespace.clone())).await?;
        // Held by every worker the measurements start; whatever ends them, what is deleted must stay deleted.
        let (alive, mut all_ended) = mpsc::channel::<Infallible>(1);
        let measured = tokio::select! {
            measured = measure::all(&self, &client, alive) => measured,
            () = shutdown_signal() => Err(Refusal::failed("interrupted").into()),
        };
        let _ = all_ended.recv().await;
        let cleaned = clean(&client, &namespace).await;
        let measured = measured?;
        cleaned?;
        if output.is_json() {
            return output.json(&measured);
        }
        let server = client.server();
        // The nodes of a cluster do not say with one voice what they are.
        let flavour = if server.flavour.is_empty() { "cluster" } else { &server.flavour };
        let (address, jobs) = (client.redis().address(), output::counted(self.jobs.into(), "job"));
        let size = output::bytes(self.payload as u64);
        output.line(format!(
            "{BOLD}{flavour}{} at {address}{BOLD:#} {DIM}{jobs} of {size} each, nothing done in the handler{DIM:#}\n",
            if server.version.is_empty() { String::new() } else { format!(" {}", server.version) }
        ))?;
        output.line(measured.page(&self))
    }
}

/// Deletes everything the measurements wrote, whatever state they were left in.
async fn clean(client: &Client, namespace: &Namespace) -> anyhow::Result<()> {
    let registry = RegistryKeys::new(namespace);
    let mut keys = vec![
        registry.queues,
        registry.seen,
        registry.about,
        registry.orders,
        registry.epoch,
        registry.format,
    ];
    for queue in QUEUES {
        let queue = QueueKeys::new(namespace, &QueueName::new(queue)?);
        keys.extend(QueueKey::all().map(|key| queue.get(key).to_owned()));
    }
    // One by one, since in a cluster they lie in different places.
    for key in keys {
        client.redis().command::<u64>("UNLINK", redis::cmd("UNLINK").arg(&key)).await?;
    }
    Ok(())
}

/// A time as short as it can be told.
fn show(time: Duration) -> String {
    match time.as_micros() {
        micros @ 0..1_000 => format!("{micros} µs"),
        micros => format!("{:.2} ms", micros as f64 / 1_000.0),
    }
}
