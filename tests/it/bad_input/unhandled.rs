//! Jobs that no worker has a handler for.

use super::*;

#[derive(Debug, Serialize, Deserialize)]
struct Stranger;

impl Job for Stranger {
    const NAME: &str = "stranger";
    const QUEUE: &str = QUEUE;
}

/// Waits until nobody had a handler for the job this many times.
async fn until_unhandled(story: &Story, id: &JobId, times: u32) {
    until(&format!("nobody had a handler {times} times"), async || {
        let view = story.job(id).get().await.unwrap();
        view.tries.unhandled == times && view.state == JobState::Scheduled
    })
    .await;
}

#[tokio::test]
async fn a_job_without_a_handler_here_is_left_to_a_worker_that_has_one() {
    let story = Story::begin().await;
    let without = story.worker(1);
    let receipt = story.client.enqueue(Stranger).await.unwrap();
    until_unhandled(&story, &receipt.id, 1).await;

    let metrics = Metrics::new();
    let with = Worker::new(story.client.clone(), ())
        .queue(QUEUE, 1)
        .job(async |_: Stranger| Ok("done"))
        .metrics(metrics.clone());
    without.stop().await;
    let with = RunningWorker::start(with, metrics);
    story.job(&receipt.id).promote().await.unwrap();

    let result: String = story.job(&receipt.id).result(Duration::from_secs(15)).await.unwrap();
    assert_eq!(result, "done");
    assert_eq!(story.job(&receipt.id).get().await.unwrap().tries.failures, 0);
    with.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_job_nobody_has_a_handler_for_is_a_dead_letter_after_a_grace() {
    let story = Story::begin().await;
    let worker = story.worker(1);
    let receipt = story.client.enqueue(Stranger).await.unwrap();
    let mut waits = Vec::new();

    for time in 1..=6 {
        until_unhandled(&story, &receipt.id, time).await;
        let view = story.job(&receipt.id).get().await.unwrap();
        let now = story.queue().stats().await.unwrap().now;
        waits.push(view.at.unwrap().saturating_sub(now).div_ceil(1000));
        story.job(&receipt.id).promote().await.unwrap();
    }
    story.until_state(&receipt.id, JobState::Dead).await;

    let grace: u64 = waits.iter().sum();
    assert!((50..=61).contains(&grace), "about a minute: {waits:?}");
    let view = story.job(&receipt.id).get().await.unwrap();
    let failure = view.failure.unwrap();
    assert_eq!(failure.kind, FailureKind::Unhandled);
    assert_eq!(failure.message, "no worker of queue story has a handler for job stranger");
    assert_eq!(view.tries, Tries { unhandled: 6, ..Tries::default() });
    let told = story.trace.dead();
    assert_eq!((told.len(), told[0].name.as_str()), (1, "stranger"));
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_job_without_a_handler_holds_up_nobody() {
    let story = Story::begin().await;
    let worker = story.worker(1);

    for number in 0..5 {
        story.client.enqueue(Stranger).await.unwrap();
        story.enqueue(number, Does::Succeed).await;
    }
    story.until_finished(5).await;

    worker.stop().await;
    story.all_adds_up().await;
}
