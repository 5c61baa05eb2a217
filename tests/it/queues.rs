//! Queues as a whole: paused, drained, purged, repaired.

use ergate::{Error, prelude::*};
use ergate_shared::key::QueueKey;

use crate::{
    story::{
        Does, QUEUE, Story, act,
        by_hand::{ids, plain},
    },
    support::until,
};

mod purge;
mod repair;

#[tokio::test]
async fn a_paused_queue_takes_jobs_and_hands_out_none() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    story.queue().pause().await.unwrap();
    queue.enqueue_all(&plain(&["a", "b"])).await;
    queue.join("w").await;

    let paused = queue.turn("w", 5, &[]).await;
    let stats = story.queue().stats().await.unwrap();
    story.queue().resume().await.unwrap();
    let resumed = queue.turn("w", 5, &[]).await;

    assert_eq!((paused.code.as_str(), paused.leased.len()), ("paused", 0));
    assert!(stats.paused && stats.ready == 2);
    assert_eq!(ids(&resumed.leased), ["a", "b"]);
    assert!(!story.queue().stats().await.unwrap().paused);
}

#[tokio::test]
async fn running_jobs_go_on_while_their_queue_is_paused() {
    let story = Story::begin().await;
    let worker = story.worker(1);
    let running = story.enqueue(1, Does::Wait).await;
    story.until_started(1).await;
    let waiting = story.enqueue(2, Does::Succeed).await;

    story.queue().pause().await.unwrap();
    story.trace.open(1);
    story.until_state(&running, JobState::Completed).await;

    assert_eq!(story.state(&waiting).await, Some(JobState::Ready));
    story.queue().resume().await.unwrap();
    story.until_state(&waiting, JobState::Completed).await;
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn an_idle_worker_goes_on_at_once_when_its_queue_is_resumed() {
    let story = Story::begin().await;
    story.queue().pause().await.unwrap();
    let worker = story.worker(4);
    for number in 0..20 {
        story.enqueue(number, Does::Succeed).await;
    }
    until("the worker has joined", async || story.queue().stats().await.unwrap().workers == 1).await;

    story.queue().resume().await.unwrap();
    let resumed = std::time::Instant::now();
    story.until_finished(20).await;

    assert!(resumed.elapsed() < Duration::from_secs(4), "no heartbeat was waited for");
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn pausing_one_queue_leaves_others_alone() {
    let story = Story::begin().await;
    let worker = story.worker_with(&story.client, 1, |worker| worker.queue("other", 1));
    story.queue().pause().await.unwrap();

    story.enqueue(1, Does::Succeed).await;
    story.client.enqueue(act(2, Does::Succeed)).queue("other").await.unwrap();
    story.until_finished(1).await;

    assert_eq!(story.trace.started(), [2]);
    worker.stop().await;
}

#[tokio::test]
async fn a_drained_queue_runs_nothing_and_keeps_what_waits() {
    let story = Story::begin().await;
    let worker = story.worker(2);
    for number in 0..4 {
        story.enqueue(number, Does::Wait).await;
    }
    until("two run", async || story.trace.started().len() == 2).await;
    let (queue, told) = (story.queue(), std::sync::Arc::new(std::sync::Mutex::new(Vec::new())));

    let drain = tokio::spawn({
        let told = std::sync::Arc::clone(&told);
        async move { queue.drain(Duration::from_secs(15), |running| told.lock().unwrap().push(running)).await }
    });
    until("the drain has looked", async || !told.lock().unwrap().is_empty()).await;
    story.trace.open(0);
    story.trace.open(1);
    drain.await.unwrap().unwrap();

    let stats = story.queue().stats().await.unwrap();
    assert_eq!((stats.leased, stats.ready, stats.completed, stats.paused), (0, 2, 2, true));
    let told = told.lock().unwrap().clone();
    assert_eq!((told.first(), told.last()), (Some(&2), Some(&0)));
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_drain_that_takes_too_long_says_what_still_runs() {
    let story = Story::begin().await;
    let worker = story.worker(1);
    let id = story.enqueue(1, Does::Wait).await;
    story.until_started(1).await;

    let error = story.queue().drain(Duration::from_millis(10), |_| {}).await.unwrap_err();

    assert_eq!(error.to_string(), "queue story still runs 1 jobs after 10ms");
    assert!(story.queue().stats().await.unwrap().paused);
    story.trace.open(1);
    story.until_state(&id, JobState::Completed).await;
    worker.stop().await;
}

#[tokio::test]
async fn a_drain_may_wait_for_ever() {
    let story = Story::begin().await;

    let drained = story.queue().drain(Duration::MAX, |_| {}).await;

    assert!(!matches!(drained, Err(Error::Option(_))), "{drained:?}");
}

#[tokio::test]
async fn a_queue_is_known_once_it_had_a_job_or_a_worker() {
    let story = Story::begin().await;
    assert!(story.client.queues().await.unwrap().is_empty());

    story.client.enqueue(act(1, Does::Succeed)).queue("mail").await.unwrap();
    let worker = story.worker(1);
    until("the worker is heard of", async || story.client.queues().await.unwrap().len() == 2).await;

    let names: Vec<_> = story.client.queues().await.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["mail", QUEUE]);
    worker.stop().await;
}

#[tokio::test]
async fn namespaces_on_one_redis_know_nothing_of_each_other() {
    let story = Story::begin().await;
    let builder = Client::builder().namespace("staging".parse().unwrap());
    let staging = builder.connect(&story.redis.url()).await.unwrap();

    staging.enqueue(act(1, Does::Succeed)).id("same").await.unwrap();
    let receipt = story.client.enqueue(act(2, Does::Succeed)).id("same").await.unwrap();

    assert!(!receipt.duplicate);
    assert_eq!(staging.queue(QUEUE).unwrap().stats().await.unwrap().records, 1);
    let keys: Vec<String> = story.redis.ask(&["KEYS", "*"]).await;
    assert!(keys.iter().all(|key| key.starts_with("staging:") || key.starts_with("ergate:")), "{keys:?}");
}

#[tokio::test]
async fn many_jobs_go_in_with_one_call_up_to_the_documented_size_and_in_several_above() {
    let story = Story::begin().await;
    let calls = async |queue: &str| {
        let producers = story.client.queue(queue).unwrap();
        let producers = producers.keys().get(QueueKey::producers).to_owned();
        let said: Vec<String> = story.redis.ask(&["HVALS", &producers]).await;
        said[0].split(' ').next().unwrap().parse::<u64>().unwrap()
    };
    let enqueue = async |queue: &str, count| {
        let jobs = (0..count).map(|number| act(number, Does::Succeed));
        story.client.enqueue_all(jobs).each(|job| job.queue(queue)).await.unwrap()
    };

    let whole = enqueue("whole", ergate::ATOMIC_BATCH as u64).await;
    let over = enqueue("over", 2 * ergate::ATOMIC_BATCH as u64 + 1).await;

    assert_eq!((whole.len(), calls("whole").await), (1000, 1));
    assert_eq!((over.len(), calls("over").await), (2001, 3));
    let ids: std::collections::BTreeSet<_> = over.iter().map(|receipt| receipt.id.clone()).collect();
    assert_eq!(ids.len(), 2001);
}
