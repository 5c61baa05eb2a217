//! Functions with versions: a run is in the queue of the version that new runs get, and is looked for there.

use ergate::{FunctionSpec, Queue};
use serde_json::json;

use super::*;

/// Has a second version of `sync` known, and returns its queue; nobody performs its runs.
pub(super) async fn second_version(story: &Story) -> Queue {
    let second = json!({ "name": "sync@2", "version": 2, "triggers": [] });
    let spec: FunctionSpec = serde_json::from_value(second).unwrap();
    story.client.declare(&[spec]).await.unwrap();
    story.client.queue("fn/sync@2").unwrap()
}

#[tokio::test]
async fn a_time_is_passed_over_while_a_run_of_a_later_version_has_not_ended() {
    let story = Story::begin().await;
    let queue = second_version(&story).await;
    let worker = ticking(&story, 1);
    tick(&story).every(OFTEN).function("sync").overlap(Overlap::Skip).await.unwrap();

    until("times are passed over", async || tick(&story).show().await.unwrap().state.counts.skipped >= 3)
        .await;

    let view = tick(&story).show().await.unwrap();
    assert_eq!(view.last().unwrap().queue, *queue.name());
    assert_eq!((view.last_job, view.state.counts.started), (Some(JobState::Ready), 1));
    assert_eq!(queue.stats().await.unwrap().records, 1);
    worker.stop().await;
}

#[tokio::test]
async fn a_run_of_a_later_version_is_cancelled_when_the_next_starts() {
    let story = Story::begin().await;
    let queue = second_version(&story).await;
    let worker = ticking(&story, 1);
    tick(&story).every(OFTEN).function("sync").overlap(Overlap::CancelRunning).await.unwrap();

    until("two were cancelled", async || queue.stats().await.unwrap().cancelled >= 2).await;
    tick(&story).pause().await.unwrap();

    assert_eq!(queue.stats().await.unwrap().ready, 1);
    worker.stop().await;
}

#[tokio::test]
async fn a_run_of_a_later_version_that_was_started_by_hand_is_not_overlapped_either() {
    let story = Story::begin().await;
    let queue = second_version(&story).await;
    tick(&story).every(OFTEN).function("sync").overlap(Overlap::Skip).await.unwrap();
    tick(&story).pause().await.unwrap();

    let receipt = tick(&story).run_now().await.unwrap();
    let view = tick(&story).show().await.unwrap();
    assert_eq!(receipt.queue, *queue.name());
    assert_eq!(view.last().map(|last| (&last.queue, &last.job)), Some((&receipt.queue, &receipt.id)));
    assert_eq!(view.last_job, Some(JobState::Ready));

    let worker = ticking(&story, 1);
    tick(&story).resume().await.unwrap();
    until("times are passed over", async || tick(&story).show().await.unwrap().state.counts.skipped >= 3)
        .await;

    assert_eq!(tick(&story).show().await.unwrap().state.counts.started, 0);
    worker.stop().await;
}
