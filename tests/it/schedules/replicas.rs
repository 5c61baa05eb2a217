//! Any number of processes tick, die, and have wrong clocks: each time comes once.

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command};

use ergate::Client;

use super::*;
use crate::support::{Process, RedisServer};

const EVERY_MS: u64 = 100;
const HOUR_MS: i64 = 3_600_000;

struct Ledger(PathBuf);

impl Ledger {
    fn beside(redis: &RedisServer) -> Self {
        Self(redis.directory().join("ledger"))
    }

    /// How often the job of each time ran, in ms since the epoch.
    fn runs(&self) -> BTreeMap<u64, u32> {
        let mut runs = BTreeMap::new();
        for line in fs::read_to_string(&self.0).unwrap_or_default().lines() {
            let time = time_of(line).expect("the ledger has ids of jobs");
            *runs.entry(time.as_millisecond() as u64).or_default() += 1;
        }
        runs
    }
}

fn ticking(redis: &RedisServer, wrong_by_ms: i64, ledger: Option<&Ledger>) -> Process {
    Process::start(
        Command::new(env!("CARGO_BIN_EXE_ticking-worker"))
            .args([&redis.url(), &EVERY_MS.to_string(), &wrong_by_ms.to_string()])
            .args(ledger.map(|ledger| &ledger.0)),
    )
}

fn each_time_once(runs: &BTreeMap<u64, u32>) {
    let (first, last) = (*runs.keys().next().unwrap(), *runs.keys().last().unwrap());
    let expected: BTreeMap<u64, u32> =
        (first..=last).step_by(EVERY_MS as usize).map(|time| (time, 1)).collect();
    assert_eq!(*runs, expected);
}

/// Waits until the schedule rests, so that all it started has run.
async fn stop(client: &Client, ledger: &Ledger) {
    let schedule = client.schedule("tick").unwrap();
    schedule.pause().await.unwrap();
    let started = schedule.show().await.unwrap().state.counts.started as usize;
    until("all have run", async || ledger.runs().len() >= started).await;
}

#[tokio::test]
async fn five_processes_of_which_one_is_killed_each_second_start_each_time_once() {
    let redis = RedisServer::start().await;
    let client = Client::connect(&redis.url()).await.unwrap();
    // Nothing is kept of what has run, so that a job that is started twice runs twice.
    let retention = ergate::Retention { completed: Some(0), ..Default::default() };
    client.queue("ticks").unwrap().set_retention(retention).await.unwrap();
    let ledger = Ledger::beside(&redis);
    let _performs = ticking(&redis, 0, Some(&ledger));
    let mut processes: Vec<_> = (0..5).map(|_| ticking(&redis, 0, None)).collect();
    until("times have come", async || ledger.runs().len() >= 10).await;

    for round in 0..6 {
        let before = ledger.runs().len();
        processes[round % 5].sigkill();
        processes[round % 5] = ticking(&redis, 0, None);
        until("a second has passed", async || ledger.runs().len() >= before + 10).await;
    }

    stop(&client, &ledger).await;
    each_time_once(&ledger.runs());
    let counts = client.schedule("tick").unwrap().show().await.unwrap().state.counts;
    assert_eq!((counts.started as usize, counts.missed), (ledger.runs().len(), 0));
}

#[tokio::test]
async fn clocks_that_are_off_by_an_hour_change_nothing() {
    let redis = RedisServer::start().await;
    let client = Client::connect(&redis.url()).await.unwrap();
    let ledger = Ledger::beside(&redis);
    let now = async || {
        let (seconds, micros): (u64, u64) = redis.ask(&["TIME"]).await;
        seconds * 1000 + micros / 1000
    };
    let begun = now().await;

    let _ahead = ticking(&redis, HOUR_MS, Some(&ledger));
    let _behind = ticking(&redis, -HOUR_MS, None);
    until("times have come", async || ledger.runs().len() >= 30).await;
    stop(&client, &ledger).await;
    let ended = now().await;

    let runs = ledger.runs();
    each_time_once(&runs);
    assert!(
        *runs.keys().next().unwrap() > begun && *runs.keys().last().unwrap() <= ended,
        "{begun} {runs:?} {ended}"
    );
    let last = client.schedule("tick").unwrap().show().await.unwrap().state.last.unwrap();
    assert!(last.at.abs_diff(last.nominal) < 5_000, "{last:?}");
}
