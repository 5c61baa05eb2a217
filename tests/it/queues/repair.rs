//! What somebody's hand has damaged in Redis is found and put right.

use ergate::prelude::*;
use ergate_shared::key::QueueKey;

use crate::story::{
    Story,
    by_hand::{Entry, ids, plain},
};

#[tokio::test]
async fn a_record_in_no_state_is_found_and_made_ready() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.enqueue_all(&[Entry::new("a"), Entry::new("urgent").priority(1), Entry::new("b")]).await;
    let _: i64 = story.redis.ask(&["LREM", queue.key(QueueKey::ready), "0", "a"]).await;
    let _: i64 = story.redis.ask(&["ZREM", queue.key(QueueKey::ranked), "urgent"]).await;
    assert!(!story.queue().stats().await.unwrap().adds_up());

    let repairs = ergate::reconcile(&story.queue()).await.unwrap();

    assert_eq!((repairs.records, repairs.total()), (2, 2));
    queue.join("w").await;
    assert_eq!(ids(&queue.lease("w", 5).await), ["urgent", "b", "a"]);
    story.all_adds_up().await;
}

#[tokio::test]
async fn ids_without_a_record_are_found_and_dropped() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.enqueue(Entry::new("real")).await;
    for (verb, key, words) in [
        ("RPUSH", QueueKey::ready, vec!["ghost-1"]),
        ("ZADD", QueueKey::ranked, vec!["1", "ghost-2"]),
        ("ZADD", QueueKey::scheduled, vec!["1", "ghost-3"]),
        ("ZADD", QueueKey::dead, vec!["1", "ghost-4"]),
        ("RPUSH", QueueKey::completed, vec!["ghost-5"]),
        ("RPUSH", QueueKey::cancelled, vec!["ghost-6"]),
    ] {
        let _: i64 = story.redis.ask(&[&[verb, queue.key(key)], words.as_slice()].concat()).await;
    }

    let repairs = ergate::reconcile(&story.queue()).await.unwrap();

    assert_eq!((repairs.unlisted, repairs.total()), (6, 6));
    let stats = story.queue().stats().await.unwrap();
    assert_eq!((stats.records, stats.ready), (1, 1));
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_ghost_in_the_ready_list_holds_nobody_up() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    for n in 0..10 {
        let ghost = format!("ghost-{n}");
        let _: i64 = story.redis.ask(&["RPUSH", queue.key(QueueKey::ready), &ghost]).await;
    }
    queue.enqueue(Entry::new("real")).await;
    queue.join("w").await;

    let mut leased = queue.lease("w", 1).await;
    for _ in 0..10 {
        leased.extend(queue.lease("w", 1).await);
    }

    assert_eq!(ids(&leased), ["real"]);
    story.all_adds_up().await;
}

#[tokio::test]
async fn counts_that_disagree_with_the_leases_are_put_right() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.enqueue_all(&plain(&["a", "b", "c"])).await;
    queue.join("w").await;
    queue.join("x").await;
    queue.lease("w", 2).await;
    let _: i64 = story.redis.ask(&["HSET", queue.key(QueueKey::held), "w", "7", "x", "3"]).await;

    let repairs = ergate::reconcile(&story.queue()).await.unwrap();

    assert_eq!((repairs.holders, repairs.total()), (2, 2));
    assert_eq!(queue.heartbeat("w").await.held, 2);
    story.all_adds_up().await;
}

#[tokio::test]
async fn leases_of_a_worker_that_is_not_there_are_found_and_taken_back() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.enqueue(Entry::new("a")).await;
    queue.join("w").await;
    queue.lease("w", 1).await;
    let _: i64 = story.redis.ask(&["ZREM", queue.key(QueueKey::workers), "w"]).await;
    let _: i64 = story.redis.ask(&["HDEL", queue.key(QueueKey::held), "w"]).await;

    let repairs = ergate::reconcile(&story.queue()).await.unwrap();
    let reaped = queue.reap("w", 3).await;

    assert_eq!(repairs.holders, 1);
    assert_eq!(reaped, ("ok".to_owned(), 1, 0));
    assert_eq!(queue.state("a").await, Some(JobState::Ready));
    story.all_adds_up().await;
}

#[tokio::test]
async fn what_is_in_order_is_not_repaired() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.enqueue_all(&[Entry::new("a"), Entry::new("b").priority(1), Entry::new("c").delay(1000)]).await;
    queue.cancel("a", "why").await;
    queue.enqueue(Entry::new("d")).await;
    queue.join("w").await;
    queue.lease("w", 1).await;
    let before = story.queue().counts().await.unwrap();
    let _: i64 = story.redis.ask(&["RPUSH", queue.key(QueueKey::completed), "ghost"]).await;

    let repairs = ergate::reconcile(&story.queue()).await.unwrap();

    assert_eq!((repairs.unlisted, repairs.total()), (1, 1));
    assert_eq!(story.queue().counts().await.unwrap(), before);
    story.all_adds_up().await;
}

#[tokio::test]
async fn one_worker_a_minute_counts_keys_anew() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.enqueue(Entry::new("a").key("account", "acme")).await;
    queue.join("w").await;
    queue.lease("w", 1).await;
    let damage = async || {
        story.redis.ask::<i64>(&["HSET", queue.key(QueueKey::flow), "account=acme", "7 0 0 0 0"]).await
    };
    let spacing = Duration::from_mins(1);
    let reconcile =
        async || ergate_client::reconcile_beside_others(&story.queue(), spacing).await.unwrap().flow;

    damage().await;
    let first = reconcile().await;
    damage().await;
    let second = reconcile().await;
    let minute_ago = (story.client.redis().now_ms() - 60_001).to_string();
    let stamp = ["HSET", queue.key(QueueKey::meta), "recounted_at", &minute_ago];
    let _: i64 = story.redis.ask(&stamp).await;
    let third = reconcile().await;
    damage().await;
    let in_an_hour = (story.client.redis().now_ms() + 3_600_000).to_string();
    let _: i64 = story.redis.ask(&[&stamp[..3], &[&in_an_hour]].concat()).await;
    let clock_gone_back = reconcile().await;

    assert_eq!((first, second, third, clock_gone_back), (1, 0, 1, 1));
    story.all_adds_up().await;
}
