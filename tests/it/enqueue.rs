//! Jobs go in, and come out once.

use std::{collections::BTreeSet, future::IntoFuture};

use ergate::{Metrics, prelude::*};
use ergate_shared::key::QueueKey;

use crate::story::{Does, QUEUE, Story, act};

#[tokio::test]
async fn an_enqueued_job_runs_and_its_result_is_kept() {
    let story = Story::begin().await;
    let worker = story.worker(4);

    let receipt = story.client.enqueue(act(7, Does::Succeed)).await.unwrap();

    let result: u64 = receipt.job(&story.client).result(Duration::from_secs(10)).await.unwrap();
    assert_eq!(result, 7);
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn jobs_of_a_queue_start_in_the_order_they_came() {
    let story = Story::begin().await;
    for number in 0..20 {
        story.enqueue(number, Does::Succeed).await;
    }

    let worker = story.worker(1);
    story.until_finished(20).await;

    assert_eq!(story.trace.started(), (0..20).collect::<Vec<_>>());
    worker.stop().await;
}

#[tokio::test]
async fn concurrent_enqueues_share_round_trips() {
    let story = Story::begin().await;
    story.enqueue(0, Does::Succeed).await;
    let calls = async || {
        let stats: String = story.redis.ask(&["INFO", "commandstats"]).await;
        let line = stats.lines().find(|line| line.starts_with("cmdstat_evalsha:")).unwrap().to_owned();
        line.split(['=', ',']).nth(1).unwrap().parse::<u64>().unwrap()
    };
    let before = calls().await;

    let all: Vec<_> = (0..1000)
        .map(|number| {
            tokio::spawn(std::future::IntoFuture::into_future(
                story.client.enqueue(act(number, Does::Succeed)),
            ))
        })
        .collect();
    let mut ids = BTreeSet::new();
    for one in all {
        ids.insert(one.await.unwrap().unwrap().id);
    }

    assert_eq!(ids.len(), 1000);
    let spent = calls().await - before;
    assert!(spent <= 200, "{spent} calls for 1,000 concurrent enqueues");
}

#[tokio::test]
async fn enqueue_all_returns_every_id_in_order_and_runs_every_job() {
    let story = Story::begin().await;

    let receipts =
        story.client.enqueue_all((0..2500).map(|number| act(number, Does::Succeed))).await.unwrap();
    let worker = story.worker(50);
    story.until_finished(2500).await;

    let ids: Vec<_> = receipts.iter().map(|receipt| receipt.id.clone()).collect();
    assert!(ids.is_sorted());
    let mut finished = story.trace.finished();
    finished.sort_unstable();
    assert_eq!(finished, (0..2500).collect::<Vec<_>>());
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn thousands_of_jobs_stand_in_the_order_in_which_they_were_given() {
    let story = Story::begin().await;
    let client = story.client.clone();

    let jobs = (0..4000).map(|number| act(number, Does::Succeed));
    let receipts = tokio::spawn(client.enqueue_all(jobs).into_future()).await.unwrap().unwrap();

    let read = redis::cmd("LRANGE").arg(story.by_hand().key(QueueKey::ready)).arg(0).arg(-1).to_owned();
    let ready: Vec<String> = story.client.redis().command("LRANGE", &read).await.unwrap();
    assert_eq!(ready, receipts.into_iter().map(|receipt| receipt.id.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_several_clients_of_a_process_enqueue_is_counted_together() {
    let story = Story::begin().await;
    let namespace = story.client.namespace().clone();
    let url = std::env::var("ERGATE_TEST_URL").unwrap_or_else(|_| story.redis.url());
    let other = Client::builder().namespace(namespace).connect(&url).await.unwrap();
    let metrics = Metrics::new();
    let workers = [&story.client, &other]
        .map(|client| story.worker_with(client, 4, |worker| worker.metrics(metrics.clone())));

    story.client.enqueue_all((0..3).map(|number| act(number, Does::Succeed))).await.unwrap();
    other.enqueue_all((3..5).map(|number| act(number, Does::Succeed))).await.unwrap();
    story.until_finished(5).await;

    for _ in 0..2 {
        let text = metrics.render().unwrap();
        assert!(text.contains("ergate_jobs_enqueued_total{queue=\"story\"} 5"), "{text}");
    }
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test]
async fn a_job_with_an_id_that_is_there_is_not_enqueued_again() {
    let story = Story::begin().await;

    let first = story.client.enqueue(act(1, Does::Succeed)).id("invoice-7").await.unwrap();
    let second = story.client.enqueue(act(2, Does::Succeed)).id("invoice-7").await.unwrap();

    assert!(!first.duplicate);
    assert!(second.duplicate);
    assert_eq!(second.id.as_str(), "invoice-7");
    assert_eq!(story.queue().stats().await.unwrap().ready, 1);
}

#[tokio::test]
async fn a_job_type_can_be_put_into_another_queue() {
    let story = Story::begin().await;

    let receipt = story.client.enqueue(act(1, Does::Succeed)).queue("elsewhere").await.unwrap();

    assert_eq!(receipt.queue.as_str(), "elsewhere");
    assert_eq!(story.client.queue("elsewhere").unwrap().stats().await.unwrap().ready, 1);
    assert_eq!(story.client.queue(QUEUE).unwrap().stats().await.unwrap().ready, 0);
}
