//! Redis goes away in all the ways it does; the worker comes back by itself.

use std::future::IntoFuture;

use ergate::prelude::*;

use crate::{
    story::{Does, QUEUE, RunningWorker, Story, Trace, act},
    support::{DEADLINE, Proxy, RedisServer, until},
};

mod blocked;
mod full;
mod joining;
mod slow;
mod told;

#[tokio::test]
async fn a_worker_takes_jobs_again_after_redis_was_killed_and_restarted() {
    let mut story = Story::on(RedisServer::options().appendonly_always().start().await).await;
    let worker = story.worker(4);
    story.enqueue(1, Does::Succeed).await;
    story.until_finished(1).await;

    story.redis.kill();
    story.redis.restart().await;
    story.enqueue(2, Does::Succeed).await;
    story.until_finished(2).await;

    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn what_ran_while_redis_was_away_is_settled_once_it_is_back() {
    let mut story = Story::on(RedisServer::options().appendonly_always().start().await).await;
    let worker = story.worker(4);
    let id = story.enqueue(1, Does::Wait).await;
    story.until_started(1).await;

    story.redis.kill();
    story.trace.open(1);
    story.until_finished(1).await;
    story.redis.restart().await;
    story.until_state(&id, JobState::Completed).await;

    assert_eq!(story.trace.started(), [1]);
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn an_enqueue_waits_for_redis_to_come_back() {
    let mut story = Story::on(RedisServer::options().appendonly_always().start().await).await;
    story.enqueue(1, Does::Succeed).await;

    story.redis.kill();
    let enqueue =
        tokio::spawn(std::future::IntoFuture::into_future(story.client.enqueue(act(2, Does::Succeed))));
    story.redis.restart().await;
    enqueue.await.unwrap().unwrap();

    assert_eq!(story.queue().stats().await.unwrap().ready, 2);
}

#[tokio::test]
async fn an_enqueue_gives_up_at_its_deadline_and_says_where_it_tried() {
    let mut story = Story::begin().await;
    let client =
        Client::builder().deadline(Duration::from_millis(300)).connect(&story.redis.url()).await.unwrap();
    story.redis.kill();

    let error = client.enqueue(act(1, Does::Succeed)).await.unwrap_err();

    assert!(error.is_connection(), "{error}");
    assert!(error.hint().is_some());
    assert!(error.to_string().contains(&format!("127.0.0.1:{}", story.redis.port())), "{error}");
}

#[tokio::test]
async fn scripts_that_were_flushed_are_sent_again() {
    let story = Story::begin().await;
    let worker = story.worker(4);
    story.enqueue(1, Does::Succeed).await;
    story.until_finished(1).await;

    let _: String = story.redis.ask(&["SCRIPT", "FLUSH"]).await;
    story.enqueue(2, Does::Succeed).await;
    story.until_finished(2).await;

    worker.stop().await;
}

#[tokio::test]
async fn connections_that_are_killed_are_made_again() {
    let story = Story::begin().await;
    let worker = story.worker(4);
    story.enqueue(1, Does::Succeed).await;
    story.until_finished(1).await;

    let _: u64 = story.redis.ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
    story.enqueue(2, Does::Succeed).await;
    story.until_finished(2).await;

    worker.stop().await;
}

#[tokio::test]
async fn a_primary_that_became_a_replica_is_left_and_found_again() {
    let story = Story::begin().await;
    let worker = story.worker(4);
    story.enqueue(1, Does::Succeed).await;
    story.until_finished(1).await;

    let _: String = story.redis.ask(&["REPLICAOF", "127.0.0.1", "1"]).await;
    let enqueue =
        tokio::spawn(std::future::IntoFuture::into_future(story.client.enqueue(act(2, Does::Succeed))));
    until("the worker was refused", async || {
        worker.count("ergate_redis_connected") == 0 || enqueue.is_finished()
    })
    .await;
    let _: String = story.redis.ask(&["REPLICAOF", "NO", "ONE"]).await;
    enqueue.await.unwrap().unwrap();
    story.until_finished(2).await;

    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_lost_lease_cannot_settle_and_its_handler_is_told() {
    let story = Story::begin().await;
    let proxy = Proxy::to(&story.redis);
    let client = Client::connect(proxy.url()).await.unwrap();
    let cut_off = story.worker_with(&client, 1, |worker| worker.lease(Duration::from_secs(1)));
    let id = story.enqueue(1, Does::Listen).await;
    story.until_started(1).await;

    proxy.stall().await;
    until("the handler is told", async || {
        story.trace.told() == [1] || cut_off.count("ergate_leases_lost_total") == 1
    })
    .await;
    let other = story.worker_with(&story.client.clone(), 1, |worker| worker.lease(Duration::from_secs(1)));
    until("another worker has it", async || story.trace.started() == [1, 1]).await;
    proxy.heal().await;
    story.client.job(QUEUE, id.as_str()).unwrap().cancel("enough").await.unwrap();
    story.until_state(&id, JobState::Cancelled).await;

    assert_eq!(cut_off.count("ergate_jobs_ended_total"), 0, "{}", cut_off.metrics.render().unwrap());
    other.stop().await;
    cut_off.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_handler_is_told_that_its_lease_is_lost_though_the_worker_awaits_an_answer() {
    let story = Story::begin().await;
    let proxy = Proxy::to(&story.redis);
    let client = Client::connect(proxy.url()).await.unwrap();
    let cut_off = story.worker_with(&client, 2, |worker| worker.lease(Duration::from_secs(1)));
    story.enqueue(1, Does::Listen).await;
    story.enqueue(2, Does::Wait).await;
    story.until_started(1).await;
    story.until_started(2).await;

    proxy.stall().await;
    let stalled = std::time::Instant::now();
    // Its outcome is sent, and no answer comes for the five seconds after which a call is given up.
    story.trace.open(2);
    until("the other is told", async || {
        story.trace.told() == [1] || cut_off.count("ergate_leases_lost_total") == 1
    })
    .await;
    let told_after = stalled.elapsed();

    assert!(told_after < Duration::from_secs(4), "{told_after:?}");
    proxy.heal().await;
    cut_off.stop().await;
}

#[tokio::test]
async fn what_code_declares_is_set_again_where_redis_has_lost_it() {
    let mut story = Story::on(RedisServer::start().await).await;
    let worker = story.worker_with(&story.client, 4, |worker| {
        worker
            .limit(QUEUE, Limit::per_key("account").concurrency(1))
            .schedule(Schedule::every("tick", Duration::from_millis(200)).job(act(3, Does::Succeed)))
    });
    story.until_finished(1).await;

    story.redis.restart().await;
    let before = story.trace.finished().len();
    story.until_finished(before + 2).await;

    until("its limits are there", async || {
        let limits = story.queue().limits().await.unwrap_or_default();
        limits.iter().any(|limit| limit.name.as_str() == "account" && limit.concurrency == Some(1))
    })
    .await;
    worker.stop().await;
}

#[tokio::test]
async fn a_lost_wake_marker_costs_at_most_a_heartbeat() {
    let story = Story::begin().await;
    let worker = story.worker_with(&story.client.clone(), 4, |worker| worker.lease(Duration::from_secs(3)));
    until("the worker has joined", async || story.queue().stats().await.unwrap().workers == 1).await;
    let mut connection = story.redis.connection().await;

    // The job goes in without a marker, as if the marker's receiver had died with it.
    let mut pipeline = redis::pipe();
    pipeline.atomic();
    let record = {
        let receipt =
            story.client.enqueue(act(1, Does::Succeed)).delay(Duration::from_secs(3600)).await.unwrap();
        let keys = story.queue().keys().clone();
        pipeline
            .cmd("ZREM")
            .arg(keys.get(ergate_shared::key::QueueKey::scheduled))
            .arg(receipt.id.as_str())
            .ignore();
        pipeline
            .cmd("RPUSH")
            .arg(keys.get(ergate_shared::key::QueueKey::ready))
            .arg(receipt.id.as_str())
            .ignore();
        receipt
    };
    let () = pipeline.query_async(&mut connection).await.unwrap();
    story.until_state(&record.id, JobState::Completed).await;

    worker.stop().await;
}

#[tokio::test]
async fn a_worker_waits_for_a_redis_that_stalls_and_goes_on() {
    let story = Story::begin().await;
    let proxy = Proxy::to(&story.redis);
    let client = Client::connect(proxy.url()).await.unwrap();
    let worker = story.worker_with(&client, 4, |worker| worker);
    story.enqueue(1, Does::Succeed).await;
    story.until_finished(1).await;

    proxy.cut().await;
    story.enqueue(2, Does::Succeed).await;
    until("the worker has noticed", async || worker.count("ergate_redis_connected") == 0).await;
    proxy.heal().await;
    story.until_finished(2).await;

    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn who_starts_a_run_while_redis_is_away_is_told_within_the_deadline_though_many_do() {
    let mut story = Story::begin().await;
    let deadline = Duration::from_millis(300);
    let client = Client::builder().deadline(deadline).connect(&story.redis.url()).await.unwrap();
    story.redis.kill();

    let mut starts = tokio::task::JoinSet::new();
    for number in 0..20 {
        starts.spawn(client.invoke("welcome", &number).into_future());
    }
    let told =
        tokio::time::timeout(10 * deadline, starts.join_all()).await.expect("one behind the other takes 20");

    assert!(told.into_iter().all(|start| start.unwrap_err().is_connection()));
}
