//! Command lines nobody would write: whatever they say, they are understood or refused.
//!
//! `ERGATE_FUZZ_CASES` sets how many are tried.

use clap::{Command, FromArgMatches as _};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestRunner},
};

use super::{Cli, command};
use crate::values;

const CASES: u32 = 300;
/// Pieces of values that are read somewhere.
const VALUES: [&str; 16] = [
    "none",
    "1h30m",
    "-1",
    "0",
    "18446744073709551616",
    "1e999",
    "100/1m",
    "5/s",
    "replicated:1",
    "64KiB",
    "{}",
    "2027-01-31T09:00:00Z",
    "now",
    "\u{0}",
    "é",
    "*/5 * * * *",
];

/// Every verb and option there is.
fn words(command: &Command, found: &mut Vec<String>) {
    found.extend(command.get_arguments().filter_map(|arg| arg.get_long()).map(|long| format!("--{long}")));
    for verb in command.get_subcommands() {
        found.push(verb.get_name().to_owned());
        words(verb, found);
    }
}

/// Lines that begin with a verb that is there, so that most of them get beyond it.
fn lines() -> impl Strategy<Value = Vec<String>> {
    let mut known = Vec::new();
    words(&command(), &mut known);
    let verbs: Vec<Vec<String>> = command()
        .get_subcommands()
        .flat_map(|verb| {
            let below = verb
                .get_subcommands()
                .map(|below| vec![verb.get_name().to_owned(), below.get_name().to_owned()]);
            std::iter::once(vec![verb.get_name().to_owned()]).chain(below)
        })
        .collect();
    let word = prop_oneof![
        4 => prop::sample::select(known),
        4 => prop::sample::select(&VALUES[..]).prop_map(str::to_owned),
        1 => ".{0,12}",
        1 => (prop::sample::select(&VALUES[..]), ".{0,4}").prop_map(|(value, rest)| format!("{value}{rest}")),
    ];
    (prop::sample::select(verbs), vec(word, 0..6)).prop_map(|(verb, rest)| [verb, rest].concat())
}

fn runner() -> TestRunner {
    let cases = std::env::var("ERGATE_FUZZ_CASES").map_or(CASES, |cases| cases.parse().unwrap());
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

#[test]
fn no_command_line_makes_it_panic() {
    let tried = runner().run(&lines(), |line| {
        let line = std::iter::once("ergate".to_owned()).chain(line);
        let _ = command().try_get_matches_from(line).and_then(|matches| Cli::from_arg_matches(&matches));
        Ok(())
    });
    tried.unwrap();
}

#[test]
fn no_value_makes_it_panic() {
    let texts = prop_oneof![
        ".{0,30}",
        (prop::sample::select(&VALUES[..]), ".{0,6}").prop_map(|(value, rest)| format!("{value}{rest}")),
        "[0-9]{1,25}[a-zA-Z/ .:]{0,6}[0-9]{0,12}[dhms]{0,2}",
    ];
    let tried = runner().run(&texts, |text| {
        let _ = (values::count(&text), values::time(&text), values::rate(&text), values::durability(&text));
        let _ = (values::size(&text), values::instant(&text), values::kind(&text), values::run_state(&text));
        let _ = (values::json(&text), values::per_second(&text));
        if let Ok(since) = values::since(&text) {
            let _ = (since.millis(0), since.millis(u64::MAX));
        }
        if let Ok(values::Limit(Some(time))) = values::time(&text) {
            prop_assert!(values::time(&ergate_shared::duration::show(time)).is_ok());
        }
        Ok(())
    });
    tried.unwrap();
}
