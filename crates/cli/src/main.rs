//! The `ergate` program: reads arguments, does one thing, says how it went.

mod args;
mod cmd;
mod confirm;
mod connection;
mod exit;
mod listing;
mod output;
mod values;

use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = args::parse();
    cli.output.choose_colors();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return exit::of(Err(error.into())),
    };
    let outcome = runtime.block_on(cli.run());
    // What still blocks, such as a read of stdin, must not keep the program from ending.
    runtime.shutdown_background();
    exit::of(outcome)
}
