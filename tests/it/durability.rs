//! How safe a job is before its enqueue returns, and what the receipt says of it.

use std::future::IntoFuture;

use ergate::{Durability, Reached, prelude::*};

use crate::{
    story::{Does, Story, act},
    support::{Proxy, RedisServer, until},
};

/// Whether the server can be asked for its append-only file: Redis 7.2, and every Valkey.
fn has_waitaof(client: &Client) -> bool {
    let server = client.server();
    let mut numbers = server.version.split('.').map(|number| number.parse::<u32>().unwrap());
    server.flavour == "valkey" || (numbers.next().unwrap(), numbers.next().unwrap()) >= (7, 2)
}

/// A server, and one that follows it.
async fn primary_and_replica() -> (Story, RedisServer) {
    let options = || RedisServer::options().config("repl-diskless-sync-delay", "0");
    let story = Story::on(options().start().await).await;
    let port = story.redis.port().to_string();
    let replica = options().config("replicaof", &format!("127.0.0.1 {port}")).start().await;
    until("the replica is in step", async || {
        let info: String = story.redis.ask(&["INFO", "replication"]).await;
        info.contains("state=online")
    })
    .await;
    // It may be told so before it has read what it was given, which takes its second.
    until("the replica answers", async || story.redis.ask::<u32>(&["WAIT", "1", "100"]).await == 1).await;
    (story, replica)
}

#[tokio::test]
async fn a_plain_enqueue_promises_memory_only() {
    let story = Story::begin().await;

    let receipt = story.client.enqueue(act(1, Does::Succeed)).await.unwrap();

    assert_eq!(receipt.durability, Reached::Fast);
}

#[tokio::test]
async fn fsync_is_reached_where_the_server_can_say_so_and_not_claimed_elsewhere() {
    let story = Story::on(RedisServer::options().appendonly_always().start().await).await;

    let receipt = story.client.enqueue(act(1, Does::Succeed)).durability(Durability::Fsync).await.unwrap();

    let expected = if has_waitaof(&story.client) { Reached::Fsync } else { Reached::Fast };
    assert_eq!(receipt.durability, expected);
    assert_eq!(story.state(&receipt.id).await, Some(JobState::Ready));
}

#[tokio::test]
async fn fsync_is_not_claimed_without_an_append_only_file() {
    let story = Story::begin().await;

    let receipt = story.client.enqueue(act(1, Does::Succeed)).durability(Durability::Fsync).await.unwrap();

    assert_eq!(receipt.durability, Reached::Fast);
    assert_eq!(story.state(&receipt.id).await, Some(JobState::Ready));
}

#[tokio::test]
async fn a_receipt_says_how_many_replicas_have_the_job() {
    let (story, _replica) = primary_and_replica().await;

    let durability = Durability::Replicated(1);
    let receipt = story.client.enqueue(act(1, Does::Succeed)).durability(durability).await.unwrap();

    assert_eq!(receipt.durability, Reached::Replicated(1));
}

#[tokio::test]
async fn what_a_receipt_calls_replicated_is_on_the_replica() {
    let (mut story, replica) = primary_and_replica().await;
    let durability = Durability::Replicated(1);

    let receipt = story.client.enqueue(act(1, Does::Succeed)).durability(durability).await.unwrap();
    story.redis.kill();

    let jobs = story.queue().keys().get(ergate_shared::key::QueueKey::jobs).to_owned();
    assert!(replica.ask::<bool>(&["HEXISTS", &jobs, receipt.id.as_str()]).await);
}

#[tokio::test]
async fn replicas_that_do_not_exist_are_not_claimed() {
    let story = Story::begin().await;

    let durability = Durability::Replicated(1);
    let receipt = story.client.enqueue(act(1, Does::Succeed)).durability(durability).await.unwrap();

    assert_eq!(receipt.durability, Reached::Fast);
    assert_eq!(story.state(&receipt.id).await, Some(JobState::Ready));
}

#[tokio::test]
async fn every_receipt_of_a_batch_says_what_was_reached() {
    let (story, _replica) = primary_and_replica().await;

    let receipts = story
        .client
        .enqueue_all((0..3).map(|number| act(number, Does::Succeed)))
        .each(|job| job.durability(Durability::Replicated(1)))
        .await
        .unwrap();

    let reached: Vec<_> = receipts.iter().map(|receipt| receipt.durability).collect();
    assert_eq!(reached, [Reached::Replicated(1); 3]);
}

#[tokio::test]
async fn others_do_not_wait_for_one_that_wants_to_be_safe() {
    let story = Story::begin().await;
    let safe = story.client.enqueue(act(1, Does::Succeed)).durability(Durability::Replicated(1));
    let safe = tokio::spawn(std::future::IntoFuture::into_future(safe));
    until("it waits for replicas", async || {
        story.redis.ask::<String>(&["CLIENT", "LIST"]).await.contains("cmd=wait")
    })
    .await;

    story.client.enqueue(act(2, Does::Succeed)).await.unwrap();

    assert!(!safe.is_finished());
    assert_eq!(safe.await.unwrap().unwrap().durability, Reached::Fast);
}

#[tokio::test]
async fn a_job_whose_durability_cannot_be_asked_for_is_enqueued_all_the_same() {
    let (story, _replica) = primary_and_replica().await;
    let proxy = Proxy::to(&story.redis);
    let client = Client::connect(proxy.url()).await.unwrap();
    let lost = proxy.lose_reply_of("WAIT");

    let enqueue = client.enqueue(act(1, Does::Succeed)).durability(Durability::Replicated(1));
    let (receipt, ()) = tokio::join!(enqueue.into_future(), lost);
    let receipt = receipt.unwrap();

    assert_eq!(receipt.durability, Reached::Fast);
    assert_eq!(story.state(&receipt.id).await, Some(JobState::Ready));
}
