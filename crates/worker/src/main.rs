//! `ergate-worker`: performs the stock jobs, and tells how it goes.

use clap::Parser;

#[derive(Debug, Parser)]
#[command(name = "ergate-worker", version)]
struct Command {
    #[command(flatten)]
    options: ergate_worker::binary::Options,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    ergate_worker::binary::run(Command::parse().options, ergate_worker::shutdown_signal()).await
}
