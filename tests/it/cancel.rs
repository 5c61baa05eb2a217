//! Jobs that are not wanted any more, waiting or running.

use ergate::{CancelRequest, Error, prelude::*};

use crate::story::{
    Does, QUEUE, Story, act,
    by_hand::{Entry, ids, plain},
};

#[tokio::test]
async fn a_waiting_job_that_is_cancelled_never_runs_and_keeps_the_reason() {
    let story = Story::begin().await;
    let ready = story.enqueue(1, Does::Succeed).await;
    let delayed =
        story.client.enqueue(act(2, Does::Succeed)).delay(Duration::from_hours(1)).await.unwrap().id;
    let ranked = story.client.enqueue(act(3, Does::Succeed)).priority(Priority::High).await.unwrap().id;
    story.enqueue(4, Does::Succeed).await;

    for id in [&ready, &delayed, &ranked] {
        assert_eq!(story.job(id).cancel("not needed").await.unwrap(), CancelRequest::Done);
    }
    let worker = story.worker(4);
    story.until_finished(1).await;

    assert_eq!(story.trace.started(), [4]);
    for id in [&ready, &delayed, &ranked] {
        let view = story.job(id).get().await.unwrap();
        assert_eq!((view.state, view.outcome.unwrap().detail.as_str()), (JobState::Cancelled, "not needed"));
    }
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_running_job_is_told_to_end_and_is_cancelled_then() {
    let story = Story::begin().await;
    let worker = story.worker(1);
    let id = story.enqueue(1, Does::Listen).await;
    story.until_started(1).await;

    let request = story.job(&id).cancel("not needed").await.unwrap();
    story.until_state(&id, JobState::Cancelled).await;

    assert_eq!(request, CancelRequest::Asked);
    assert_eq!(story.trace.told(), [1]);
    assert_eq!(story.trace.started(), [1]);
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_handler_that_does_not_listen_is_dropped_a_few_seconds_later() {
    let story = Story::begin().await;
    let worker = story.worker(1);
    let id = story.enqueue(1, Does::Wait).await;
    story.until_started(1).await;

    story.job(&id).cancel("not needed").await.unwrap();
    story.until_state(&id, JobState::Cancelled).await;

    assert_eq!(story.trace.finished(), Vec::<u64>::new());
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_job_that_completes_in_spite_of_being_cancelled_has_completed() {
    let story = Story::begin().await;
    let worker = story.worker(1);
    let id = story.enqueue(1, Does::Wait).await;
    story.until_started(1).await;

    story.job(&id).cancel("not needed").await.unwrap();
    story.trace.open(1);
    let view = story.job(&id).ended(Duration::from_secs(10)).await.unwrap();

    assert_eq!(view.state, JobState::Completed);
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn only_the_worker_that_runs_a_job_is_told_to_cancel_it() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.enqueue_all(&plain(&["a", "b"])).await;
    queue.join("one").await;
    queue.join("other").await;
    queue.lease("one", 1).await;
    queue.lease("other", 1).await;

    assert_eq!(queue.cancel("a", "why").await, "asked");

    assert_eq!(queue.heartbeat("other").await.cancelled, Vec::<String>::new());
    assert_eq!(queue.heartbeat("one").await.cancelled, ["a"]);
    assert_eq!(queue.heartbeat("one").await.cancelled, ["a"], "a lost reply must not lose it");
}

#[tokio::test]
async fn a_cancellation_is_not_told_to_a_later_lease_of_the_same_job() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.enqueue(Entry::new("a")).await;
    queue.join("w").await;
    let leased = queue.lease("w", 1).await;
    queue.cancel("a", "why").await;

    queue.settle("w", &[leased[0].complete("1")]).await;
    queue.retry("a").await;
    let again = queue.lease("w", 1).await;

    assert_eq!(ids(&again), ["a"]);
    assert_eq!(queue.heartbeat("w").await.cancelled, Vec::<String>::new());
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_job_asked_to_end_is_not_tried_again_when_its_attempt_fails_instead() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.enqueue(Entry::new("a")).await;
    queue.join("w").await;
    let leased = queue.lease("w", 1).await;
    assert_eq!(queue.cancel("a", "not needed").await, "asked");

    queue.settle("w", &[leased[0].retry(1000)]).await;

    assert_eq!(queue.state("a").await, Some(JobState::Cancelled));
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_job_asked_to_end_is_not_run_again_when_its_worker_dies_instead() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.enqueue(Entry::new("a")).await;
    queue.join("w").await;
    queue.lease("w", 1).await;
    assert_eq!(queue.cancel("a", "not needed").await, "asked");

    queue.pass(60_000);
    queue.reap("w", 3).await;

    assert_eq!(queue.state("a").await, Some(JobState::Cancelled));
    story.all_adds_up().await;
}

#[tokio::test]
async fn cancelling_twice_changes_nothing() {
    let story = Story::begin().await;
    let id = story.enqueue(1, Does::Succeed).await;

    story.job(&id).cancel("first").await.unwrap();
    let error = story.job(&id).cancel("second").await.unwrap_err();

    assert!(matches!(error, Error::WrongState { state: JobState::Cancelled, .. }), "{error}");
    assert_eq!(error.to_string(), format!("job {id} is cancelled and cannot be cancelled"));
    assert_eq!(story.job(&id).get().await.unwrap().outcome.unwrap().detail, "first");
}

#[tokio::test]
async fn a_job_that_has_ended_or_never_was_cannot_be_cancelled() {
    let story = Story::begin().await;
    let worker = story.worker(2);
    let completed = story.enqueue(1, Does::Succeed).await;
    let dead = story.enqueue(2, Does::FailForGood).await;
    story.until_state(&completed, JobState::Completed).await;
    story.until_state(&dead, JobState::Dead).await;

    for (id, expected) in [(&completed, JobState::Completed), (&dead, JobState::Dead)] {
        let error = story.job(id).cancel("why").await.unwrap_err();
        assert!(matches!(error, Error::WrongState { state, .. } if state == expected), "{error}");
    }
    let error = story.client.job(QUEUE, "nobody").unwrap().cancel("why").await.unwrap_err();
    assert!(error.is_not_found());
    worker.stop().await;
}

#[tokio::test]
async fn a_cancelled_job_may_be_retried() {
    let story = Story::begin().await;
    let id = story.enqueue(1, Does::Succeed).await;
    story.job(&id).cancel("a mistake").await.unwrap();

    story.job(&id).retry().await.unwrap();
    let worker = story.worker(1);
    story.until_state(&id, JobState::Completed).await;

    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_job_that_is_not_retried_as_another_holds_its_unique_key_is_told_which_key() {
    let story = Story::begin().await;
    let enqueue =
        |number| story.client.enqueue(act(number, Does::Succeed)).unique(Unique::until_finished("org-7"));
    let id = enqueue(1).await.unwrap().id;
    story.job(&id).cancel("a mistake").await.unwrap();
    let holder = enqueue(2).await.unwrap().id;

    let error = story.job(&id).retry().await.unwrap_err();

    assert_eq!(error.to_string(), format!("unique key \"org-7\" of queue story is held by job {holder}"));
}

#[tokio::test]
async fn waiting_for_the_result_of_a_cancelled_job_ends_with_the_reason() {
    let story = Story::begin().await;
    let id = story.enqueue(1, Does::Succeed).await;
    let job = story.job(&id);
    let waiting = tokio::spawn(async move { job.result::<u64>(Duration::from_secs(15)).await });

    story.job(&id).cancel("not needed").await.unwrap();
    let error = waiting.await.unwrap().unwrap_err();

    assert_eq!(error.to_string(), format!("job {id} is cancelled: not needed"));
}

#[tokio::test]
async fn a_handler_may_cancel_its_own_job() {
    let story = Story::begin().await;
    let worker = story.worker(1);

    let id = story.enqueue(1, Does::CancelItself).await;
    let error = story.job(&id).result::<u64>(Duration::from_secs(15)).await.unwrap_err();

    assert!(
        matches!(&error, Error::Ended { state: JobState::Cancelled, reason, .. } if reason == "not needed any more")
    );
    assert_eq!(story.trace.dead().len(), 0);
    worker.stop().await;
    story.all_adds_up().await;
}
