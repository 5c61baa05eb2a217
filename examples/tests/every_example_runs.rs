//! Every example runs to its end on a real Redis; what it prints and asserts is its own affair.

use std::{env, fs, path::PathBuf, process::Command};

use ergate_examples::Redis;

/// An example may be read on one screen.
const MOST_LINES: usize = 60;

/// Cargo builds the examples of a package for its tests, beside them.
fn program(name: &str) -> PathBuf {
    let test = env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().join("examples").join(name)
}

fn run(name: &str) {
    let redis = Redis::start();

    let output = Command::new(program(name))
        .env("REDIS_URL", redis.url())
        .output()
        .unwrap_or_else(|error| panic!("example {name} cannot be started: {error}"));

    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}\n{said}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(!said.trim().is_empty(), "example {name} says nothing");
}

macro_rules! examples {
    ($($name:ident)*) => {
        const EXAMPLES: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() {
                run(stringify!($name));
            }
        )*
    };
}

examples! {
    cancel
    delays_and_priorities
    durable_function
    enqueue_and_work
    function_options
    functions_together
    keys
    limits
    payload_versions
    progress_and_results
    retries_and_dead_letters
    schedules
    unique
}

#[test]
fn each_is_listed_here_and_fits_a_screen() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
    let mut found = Vec::new();
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= MOST_LINES, "{} has {lines} lines", path.display());
        found.push(path.file_stem().unwrap().to_string_lossy().into_owned());
    }
    found.sort();

    assert_eq!(found, EXAMPLES);
}
