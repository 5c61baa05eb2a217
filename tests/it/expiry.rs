//! Jobs that are of no use after a time.

use ergate::{FailureKind, JobState, prelude::*};

use crate::story::{
    Does, Story, act,
    by_hand::{Entry, ids},
};

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn a_job_not_started_by_its_expiry_is_a_dead_letter_that_says_so() {
    let story = Story::begin().await;
    let receipt = story.client.enqueue(act(1, Does::Succeed)).expires_in(Duration::ZERO).await.unwrap();

    let worker = story.worker(1);
    story.until_state(&receipt.id, JobState::Dead).await;

    let view = story.queue().dead().show(receipt.id.as_str()).await.unwrap();
    let failure = view.failure.unwrap();
    assert_eq!(failure.kind, FailureKind::Expired);
    assert_eq!(failure.message, "not started before its expiry");
    assert_eq!(story.trace.started(), Vec::<u64>::new());
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_job_may_start_until_just_before_its_expiry() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.enqueue_all(&[Entry::new("early").expires_in(1000), Entry::new("late").expires_in(1000)]).await;
    queue.join("w").await;

    queue.pass(999);
    let in_time = queue.lease("w", 1).await;
    queue.pass(1);
    let too_late = queue.lease("w", 1).await;

    assert_eq!(ids(&in_time), ["early"]);
    assert!(too_late.is_empty());
    assert_eq!(queue.state("late").await, Some(JobState::Dead));
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_job_that_has_started_does_not_expire_when_it_is_tried_again() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.enqueue(Entry::new("a").expires_in(1000)).await;
    queue.join("w").await;
    let first = queue.lease("w", 1).await;

    queue.settle("w", &[first[0].retry(5000)]).await;
    queue.pass(5000);
    queue.sweep().await;
    let again = queue.lease("w", 1).await;

    assert_eq!(ids(&again), ["a"]);
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_sweep_buries_what_expired_though_no_worker_came_by() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue
        .enqueue_all(&[
            Entry::new("ready").expires_in(1000),
            Entry::new("ranked").priority(2).expires_in(1000),
            Entry::new("scheduled").delay(60_000).expires_in(1000),
            Entry::new("fresh").expires_in(1001),
        ])
        .await;

    queue.pass(1000);
    let (_, expired) = queue.sweep().await;

    assert_eq!(expired, 3);
    for id in ["ready", "ranked", "scheduled"] {
        assert_eq!(queue.state(id).await, Some(JobState::Dead), "{id}");
    }
    assert_eq!(queue.state("fresh").await, Some(JobState::Ready));
    story.all_adds_up().await;
}

#[tokio::test]
async fn expired_jobs_take_no_place_from_those_behind_them() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    story.queue().set_concurrency(Some(1)).await.unwrap();
    let old: Vec<_> = (0..20).map(|n| Entry::new(format!("old-{n}")).expires_in(1000)).collect();
    queue.enqueue_all(&old).await;
    queue.enqueue(Entry::new("live")).await;
    queue.join("w").await;

    queue.pass(1000);
    let leased = queue.lease("w", 1).await;

    assert_eq!(ids(&leased), ["live"]);
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_job_that_is_put_off_expires_when_the_last_request_says_and_not_before() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    let entry = |id: &str, key: &str| {
        let mut entry = Entry::new(id).unique(ergate::UniqueScope::Started, key).delay(10_000);
        entry.on_conflict = "put_off";
        entry
    };
    queue
        .enqueue_all(&[entry("renewed", "1").expires_in(1000), entry("lasting", "2").expires_in(1000)])
        .await;
    queue.enqueue_all(&[entry("a", "1").expires_in(5000), entry("b", "2")]).await;

    queue.pass(4999);
    let early = queue.sweep().await;
    queue.pass(1);
    let late = queue.sweep().await;

    assert_eq!((early, late), ((0, 0), (0, 1)));
    assert_eq!(queue.state("renewed").await, Some(JobState::Dead));
    assert_eq!(queue.state("lasting").await, Some(JobState::Scheduled));
    story.all_adds_up().await;
}

#[tokio::test]
async fn an_expired_job_that_is_redriven_runs() {
    let story = Story::begin().await;
    let receipt = story.client.enqueue(act(1, Does::Succeed)).expires_in(Duration::ZERO).await.unwrap();
    let worker = story.worker(1);
    story.until_state(&receipt.id, JobState::Dead).await;

    story.queue().dead().redrive(receipt.id.as_str(), None).await.unwrap();
    story.until_state(&receipt.id, JobState::Completed).await;

    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_cancelled_or_removed_job_leaves_no_expiry_behind() {
    let story = Story::begin().await;
    let queue = story.by_hand();
    let cancelled = story.client.enqueue(act(1, Does::Succeed)).expires_in(HOUR).await.unwrap();
    let removed = story.client.enqueue(act(2, Does::Succeed)).expires_in(HOUR).await.unwrap();

    story.job(&cancelled.id).cancel("not needed").await.unwrap();
    story.job(&removed.id).remove().await.unwrap();

    let left: bool = story.redis.ask(&["EXISTS", queue.key(ergate_shared::key::QueueKey::expiring)]).await;
    assert!(!left);
    story.all_adds_up().await;
}
