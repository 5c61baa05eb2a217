//! Worker processes die at any instruction; their jobs do not.

use std::time::Instant;

use ergate::{Client, FailureKind, prelude::*};

use crate::{
    ledger::{Ledger, Options, QUEUE, enqueue, every_job_was_done_and_none_twice_without_a_reason},
    support::{RedisServer, until},
};

const LEASE: Duration = Duration::from_secs(2);

fn options(slots: usize) -> Options {
    Options { slots, lease: LEASE, deadline: Duration::from_secs(5) }
}

#[tokio::test]
async fn jobs_of_a_killed_worker_run_again_within_the_lease_and_two_seconds() {
    let redis = RedisServer::start().await;
    let client = Client::connect(&redis.url()).await.unwrap();
    let ledger = Ledger::beside(&redis);
    let mut victim = ledger.worker(&redis.url(), options(10));
    for number in 0..10 {
        enqueue(&client, number, 800, false).await;
    }
    until("all have begun", async || ledger.starts().len() == 10).await;
    let _other = ledger.worker(&redis.url(), options(10));
    until("the other is there", async || client.queue(QUEUE).unwrap().stats().await.unwrap().workers == 2)
        .await;

    let killed = Instant::now();
    victim.sigkill();
    until("all have begun again", async || ledger.starts().values().all(|starts| *starts == 2)).await;
    let took = killed.elapsed();
    until("all are done", async || ledger.ends().len() == 10).await;

    assert!(took <= LEASE + Duration::from_secs(2), "{took:?}");
    let queue = client.queue(QUEUE).unwrap();
    until("all are settled", async || queue.stats().await.unwrap().completed == 10).await;
    every_job_was_done_and_none_twice_without_a_reason(&queue, &ledger, 10).await;
    assert!(queue.stats().await.unwrap().adds_up());
}

#[tokio::test]
async fn a_job_that_kills_its_workers_is_a_dead_letter_after_three() {
    let redis = RedisServer::start().await;
    let client = Client::connect(&redis.url()).await.unwrap();
    let ledger = Ledger::beside(&redis);
    let short = Options { lease: Duration::from_secs(1), ..options(1) };
    let id = enqueue(&client, 1, 0, true).await;
    let job = client.job(QUEUE, id.as_str()).unwrap();

    for round in 1..=3 {
        let mut victim = ledger.worker(&redis.url(), short);
        until("it has begun", async || ledger.starts().get(&1) == Some(&round)).await;
        victim.exited().await;
    }
    let _survivor = ledger.worker(&redis.url(), short);
    until("it is dead", async || job.status().await.unwrap() == JobState::Dead).await;

    let view = job.get().await.unwrap();
    assert_eq!((view.tries.crashes, view.tries.failures), (3, 0));
    let failure = view.failure.unwrap();
    assert_eq!(failure.kind, FailureKind::Crashed);
    assert!(failure.message.contains("3 times"), "{}", failure.message);
}

#[tokio::test]
async fn a_worker_told_to_stop_hands_back_what_it_cannot_finish() {
    let redis = RedisServer::start().await;
    let client = Client::connect(&redis.url()).await.unwrap();
    let ledger = Ledger::beside(&redis);
    let hasty = Options { deadline: Duration::from_millis(100), ..options(4) };
    let mut worker = ledger.worker(&redis.url(), hasty);
    for number in 0..4 {
        enqueue(&client, number, 60_000, false).await;
    }
    until("all have begun", async || ledger.starts().len() == 4).await;

    worker.sigterm();
    let status = worker.exited().await;

    assert!(status.success(), "{}", worker.output());
    let stats = client.queue(QUEUE).unwrap().stats().await.unwrap();
    assert_eq!((stats.ready, stats.leased, stats.workers), (4, 0, 0));
    assert!(stats.adds_up());
}

#[tokio::test]
async fn a_frozen_worker_loses_its_jobs_and_cannot_settle_them_when_it_wakes() {
    let redis = RedisServer::start().await;
    let client = Client::connect(&redis.url()).await.unwrap();
    let ledger = Ledger::beside(&redis);
    let short = Options { lease: Duration::from_secs(1), ..options(1) };
    let frozen = ledger.worker(&redis.url(), short);
    enqueue(&client, 0, 300, false).await;
    until("it has begun", async || ledger.starts().len() == 1).await;

    frozen.sigstop();
    let _other = ledger.worker(&redis.url(), short);
    until("it is done elsewhere", async || ledger.ends().len() == 1).await;
    frozen.sigcont();
    enqueue(&client, 1, 0, false).await;
    let queue = client.queue(QUEUE).unwrap();
    until("both are settled", async || queue.stats().await.unwrap().completed == 2).await;

    every_job_was_done_and_none_twice_without_a_reason(&queue, &ledger, 2).await;
    assert!(queue.stats().await.unwrap().adds_up());
}
