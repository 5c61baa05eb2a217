//! The program `ergate-worker` as a library: its flags, and what it does with them.
//!
//! `ergate worker` and `ergate dev` are made of the same [`Work`] and [`run`].

pub mod exit;
mod health_check;
mod http;
mod logging;
mod options;
mod settings;

use std::{io::Write, pin::pin};

use anyhow::Context as _;

pub use logging::start_logging;
pub use options::{Connection, Options, Work};
use settings::Settings;

use crate::{
    Metrics, Worker,
    stock::{self, Stock},
};

/// Works as the options say until `stop` resolves, then stops in order.
///
/// Logs go to whatever the program has set up; [`start_logging`] sets up what the options ask for.
///
/// # Errors
/// [`exit::Usage`] with everything that is wrong with the options; Redis that cannot be reached; an address for metrics
/// that is taken. [`exit::code`] says which it is.
pub async fn run(options: Options, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let (print_config, check_health) = (options.work.print_config, options.work.health_check);
    let settings = Settings::check(options)?;
    if print_config {
        std::io::stdout().write_all(settings.show().as_bytes()).context("writing to stdout")?;
        return Ok(());
    }
    if check_health {
        return health_check::ask(settings.metrics.as_deref()).await;
    }
    work(settings, stop).await
}

async fn work(settings: Settings, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let mut stop = pin!(stop);
    let metrics = Metrics::new();
    let page = http::Page::new(&metrics, settings.ready_within)?;
    let serving = http::serve(settings.metrics.as_deref(), page.clone()).await?;
    if let Some(serving) = &serving {
        tracing::info!(address = %serving.address, "serving /metrics, /healthz and /readyz");
    }
    let stock = Stock::new(&settings.http, &settings.mail);

    let client = tokio::select! {
        biased;
        () = &mut stop => return Ok(()),
        client = settings.client().connect(&settings.url) => client?,
    };
    tracing::info!(redis = client.redis().address(), namespace = %client.namespace(), "connected");

    let mut worker = Worker::new(client.clone(), stock)
        .lease(settings.lease)
        .shutdown_deadline(settings.shutdown_timeout)
        .crash_limit(settings.crash_limit)
        .metrics(metrics);
    for (name, slots) in &settings.queues {
        worker = worker.queue(name.as_str(), *slots);
    }
    let worker = stock::register(worker);
    page.watch(&client, settings.queues.iter().map(|(name, _)| name), worker.health());

    worker.run_until(stop).await?;
    // Scraped until here, so that the last jobs are counted.
    drop(serving);
    Ok(())
}
