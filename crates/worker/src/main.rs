//! `ergate-worker`: performs the stock jobs, and tells how it goes.

use std::process::ExitCode;

use clap::Parser;
use ergate_worker::{
    binary::{self, Options, exit},
    shutdown_signal,
};

const AFTER: &str = "\
Every flag is also an environment variable: --lease is ERGATE_LEASE. Durations read 45s, 1h30m, 7d.

Exit codes: 0 done · 1 failed · 2 usage, nothing was started · 3 Redis cannot be reached · 4 not found";

/// Performs http.request and email.send jobs from Redis
#[derive(Debug, Parser)]
#[command(name = "ergate-worker", version, after_help = AFTER, max_term_width = 100)]
struct Command {
    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    let Command { options } = Command::parse();
    binary::start_logging(&options.work);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return exit::report(Err(error.into())),
    };
    exit::report(runtime.block_on(binary::run(options, shutdown_signal())))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_help_is_as_reviewed() {
        // Whatever the environment is.
        let command = Command::command().mut_args(|arg| arg.hide_env_values(true));

        let help = command.term_width(100).render_long_help();

        insta::assert_snapshot!(help);
    }

    #[test]
    fn every_flag_is_an_environment_variable() {
        for flag in Command::command().get_arguments() {
            let Some(name) = flag.get_long().filter(|name| !["help", "version"].contains(name)) else {
                continue;
            };
            let variable = flag.get_env().map(|variable| variable.to_string_lossy().into_owned());
            let rule = format!("ERGATE_{}", name.to_uppercase().replace('-', "_"));
            let expected = if name == "redis-url" { "REDIS_URL".to_owned() } else { rule };

            assert_eq!(variable, Some(expected), "--{name}");
        }
    }
}
