//! The ways to reach a Redis: Sentinel, password, a user with few rights, RESP3.

use std::time::Instant;

use ergate::prelude::*;

use crate::{
    story::{Does, QUEUE, Story},
    support::{DEADLINE, Proxy, RedisSentinel, RedisServer, until},
};

/// The rights README.md lists: what a worker and its producers need, and nothing else.
const RIGHTS: &str = "~ergate:* &ergate:* -@all +@connection +@read +@write +@scripting +@transaction +publish +subscribe \
                      +unsubscribe +info +time -keys -flushall -flushdb";

#[tokio::test]
async fn work_goes_on_after_a_failover_that_sentinels_decide() {
    let sentinels = RedisSentinel::start().await;
    let story = Story::at(&known_to(&sentinels)).await;
    let worker = story.worker(4);
    story.enqueue(1, Does::Succeed).await;
    story.until_finished(1).await;

    sentinels.failover().await;
    story.enqueue(2, Does::Succeed).await;
    story.until_finished(2).await;

    worker.stop().await;
}

#[tokio::test]
async fn an_old_primary_that_refuses_writes_without_its_replicas_is_left_for_the_new_one() {
    let group = RedisSentinel::trio().await;
    let story = Story::at(&known_to(&group)).await;
    story.enqueue(1, Does::Succeed).await;
    let before = group.primary_port().await;

    group.failover().await;
    group.is_alone(before).await;
    let id = story.enqueue(2, Does::Succeed).await;
    group.in_step().await;

    assert_ne!(group.primary_port().await, before);
    assert_eq!(story.state(&id).await, Some(JobState::Ready));
}

#[tokio::test]
async fn a_user_with_the_documented_rights_is_enough() {
    let redis = RedisServer::options().user("worker", "secret", RIGHTS).start().await;
    let url = redis.url_as("worker", "secret");
    let story = Story::at(&url).await;
    let worker = story.worker(4);

    let id = story.enqueue(1, Does::Wait).await;
    story.until_started(1).await;
    let job = story.client.job(QUEUE, id.as_str()).unwrap();
    story.trace.open(1);
    let result: u64 = job.result(Duration::from_secs(10)).await.unwrap();
    story.queue().pause().await.unwrap();
    story.queue().purge(JobState::Completed, |_| {}).await.unwrap();

    assert_eq!(result, 1);
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_wrong_password_is_said_with_the_way_out_and_without_the_password() {
    let redis = RedisServer::options().password("secret").start().await;

    let error = Client::connect(&redis.url_as("default", "wrong-secret")).await.unwrap_err();

    let text = format!("{error} {:?}", std::error::Error::source(&error).map(ToString::to_string));
    assert!(text.contains(&redis.port().to_string()), "{text}");
    assert!(!text.contains("wrong-secret"), "{text}");
}

#[tokio::test]
async fn a_connection_that_breaks_in_the_handshake_is_made_again() {
    for word in ["INFO", "TIME"] {
        let redis = RedisServer::start().await;
        let proxy = Proxy::to(&redis);
        let lost = proxy.lose_request_of(word);

        Client::connect(proxy.url()).await.unwrap();
        lost.await;
    }
}

#[tokio::test]
async fn resp3_works_like_resp2() {
    let redis = RedisServer::start().await;
    let story = Story::at(&format!("{}?protocol=resp3", redis.url().trim_end_matches('/'))).await;
    let worker = story.worker(4);

    let id = story.enqueue(1, Does::Fail(1)).await;
    story.until_state(&id, JobState::Completed).await;

    assert_eq!(story.queue().stats().await.unwrap().completed, 1);
    until("the worker is listed", async || story.client.workers().await.unwrap().len() == 1).await;
    worker.stop().await;
    story.all_adds_up().await;
}

/// The address of a primary that sentinels know.
fn known_to(sentinels: &RedisSentinel) -> String {
    let sentinel = sentinels.url();
    let host = sentinel.trim_start_matches("redis://").trim_end_matches('/');
    format!("redis+sentinel://{host}/{}", sentinels.name())
}

#[tokio::test]
async fn a_blocked_call_that_is_dropped_takes_nothing_from_who_waits_after_it() {
    let story = Story::begin().await;
    let mut first = story.client.redis().dedicated().await.unwrap();
    let mut pop = redis::cmd("BLPOP");
    pop.arg("list").arg(60);
    let blocked = async |count: u64| {
        let clients: String = story.redis.ask(&["INFO", "clients"]).await;
        clients.contains(&format!("blocked_clients:{count}\r"))
    };
    let waits = tokio::spawn(async move { first.command::<()>("BLPOP", &pop, DEADLINE).await });
    until("it is blocked", async || blocked(1).await).await;

    waits.abort();

    until("nobody is blocked", async || blocked(0).await).await;
    let pushed: u64 = story.redis.ask(&["RPUSH", "list", "mine"]).await;
    assert_eq!(pushed, 1);
    let left: u64 = story.redis.ask(&["LLEN", "list"]).await;
    assert_eq!(left, 1);
}

#[tokio::test]
async fn a_call_that_is_not_answered_drops_no_connection_but_its_own() {
    let story = Story::begin().await;
    let redis = story.client.redis().separate(Duration::from_millis(300));
    let ping = redis::cmd("PING");
    redis.command::<()>("PING", &ping).await.unwrap();
    // It keeps the first connection busy for longer than any call may take.
    let block = redis::cmd("BLPOP").arg("list").arg(60).to_owned();
    let mut first = Box::pin(redis.command::<()>("BLPOP", &block));
    let early = tokio::time::timeout(Duration::from_millis(150), &mut first).await;

    let then_another = async {
        let first = first.await;
        redis.command::<()>("PING", &ping).await.unwrap();
        first
    };
    let (first, second) = tokio::join!(then_another, redis.command::<()>("PING", &ping));
    redis.command::<()>("PING", &ping).await.unwrap();

    assert!(early.is_err() && first.is_err() && second.is_err());
    assert_eq!(redis.generation(), 2);
}

#[tokio::test]
async fn a_call_that_waits_while_others_connect_waits_no_longer_than_its_deadline() {
    // Takes connections and answers nothing, so that connecting lasts for the two seconds it may.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://:secret@{}", silent.local_addr().unwrap());
    let redis = ergate_client::Redis::open(&url).unwrap().separate(Duration::from_millis(2500));
    let ping = redis::cmd("PING");
    let call = async || {
        let began = Instant::now();
        redis.command::<()>("PING", &ping).await.unwrap_err();
        began.elapsed()
    };
    // Connects when the time of those who wait is over.
    let last = async {
        let _first = silent.accept().await.unwrap();
        let _second = silent.accept().await.unwrap();
        call().await
    };

    let (.., third, _) = tokio::join!(call(), call(), call(), last);

    assert!(third < Duration::from_millis(3500), "{third:?}");
}

#[tokio::test]
async fn a_connection_of_the_pool_that_has_fallen_silent_is_not_waited_for() {
    let story = Story::begin().await;
    let proxy = Proxy::to(&story.redis);
    let client = Client::connect(proxy.url()).await.unwrap();
    let mut pooled = client.redis().dedicated().await.unwrap();
    pooled.command::<()>("PING", &redis::cmd("PING"), DEADLINE).await.unwrap();
    drop(pooled);

    proxy.stall().await;
    let silent = tokio::time::timeout(DEADLINE, client.redis().dedicated()).await;
    proxy.heal().await;

    assert!(matches!(silent, Ok(Err(ergate::Error::TimedOut { .. }))), "{silent:?}");
    client.redis().dedicated().await.unwrap();
}
