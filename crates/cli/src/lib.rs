//! The `ergate` program, as a library so that fuzzing reaches its command line; nothing of it is for others to build on.

mod args;
mod cmd;
mod confirm;
mod connection;
mod exit;
mod listing;
mod output;
mod values;

use std::{ffi::OsString, process::ExitCode};

use clap::FromArgMatches as _;

/// Reads the program's arguments, does one thing, says how it went.
pub fn main() -> ExitCode {
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

/// Whether these arguments, without the program's name, are a command line.
pub fn understands<A: Into<OsString> + Clone>(arguments: impl IntoIterator<Item = A>) -> bool {
    let line = std::iter::once(OsString::from("ergate")).chain(arguments.into_iter().map(Into::into));
    let matches = args::command().try_get_matches_from(line);
    matches.and_then(|matches| args::Cli::from_arg_matches(&matches)).is_ok()
}
