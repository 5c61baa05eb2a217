//! The worker: all functions, each with the queue and the schedule it declares.

use std::time::Duration;

use ergate::{Client, Worker};

use crate::{app::App, functions, steps::Pace};

/// How a worker of this service is set up.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct WorkerOptions {
    /// How long Redis keeps runs for this worker without a sign of life.
    #[arg(long, env = "ERGATE_LEASE", default_value = "15s", value_parser = ergate::duration::parse)]
    pub(crate) lease: Duration,

    /// What sleeps are multiplied by: 0.00001 makes a day a little less than a second.
    #[arg(long, default_value_t = 1.0, value_parser = factor)]
    pub(crate) sleep_factor: f64,

    /// How many workers may die under a run before it is a dead letter, unless it gets on in between.
    #[arg(long, default_value_t = 3)]
    pub(crate) crash_limit: u32,
}

fn factor(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(factor) if (0.0..=1.0).contains(&factor) => Ok(factor),
        _ => Err("a number from 0 to 1".to_owned()),
    }
}

impl WorkerOptions {
    pub(crate) fn pace(&self) -> Pace {
        Pace { factor: self.sleep_factor }
    }
}

/// A worker with every function of this service.
pub(crate) fn worker(client: Client, app: App, options: &WorkerOptions) -> Worker<App> {
    let worker = Worker::new(client, app).lease(options.lease).crash_limit(options.crash_limit).on_dead(
        |dead| tracing::error!(run = %dead.id, reason = %dead.failure.message, "run is a dead letter"),
    );
    functions::all().into_iter().fold(worker, Worker::function)
}
