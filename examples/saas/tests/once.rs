//! The whole example, as `script/demo --functions --once` plays it: worker processes on a real Redis.

use std::{path::PathBuf, process::Command};

use ergate_examples::Redis;

fn once(arguments: &[&str]) -> String {
    let redis = Redis::start();
    let data = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("saas-{}", std::process::id()));

    let output = Command::new(env!("CARGO_BIN_EXE_saas"))
        .arg("once")
        .args(arguments)
        .env("REDIS_URL", redis.url())
        .env("SAAS_DATA", &data)
        .output()
        .expect("the program starts");

    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}\n{complaints}", output.status);
    said
}

#[test]
fn every_function_does_what_it_should_and_each_step_once() {
    let said = once(&[]);

    assert!(said.contains("Everything was right"), "{said}");
}

#[test]
fn killed_workers_change_no_result_and_double_nothing_but_what_they_were_at() {
    let said = once(&["--kill", "--seed", "1", "--runs", "3"]);

    assert!(said.contains("3 of 3 runs were right, seeds 1 to 3"), "{said}");
}
