//! Stopping in order: deploys cost no work and no attempt.

use ergate::{Order, prelude::*};

use crate::{
    story::{Does, QUEUE, Story},
    support::{until, until_some},
};

#[tokio::test]
async fn a_stopping_worker_leases_no_more_and_lets_running_jobs_finish() {
    let story = Story::begin().await;
    let mut worker = story.worker(4);
    let running = story.enqueue(1, Does::Wait).await;
    story.until_started(1).await;

    worker.begin_to_stop();
    until("it is not ready any more", async || worker.health.last_answer().is_none()).await;
    let waiting = story.enqueue(2, Does::Succeed).await;
    story.trace.open(1);
    worker.stop().await;

    assert_eq!(story.state(&running).await, Some(JobState::Completed));
    assert_eq!(story.state(&waiting).await, Some(JobState::Ready));
    assert_eq!(story.queue().stats().await.unwrap().workers, 0);
    story.all_adds_up().await;
}

#[tokio::test]
async fn what_still_runs_at_the_deadline_is_handed_back_and_costs_no_attempt() {
    let story = Story::begin().await;
    let worker = story
        .worker_with(&story.client.clone(), 4, |worker| worker.shutdown_deadline(Duration::from_millis(50)));
    let id = story.enqueue(1, Does::Wait).await;
    story.until_started(1).await;

    worker.stop().await;

    let view = story.client.job(QUEUE, id.as_str()).unwrap().get().await.unwrap();
    assert_eq!(view.state, JobState::Ready);
    assert_eq!((view.tries.failures, view.tries.crashes, view.tries.interruptions), (0, 0, 1));
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_worker_that_is_dropped_does_nothing_any_more() {
    async fn endless(_: crate::story::Act, State(_kept): State<std::sync::Arc<()>>) -> Result<()> {
        std::future::pending().await
    }
    let story = Story::begin().await;
    let kept = std::sync::Arc::new(());
    let worker = Worker::new(story.client.clone(), std::sync::Arc::clone(&kept)).queue(QUEUE, 4).job(endless);
    let task = tokio::spawn(worker.run_until(std::future::pending()));
    let running = story.enqueue(1, Does::Succeed).await;
    story.until_state(&running, JobState::Leased).await;

    task.abort();

    until("neither loop nor handler is left", async || std::sync::Arc::strong_count(&kept) == 1).await;
    let waiting = story.enqueue(2, Does::Succeed).await;
    assert_eq!(story.state(&waiting).await, Some(JobState::Ready));
}

#[tokio::test]
async fn a_handler_that_listens_is_told_to_end_at_the_deadline() {
    let story = Story::begin().await;
    let worker = story
        .worker_with(&story.client.clone(), 4, |worker| worker.shutdown_deadline(Duration::from_millis(50)));
    let id = story.enqueue(1, Does::Listen).await;
    story.until_started(1).await;

    worker.stop().await;

    assert_eq!(story.trace.told(), [1]);
    assert_eq!(story.state(&id).await, Some(JobState::Ready));
}

#[tokio::test]
async fn a_job_handed_back_runs_before_those_behind_it() {
    let story = Story::begin().await;
    let first = story
        .worker_with(&story.client.clone(), 1, |worker| worker.shutdown_deadline(Duration::from_millis(10)));
    story.enqueue(1, Does::Wait).await;
    story.until_started(1).await;
    story.enqueue(2, Does::Succeed).await;

    first.stop().await;
    story.trace.open(1);
    let second = story.worker(1);
    story.until_finished(2).await;

    assert_eq!(story.trace.finished(), [1, 2]);
    second.stop().await;
}

#[tokio::test]
async fn an_operator_can_quiet_and_stop_a_worker_from_afar() {
    let story = Story::begin().await;
    let worker = story.worker_with(&story.client.clone(), 4, |worker| worker.lease(Duration::from_secs(1)));
    let process =
        until_some("the worker is listed", async || story.client.workers().await.unwrap().pop()).await;

    story.client.order(&process.id, Order::Quiet).await.unwrap();
    until("it is quiet", async || story.client.workers().await.unwrap()[0].phase == "quiet").await;
    until("it is ready as it is", async || worker.health.last_answer() == Some(Duration::ZERO)).await;
    let heartbeat = "ergate_heartbeat_timestamp_seconds{";
    until("nobody waits for heartbeats", async || !worker.metrics.render().unwrap().contains(heartbeat))
        .await;
    let id = story.enqueue(1, Does::Succeed).await;
    story.client.order(&process.id, Order::Stop).await.unwrap();
    until("it has ended", async || worker.is_finished()).await;

    assert_eq!(story.state(&id).await, Some(JobState::Ready));
}

#[tokio::test]
async fn a_worker_hears_orders_within_seconds_however_long_its_lease_is() {
    let story = Story::begin().await;
    let worker = story.worker_with(&story.client.clone(), 4, |worker| worker.lease(Duration::from_secs(600)));
    let process =
        until_some("the worker is listed", async || story.client.workers().await.unwrap().pop()).await;

    story.client.order(&process.id, Order::Stop).await.unwrap();

    until("it has ended", async || worker.is_finished()).await;
}
