//! Ergate's example service: users ask for exports of audit logs over HTTP, workers make them.
//!
//! What belongs to one job: the payload and queue name (`job.rs`), the handler (`handler.rs`), its registration
//! (`worker.rs`), and the producer method (`producer.rs`). The rest is the service around it.

use std::{io::IsTerminal, process::ExitCode};

use clap::{Parser, Subcommand};
use ergate::shutdown_signal;

use crate::app::Places;

mod api;
mod app;
mod database;
mod handler;
mod job;
mod mail;
mod once;
mod producer;
mod serve;
mod storage;
mod worker;

/// Exports of audit logs: an HTTP API, its workers, and a demonstration of both.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    places: Places,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the API, its page, and a worker in this process.
    Serve(serve::ServeOptions),
    /// Runs a worker alone.
    Worker(worker::WorkerOptions),
    /// Tells the whole story once, a killed worker included, and checks every file, mail and row.
    Once(once::OnceOptions),
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let quiet = matches!(arguments.command, Command::Once(_));
    tracing_subscriber::fmt()
        .with_env_filter(filter(if quiet { "warn" } else { "info" }))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    match run(arguments).await {
        Ok(code) => code,
        Err(error) => {
            tracing::error!("{error:#}");
            if let Some(hint) = error.downcast_ref::<ergate::Error>().and_then(ergate::Error::hint) {
                tracing::error!("hint: {hint}");
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(Arguments { places, command }: Arguments) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(options) => serve::serve(&places, &options).await?,
        Command::Worker(options) => {
            let app = places.open("http://127.0.0.1:8080").await?;
            worker::worker(places.client().await?, app, options).run_until(shutdown_signal()).await?;
        }
        Command::Once(options) => return once::once(&places, &options).await,
    }
    Ok(ExitCode::SUCCESS)
}

fn filter(level: &str) -> tracing_subscriber::EnvFilter {
    tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| level.into())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_put_together_as_clap_wants_them() {
        Arguments::command().debug_assert();
    }
}
