//! Runs that wait for an event which is sent at about the moment they begin to wait, while their workers are killed: none
//! misses it, and none has it twice.
//!
//! A short run with a fixed seed is part of every test run; `script/chaos` makes it long by `ERGATE_CHAOS_MEETINGS`.

use std::{
    collections::BTreeMap,
    fs,
    process::Command,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use ergate::{
    Client, JobState, Retention,
    run::{Op, Resolution},
};
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{Process, RedisServer, until_some};

/// Meetings under way at once.
const AT_ONCE: u64 = 16;
/// The most between the two events, in µs: on an idle machine the wait is registered some ms after the first.
const MOST_BETWEEN_US: u64 = 8_000;
const KILL_EVERY: Duration = Duration::from_millis(400);

/// A small generator, so that a seed replays a run (SplitMix64, Steele et al., OOPSLA 2014).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_meets_the_run_that_begins_to_wait_for_it() {
    let (meetings, seed) = (setting("ERGATE_CHAOS_MEETINGS", 600), setting("ERGATE_CHAOS_SEED", 7));
    let mut chance = Chance(seed);
    let redis = RedisServer::start().await;
    let client = Client::builder().deadline(Duration::from_secs(60)).connect(&redis.url()).await.unwrap();
    let queue = client.queue("fn/meet").unwrap();
    let keep = Retention {
        completed: Some(u32::MAX),
        completed_for: Some(Duration::from_secs(86_400)),
        ..Retention::default()
    };
    queue.set_retention(keep).await.unwrap();
    let ledger = redis.directory().join("meetings");
    let spawn = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_meeting-worker"));
        Process::start(command.args([&redis.url(), "2000"]).arg(&ledger))
    };
    let mut workers: Vec<Process> = (0..3).map(|_| spawn()).collect();
    let declared = async || (!client.functions().await.unwrap().is_empty()).then_some(());
    until_some("the function is declared", declared).await;

    let between: Vec<_> = (0..meetings).map(|number| (number, chance.below(MOST_BETWEEN_US))).collect();
    let between = Arc::new(Mutex::new(between.into_iter()));
    let senders: JoinSet<()> = (0..AT_ONCE)
        .map(|_| {
            let (client, between) = (client.clone(), Arc::clone(&between));
            async move {
                let next = || between.lock().unwrap().next();
                while let Some((number, pause)) = next() {
                    let data = json!({ "number": number });
                    client.send_raw("meeting/begun", data.clone()).await.unwrap();
                    tokio::time::sleep(Duration::from_micros(pause)).await;
                    client.send_raw("meeting/answered", data).await.unwrap();
                    // So that the events of a meeting come while those of others are under way, not all at once.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        })
        .collect();
    let sending = tokio::spawn(senders.join_all());

    let started = Instant::now();
    let limit = Duration::from_secs(60 + meetings / 25);
    let (mut kill_at, mut kills) = (KILL_EVERY, 0);
    loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let stats = queue.stats().await.unwrap();
        if sending.is_finished() && stats.completed >= meetings {
            break;
        }
        assert!(started.elapsed() < limit, "not done after {limit:?}: {stats:?}");
        if started.elapsed() >= kill_at && !sending.is_finished() {
            kill_at += KILL_EVERY;
            let victim = chance.below(workers.len() as u64) as usize;
            workers[victim].sigkill();
            workers[victim] = spawn();
            kills += 1;
        }
    }
    sending.await.unwrap();

    let mut numbers = BTreeMap::<u64, u32>::new();
    let mut cursor = None;
    loop {
        let page = queue.list(JobState::Completed, cursor.as_deref(), 500).await.unwrap();
        for view in &page.items {
            let input: serde_json::Value = view.payload().unwrap();
            *numbers.entry(input["events"][0]["data"]["number"].as_u64().unwrap()).or_default() += 1;
            assert_eq!(view.outcome.as_ref().unwrap().detail, "true", "it got its answer: {view:?}");
            let journal = client.run("meet", view.id.as_str()).unwrap().journal().await.unwrap();
            let said: Vec<_> =
                journal.entries().iter().map(|entry| (entry.step.as_str(), told(&entry.op))).collect();
            assert_eq!(
                said,
                [("before", "done"), ("answer", "wait"), ("answer", "came"), ("after", "done")],
                "each once, in order"
            );
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert!(numbers.len() as u64 == meetings && numbers.values().all(|runs| *runs == 1), "{numbers:?}");
    let mut bodies = BTreeMap::<String, u32>::new();
    for line in fs::read_to_string(&ledger).unwrap().lines() {
        *bodies.entry(line.to_owned()).or_default() += 1;
    }
    assert_eq!(bodies.len() as u64, 2 * meetings, "every body ran");
    let again: u32 = bodies.values().map(|times| times - 1).sum();
    println!(
        "seed {seed}: {meetings} meetings in {:.1?}, {kills} kills, {again} bodies ran again",
        started.elapsed()
    );
}

fn told(op: &Op) -> &'static str {
    match op {
        Op::Done { .. } => "done",
        Op::Wait { .. } => "wait",
        Op::Resolved { with: Resolution::Event(_), .. } => "came",
        _ => "something else",
    }
}
