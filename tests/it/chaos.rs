//! Everything at once: workers killed and stopped, Redis restarted, and every job done all the same.
//!
//! A short run with a fixed seed is part of every test run; `script/chaos` makes it long by these variables:
//! `ERGATE_CHAOS_JOBS`, `ERGATE_CHAOS_RUNS`, `ERGATE_CHAOS_SEED`.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use ergate::{Client, JobName, QueueName, Retention, reconcile};
use tokio::task::JoinSet;

use crate::{
    ledger::{Ledger, Options, QUEUE, every_job_was_done_and_none_twice_without_a_reason},
    support::{Process, RedisServer, until_some},
};

mod meetings;

const WORKERS: usize = 4;
/// Callers that enqueue at once: one alone waits for the disk with each job, as the append-only file is written always.
const PRODUCERS: usize = 4;

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
async fn every_job_is_done_whatever_is_killed() {
    let (jobs, runs, seed) = (
        setting("ERGATE_CHAOS_JOBS", 2_000),
        setting("ERGATE_CHAOS_RUNS", 1),
        setting("ERGATE_CHAOS_SEED", 7),
    );
    for run in 0..runs {
        let report = storm(jobs, seed + run).await;
        println!("run {} of {runs}, seed {}: {report}", run + 1, seed + run);
    }
}

/// One run; returns what happened, for people.
async fn storm(jobs: u64, seed: u64) -> String {
    let mut chance = Chance(seed);
    let mut redis = RedisServer::options().appendonly_always().start().await;
    let client = Client::builder().deadline(Duration::from_secs(60)).connect(&redis.url()).await.unwrap();
    let queue = client.queue(QUEUE).unwrap();
    let keep = Retention {
        completed: Some(u32::MAX),
        completed_for: Some(Duration::from_secs(86_400)),
        ..Retention::default()
    };
    queue.set_retention(keep).await.unwrap();
    let ledger = Ledger::beside(&redis);
    let options = Options { slots: 25, lease: Duration::from_secs(3), deadline: Duration::from_millis(500) };
    let url = redis.url();
    let spawn = || ledger.worker(&url, options);
    let mut workers: Vec<Process> = (0..WORKERS).map(|_| spawn()).collect();

    let names = (QueueName::new(QUEUE).unwrap(), JobName::new("entry").unwrap());
    let drafts: Vec<_> = (0..jobs).map(|number| (number, chance.below(60))).collect();
    let drafts = Arc::new(Mutex::new(drafts.into_iter()));
    let producers: JoinSet<()> = (0..PRODUCERS)
        .map(|_| {
            let (client, names, drafts) = (client.clone(), names.clone(), Arc::clone(&drafts));
            async move {
                let next = || drafts.lock().unwrap().next();
                while let Some((number, runs_ms)) = next() {
                    let payload = format!(r#"{{"number":{number},"runs_ms":{runs_ms}}}"#);
                    client
                        .enqueue_raw(names.0.clone(), names.1.clone(), payload)
                        .id(number.to_string())
                        .await
                        .unwrap();
                }
            }
        })
        .collect();
    let producer = tokio::spawn(producers.join_all());

    let started = Instant::now();
    let (mut kill_at, mut stop_at) = (Duration::from_secs(2), Duration::from_secs(3));
    let (mut kills, mut stops, mut restarts) = (0, 0, 0);
    let mut back = Duration::ZERO;
    let mut left = Vec::new();
    let limit = Duration::from_secs(60 + jobs / 100);
    loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = started.elapsed();
        assert!(now < limit, "not done after {now:?}: {:?}", queue.stats().await);
        let done = ledger.ends().len() as u64;
        if producer.is_finished() && done == jobs {
            break;
        }
        if now >= kill_at {
            kill_at += Duration::from_secs(2);
            let victim = chance.below(WORKERS as u64) as usize;
            workers[victim].sigkill();
            workers[victim] = spawn();
            kills += 1;
        }
        if now >= stop_at {
            stop_at += Duration::from_secs(3);
            let victim = chance.below(WORKERS as u64) as usize;
            let leaving = std::mem::replace(&mut workers[victim], spawn());
            leaving.sigterm();
            left.push(leaving);
            stops += 1;
        }
        if restarts < 2 && done > jobs * (restarts + 1) / 3 {
            restarts += 1;
            redis.kill();
            redis.restart().await;
            let up = Instant::now();
            let before = ledger.ends().len();
            until_some("work goes on", async || (ledger.ends().len() > before).then_some(())).await;
            back = back.max(up.elapsed());
        }
    }
    producer.await.unwrap();
    until_some("all is settled", async || {
        let stats = queue.stats().await.ok()?;
        (stats.completed == jobs).then_some(())
    })
    .await;

    every_job_was_done_and_none_twice_without_a_reason(&queue, &ledger, jobs).await;
    let stats = queue.stats().await.unwrap();
    assert!(stats.adds_up(), "{stats:?}");
    assert_eq!(reconcile(&queue).await.unwrap().total(), 0);
    for worker in workers.iter().chain(&left) {
        assert!(!worker.output().contains("were repaired"), "{}", worker.output());
    }
    assert!(back <= Duration::from_secs(2), "back at work {back:?} after redis was");
    let twice = ledger.starts().values().filter(|starts| **starts > 1).count();
    format!(
        "{jobs} jobs in {:.1?}, {kills} kills, {stops} stops, {restarts} restarts of redis, {twice} jobs began again, \
         back at work {back:.2?} after redis",
        started.elapsed()
    )
}
