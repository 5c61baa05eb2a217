//! The ways to reach a Redis: Sentinel, password, a user with few rights, RESP3.

use ergate::prelude::*;

use crate::{
    story::{Does, QUEUE, Story},
    support::{RedisSentinel, RedisServer},
};

/// The rights README.md lists: what a worker and its producers need, and nothing else.
const RIGHTS: &str = "~ergate:* &ergate:* -@all +@connection +@read +@write +@scripting +@transaction +publish +subscribe \
                      +unsubscribe +info +time -keys -flushall -flushdb";

#[tokio::test]
async fn work_goes_on_after_a_failover_that_sentinels_decide() {
    let sentinels = RedisSentinel::start().await;
    let story = Story::at(&format!(
        "redis+sentinel://{}/{}",
        sentinels.url().trim_start_matches("redis://").trim_end_matches('/'),
        sentinels.name()
    ))
    .await;
    let worker = story.worker(4);
    story.enqueue(1, Does::Succeed).await;
    story.until_finished(1).await;

    sentinels.failover().await;
    story.enqueue(2, Does::Succeed).await;
    story.until_finished(2).await;

    worker.stop().await;
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
async fn resp3_works_like_resp2() {
    let redis = RedisServer::start().await;
    let story = Story::at(&format!("{}?protocol=resp3", redis.url().trim_end_matches('/'))).await;
    let worker = story.worker(4);

    let id = story.enqueue(1, Does::Fail(1)).await;
    story.until_state(&id, JobState::Completed).await;

    assert_eq!(story.queue().stats().await.unwrap().completed, 1);
    let worker_process = story.client.workers().await.unwrap();
    assert_eq!(worker_process.len(), 1);
    worker.stop().await;
    story.all_adds_up().await;
}
