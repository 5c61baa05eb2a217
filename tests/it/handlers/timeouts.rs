//! Attempts that take too long.

use super::*;

#[tokio::test]
async fn an_attempt_that_runs_too_long_is_dropped_and_counts_as_failed() {
    async fn sleep_in(_: Hasty) -> Result<()> {
        std::future::pending().await
    }
    let story = Story::begin().await;
    let worker = run(&story, (), 1, |worker| worker.job(sleep_in));

    let receipt = story.client.enqueue(Hasty::default()).await.unwrap();
    story.until_state(&receipt.id, JobState::Dead).await;

    let view = story.job(&receipt.id).get().await.unwrap();
    let failure = view.failure.unwrap();
    assert_eq!((failure.kind, failure.attempt, view.tries.failures), (FailureKind::Timeout, 2, 2));
    assert_eq!(failure.message, "ran longer than its time-out of 30ms");
    worker.stop().await;
    story.all_adds_up().await;
}

/// Panics when it is dropped, as a blocking client or a runtime does within asynchronous code.
struct Touchy;

impl Drop for Touchy {
    fn drop(&mut self) {
        panic!("it is dropped");
    }
}

#[tokio::test]
async fn an_attempt_that_panics_as_it_is_dropped_counts_as_failed() {
    async fn hold(_: Hasty) -> Result<()> {
        let _touchy = Touchy;
        std::future::pending().await
    }
    let story = Story::begin().await;
    let worker = run(&story, (), 1, |worker| worker.job(hold));

    let receipt = story.client.enqueue(Hasty::default()).await.unwrap();
    story.until_state(&receipt.id, JobState::Dead).await;

    let failure = story.job(&receipt.id).get().await.unwrap().failure.unwrap();
    assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Panic, "panicked: it is dropped"));
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn an_error_that_panics_as_it_is_shown_is_a_failure() {
    #[derive(Debug)]
    struct Unspeakable;
    impl std::error::Error for Unspeakable {}
    impl std::fmt::Display for Unspeakable {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("no words")
        }
    }
    async fn fail(_: Hasty) -> Result<()> {
        Err(Unspeakable.into())
    }
    let story = Story::begin().await;
    let worker = run(&story, (), 1, |worker| worker.job(fail));

    let receipt = story.client.enqueue(Hasty::default()).await.unwrap();
    story.until_state(&receipt.id, JobState::Dead).await;

    assert_eq!(story.job(&receipt.id).get().await.unwrap().failure.unwrap().kind, FailureKind::Panic);
    worker.stop().await;
}

#[tokio::test]
async fn a_producers_time_out_goes_before_the_types() {
    async fn left(_: Hasty, deadline: Deadline) -> Result<u64> {
        Ok(deadline.left().as_secs())
    }
    let story = Story::begin().await;
    let worker = run(&story, (), 1, |worker| worker.job(left));

    let receipt = story.client.enqueue(Hasty::default()).timeout(Duration::from_hours(1)).await.unwrap();

    assert!((3500..3600).contains(&result_of::<u64>(&story, &receipt.id).await));
    worker.stop().await;
}

#[tokio::test]
async fn a_type_without_any_time_out_runs() {
    async fn run_on(job: Patient) -> Result<u64> {
        Ok(job.number)
    }
    let story = Story::begin().await;
    let worker = run(&story, (), 1, |worker| worker.job(run_on));

    let receipt = story.client.enqueue(Patient { number: 7 }).await.unwrap();

    assert_eq!(result_of::<u64>(&story, &receipt.id).await, 7);
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_soft_time_out_lets_a_handler_end_in_order() {
    async fn polite(_: Polite, cancelled: Cancelled) -> Result<&'static str> {
        cancelled.token().cancelled().await;
        assert!(cancelled.is_cancelled() && !cancelled.is_lost());
        Ok("ended in order")
    }
    let story = Story::begin().await;
    let worker = run(&story, (), 1, |worker| worker.job(polite));

    let receipt = story.client.enqueue(Polite::default()).await.unwrap();

    assert_eq!(result_of::<String>(&story, &receipt.id).await, "ended in order");
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_failure_after_a_soft_time_out_is_a_failure() {
    async fn rude(_: Polite, cancelled: Cancelled) -> Result<()> {
        cancelled.wait().await;
        Err(Failure::retry("not done in time"))
    }
    let story = Story::begin().await;
    let worker = run(&story, (), 1, |worker| worker.job(rude));

    let receipt = story.client.enqueue(Polite::default()).await.unwrap();
    story.until_state(&receipt.id, JobState::Dead).await;

    let view = story.job(&receipt.id).get().await.unwrap();
    assert_eq!((view.tries.failures, view.failure.unwrap().message.as_str()), (2, "not done in time"));
    worker.stop().await;
}

#[tokio::test]
async fn a_soft_time_out_that_is_not_heeded_ends_at_the_hard_one() {
    async fn deaf(_: Polite) -> Result<()> {
        std::future::pending().await
    }
    let story = Story::begin().await;
    let worker = run(&story, (), 1, |worker| worker.job(deaf));

    let enqueue = story.client.enqueue(Polite::default()).timeout(Duration::from_millis(80)).retries(0);
    let receipt = enqueue.await.unwrap();
    story.until_state(&receipt.id, JobState::Dead).await;

    assert_eq!(story.job(&receipt.id).get().await.unwrap().failure.unwrap().kind, FailureKind::Timeout);
    worker.stop().await;
}
