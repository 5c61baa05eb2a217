//! How safe a job is before its enqueue returns, and what the receipt says of it.

use std::{
    future::IntoFuture,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
};

use ergate::{Durability, EnqueueAll, Reached, prelude::*};
use ergate_shared::script;
use tokio::net::{TcpListener, TcpStream};

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

/// What the server can say at most of a job that is on its disk.
fn on_disk(client: &Client) -> Reached {
    if has_waitaof(client) { Reached::Fsync } else { Reached::Fast }
}

/// A server, and one that follows it.
async fn primary_and_replica() -> (Story, RedisServer) {
    let options = || RedisServer::options().config("repl-diskless-sync-delay", "0");
    let story = Story::on(options().appendonly_always().start().await).await;
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

    assert_eq!(receipt.durability, on_disk(&story.client));
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
async fn of_jobs_that_are_to_be_safe_in_different_ways_each_is_told_its_own() {
    let (story, _replica) = primary_and_replica().await;
    let job = |number| story.client.enqueue(act(number, Does::Succeed));

    let receipts = [
        job(1).durability(Durability::Replicated(1)),
        job(2).durability(Durability::Fsync),
        job(3),
        job(4).durability(Durability::Replicated(1)),
    ]
    .into_iter()
    .collect::<EnqueueAll>()
    .await
    .unwrap();

    let reached: Vec<_> = receipts.iter().map(|receipt| receipt.durability).collect();
    let replicated = Reached::Replicated(1);
    assert_eq!(reached, [replicated, on_disk(&story.client), Reached::Fast, replicated]);
}

/// An address whose new connections lead to another server once that has taken the first one's place.
struct Address {
    url: String,
    port: Arc<AtomicU16>,
}

impl Address {
    async fn of(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let port = Arc::new(AtomicU16::new(port));
        let now = Arc::clone(&port);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut server = TcpStream::connect(("127.0.0.1", now.load(Ordering::SeqCst))).await.unwrap();
                tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut server).await });
            }
        });
        Self { url, port }
    }

    fn leads_to(&self, server: &RedisServer) {
        self.port.store(server.port(), Ordering::SeqCst);
    }
}

#[tokio::test]
async fn nothing_is_claimed_of_a_job_that_the_primary_of_now_does_not_have() {
    let (story, _replica) = primary_and_replica().await;
    let before = RedisServer::start().await;
    let address = Address::of(before.port()).await;
    let client = Client::connect(&address.url).await.unwrap();
    address.leads_to(&story.redis);

    let receipt = client.enqueue(act(1, Does::Succeed)).durability(Durability::Replicated(1)).await.unwrap();

    assert_eq!(receipt.durability, Reached::Fast);
    assert_eq!(story.state(&receipt.id).await, None);
}

#[tokio::test]
async fn of_a_batch_cut_by_a_failover_only_what_the_new_primary_took_is_called_replicated() {
    let (story, _replica) = primary_and_replica().await;
    let before = RedisServer::start().await;
    let proxy = Proxy::to(&before);
    let port = proxy.url().rsplit(':').next().unwrap().parse().unwrap();
    let address = Address::of(port).await;
    let client = Client::connect(&address.url).await.unwrap();
    client.enqueue(act(0, Does::Succeed)).await.unwrap();
    address.leads_to(&story.redis);
    let (sha, mut calls) = (script::JOB_ENQUEUE.sha.clone(), 0);
    let lost = proxy.lose_request_when(move |arguments| {
        calls += u32::from(arguments.contains(&sha.as_bytes()));
        calls == 2
    });

    let jobs = client
        .enqueue_all((1..=1500).map(|number| act(number, Does::Succeed)))
        .each(|job| job.durability(Durability::Replicated(1)));
    let (receipts, ()) = tokio::join!(jobs.into_future(), lost);

    let receipts = receipts.unwrap();
    let replicated = |receipt: &&ergate::Receipt| receipt.durability == Reached::Replicated(1);
    assert_eq!(receipts[..1000].iter().filter(replicated).count(), 0);
    assert_eq!(receipts[1000..].iter().filter(replicated).count(), 500);
    assert_eq!(story.queue().stats().await.unwrap().ready, 500);
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
