//! Ergate's example of durable functions: what a service does when something happens, and at times.
//!
//! Each function is a file under `functions`, with its tests. The rest is the service around them: a database, mail, files,
//! and the services of others.

use std::{io::IsTerminal, process::ExitCode};

use clap::{Parser, Subcommand};
use ergate::shutdown_signal;

use crate::app::Places;

mod app;
mod checks;
mod database;
mod events;
mod functions;
mod ledger;
mod mail;
mod once;
mod partners;
mod pdf;
mod send;
mod serve;
mod steps;
mod worker;

/// A service whose work is durable functions.
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
    /// Runs a worker with all functions, and the services of others that they ask.
    Serve(serve::ServeOptions),
    /// Runs a worker alone.
    Worker {
        #[command(flatten)]
        options: worker::WorkerOptions,
        /// Where the services of others are.
        #[arg(long)]
        partners: String,
    },
    /// Sends an event of this service; data without a required field is refused.
    Send(send::SendOptions),
    /// Starts every function once and checks all that came of it; with --kill, while workers are killed.
    Once(once::OnceOptions),
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let quiet = matches!(arguments.command, Command::Once(_) | Command::Send(_));
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
        Command::Worker { options, partners } => {
            let app = places.open(&partners, options.pace()).await?;
            worker::worker(places.client().await?, app, &options).run_until(shutdown_signal()).await?;
        }
        Command::Send(options) => send::send(&places, &options).await?,
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
        for line in [
            "serve",
            "worker --partners http://localhost:1",
            "send trip/confirmed {}",
            "once --kill --seed 7",
        ] {
            Arguments::try_parse_from(["saas"].into_iter().chain(line.split(' '))).unwrap();
        }
    }
}
