//! The command line as a whole: what every command takes, and that every option is an environment variable too.

use clap::{
    ArgAction, Args, Command, CommandFactory, FromArgMatches, Parser, builder::FalseyValueParser,
    builder::styling,
};
use tracing_subscriber::EnvFilter;

use crate::{
    cmd::{self, Verb},
    connection::Connection,
    exit::Refusal,
    output::Output,
};

const ABOUT: &str = "Durable jobs on Redis: enqueue, inspect and operate";

const AFTER: &str = "\
Every option is also an environment variable: --keep-dead is ERGATE_KEEP_DEAD. Durations read 45s, 1h30m, 7d.

Exit codes: 0 done · 1 failed · 2 usage, nothing was changed · 3 Redis cannot be reached · 4 no such job, queue, function, \
run, event, schedule or worker";

const STYLES: styling::Styles = styling::Styles::styled()
    .header(styling::AnsiColor::Green.on_default().bold())
    .usage(styling::AnsiColor::Green.on_default().bold())
    .literal(styling::AnsiColor::Cyan.on_default().bold())
    .placeholder(styling::AnsiColor::Cyan.on_default());

/// A whole command line.
#[derive(Debug, Parser)]
#[command(name = "ergate", version, about = ABOUT, after_help = AFTER, styles = STYLES, max_term_width = 100)]
#[command(arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) connection: Connection,
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(flatten)]
    logging: Logging,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
struct Logging {
    /// What to log to stderr, such as `debug` or `ergate_client=trace`
    ///
    /// Default `warn`, or `info` for workers.
    #[arg(long, value_name = "FILTER", global = true)]
    log: Option<String>,
}

/// Reads the program's arguments; ends it with 2 if they are wrong.
pub(crate) fn parse() -> Cli {
    let mut command = command();
    // With REDIS_URL set the parser takes the line for one that is not empty.
    if std::env::args_os().len() <= 1 {
        anstream::eprint!("{}", command.render_help().ansi());
        std::process::exit(2);
    }
    let matches = command.get_matches();
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// The command line, environment variables included.
pub(crate) fn command() -> Command {
    with_environment(Cli::command())
}

fn with_environment(command: Command) -> Command {
    let with_variable = |arg: clap::Arg| {
        let Some(name) = arg.get_long() else { return arg };
        let variable = format!("ERGATE_{}", name.to_uppercase().replace('-', "_"));
        let arg = match arg.get_action() {
            // `ERGATE_JSON=1` and `=true` set a flag, `=0`, `=false` and nothing do not.
            ArgAction::SetTrue => arg.value_parser(FalseyValueParser::new()),
            // So that `-1` is told to be out of range, not to be an unknown option.
            ArgAction::Set | ArgAction::Append => arg.allow_negative_numbers(true),
            _ => return arg,
        };
        // The rule is told once at the end of the help; only what is called otherwise is named at its option.
        match arg.get_env() {
            Some(other) if *other != *variable => arg.hide_env_values(true),
            _ => arg.env(variable).hide_env(true),
        }
    };
    command.mut_args(with_variable).mut_subcommands(with_environment).disable_help_subcommand(true)
}

impl Cli {
    /// Does what was asked for.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let Self { connection, output, logging, verb } = self;
        if !verb.logs_by_itself() {
            let filter = logging.log.as_deref().unwrap_or("warn");
            let filter = EnvFilter::try_new(filter)
                .map_err(|error| Refusal::usage(format!("log filter {filter:?} cannot be read: {error}")))?;
            tracing_subscriber::fmt().with_env_filter(filter).with_writer(anstream::stderr).init();
        }
        cmd::run(verb, &connection, output, logging.log).await
    }
}

#[cfg(test)]
mod arbitrary;

#[cfg(test)]
mod tests {
    use super::*;

    fn each(command: &mut Command, path: &str, seen: &mut impl FnMut(&str, &Command)) {
        seen(path, command);
        for sub in command.get_subcommands_mut() {
            let path = format!("{path} {}", sub.get_name());
            each(sub, &path, seen);
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn every_option_is_an_environment_variable() {
        each(&mut command(), "ergate", &mut |path, command| {
            for arg in command
                .get_arguments()
                .filter(|arg| arg.get_long().is_some_and(|long| long != "help" && long != "version"))
            {
                assert!(arg.get_env().is_some(), "{path} --{}", arg.get_long().unwrap());
            }
        });
    }

    #[test]
    fn a_payload_for_a_function_is_refused_and_not_ignored() {
        let set = ["ergate", "schedule", "set", "cleanup", "--cron", "@daily", "--function", "clean"];
        let refused = command().try_get_matches_from(set.into_iter().chain(["--payload", "{}"]));

        assert!(command().try_get_matches_from(set).is_ok());
        assert_eq!(refused.unwrap_err().kind(), clap::error::ErrorKind::ArgumentConflict);
    }

    /// Each without the options every command has, which stand at the first.
    #[test]
    fn the_help_of_every_command_is_as_reviewed() {
        let mut text = String::new();
        each(&mut command(), "ergate", &mut |path, command| {
            let help = command.clone().bin_name(path).term_width(100).render_long_help().to_string();
            let lines: Vec<_> = help.lines().map(str::trim_end).collect();
            text.push_str(&format!("───── {path}\n{}\n\n", lines.join("\n")));
        });

        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!("help", text);
        });
    }
}
