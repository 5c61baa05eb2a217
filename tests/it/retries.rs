//! Failures, and what becomes of a job after each.

use ergate::{FailureKind, Metrics, OnExhausted, Tries, prelude::*};
use ergate_shared::key::QueueKey;

use crate::{
    story::{Does, QUEUE, RunningWorker, Story, act},
    support::until,
};

#[tokio::test]
async fn a_job_that_fails_is_tried_again_until_it_works() {
    let story = Story::begin().await;
    let worker = story.worker(1);

    let id = story.enqueue(1, Does::Fail(2)).await;
    story.until_state(&id, JobState::Completed).await;

    assert_eq!(story.trace.attempts(1), [1, 2, 3]);
    let view = story.job(&id).get().await.unwrap();
    assert_eq!(view.tries, Tries { failures: 2, ..Tries::default() });
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_job_type_has_three_retries_by_default_and_a_producer_may_say_otherwise() {
    let story = Story::begin().await;
    let worker = story.worker(3);

    let default = story.enqueue(1, Does::Fail(99)).await;
    let none = story.client.enqueue(act(2, Does::Fail(99))).retries(0).await.unwrap().id;
    let five = story.client.enqueue(act(3, Does::Fail(99))).retries(5).await.unwrap().id;
    for id in [&default, &none, &five] {
        story.until_state(id, JobState::Dead).await;
    }

    assert_eq!(story.trace.attempts(1).len(), 4);
    assert_eq!(story.trace.attempts(2).len(), 1);
    assert_eq!(story.trace.attempts(3).len(), 6);
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_producers_backoff_goes_before_the_types() {
    let story = Story::begin().await;
    let worker = story.worker(1);
    let backoff = Backoff::fixed(Duration::from_hours(1)).jitter(ergate::Jitter::None);

    let receipt = story.client.enqueue(act(1, Does::Fail(1))).backoff(backoff).await.unwrap();
    story.until_state(&receipt.id, JobState::Scheduled).await;

    let view = story.job(&receipt.id).get().await.unwrap();
    let failed_at = view.failure.unwrap().at;
    let wait = view.at.unwrap() - failed_at;
    assert!((3_600_000 - 1000..=3_600_000 + 20_000).contains(&wait), "{wait} ms after its failure");
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn each_failure_is_kept_until_the_next() {
    let story = Story::begin().await;
    let worker = story.worker(1);
    let backoff = Backoff::fixed(Duration::from_hours(1));
    let receipt = story.client.enqueue(act(1, Does::Fail(9))).backoff(backoff).await.unwrap();
    let job = story.job(&receipt.id);

    let mut failures = Vec::new();
    for attempt in 1..=3 {
        until("it has failed", async || job.get().await.unwrap().tries.failures == attempt).await;
        story.until_state(&receipt.id, JobState::Scheduled).await;
        let failure = job.get().await.unwrap().failure.unwrap();
        failures.push((failure.attempt, failure.message));
        job.promote().await.unwrap();
    }

    let expected: Vec<_> = (1..=3).map(|n| (n, format!("failure {n} of 9"))).collect();
    assert_eq!(failures, expected);
    worker.stop().await;
}

#[tokio::test]
async fn a_panic_is_a_failed_attempt_and_hurts_nobody_else() {
    let story = Story::begin().await;
    let worker = story.worker(2);
    story.enqueue(1, Does::Wait).await;
    story.until_started(1).await;

    let id = story.client.enqueue(act(2, Does::Panic)).retries(1).await.unwrap().id;
    story.until_state(&id, JobState::Dead).await;
    story.trace.open(1);
    story.enqueue(3, Does::Succeed).await;
    story.until_finished(2).await;

    let failure = story.job(&id).get().await.unwrap().failure.unwrap();
    assert_eq!((failure.kind, failure.attempt), (FailureKind::Panic, 2));
    assert_eq!(failure.message, "panicked: job 2 panics");
    assert_eq!(story.trace.attempts(2), [1, 2]);
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_fatal_failure_is_not_tried_again() {
    let story = Story::begin().await;
    let worker = story.worker(1);

    let id = story.enqueue(1, Does::FailForGood).await;
    story.until_state(&id, JobState::Dead).await;

    assert_eq!(story.trace.attempts(1), [1]);
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_snooze_costs_no_attempt() {
    let story = Story::begin().await;
    let worker = story.worker(1);

    let receipt =
        story.client.enqueue(act(1, Does::Snooze(Duration::from_millis(1)))).retries(0).await.unwrap();
    story.until_state(&receipt.id, JobState::Completed).await;

    assert_eq!(story.trace.attempts(1), [1, 1]);
    let view = story.job(&receipt.id).get().await.unwrap();
    assert_eq!(view.tries, Tries { snoozes: 1, ..Tries::default() });
    assert_eq!(view.failure, None);
    worker.stop().await;
    story.all_adds_up().await;
}

/// A job with a way to end for each verdict, whose type declares everything it can.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Verdicts {
    RetryIn(Duration),
    AnyError,
    Succeed,
}

impl Job for Verdicts {
    const NAME: &str = "verdicts";
    const QUEUE: &str = QUEUE;
    const RETRIES: u32 = 1;
    const ON_EXHAUSTED: OnExhausted = OnExhausted::Discard;

    fn backoff() -> Backoff {
        Backoff::none()
    }
}

async fn verdicts(job: Verdicts, log: Log) -> Result<()> {
    match job {
        Verdicts::RetryIn(delay) => {
            "x".parse::<u32>().retry_in(delay)?;
        }
        Verdicts::AnyError => {
            "x".parse::<u32>().context("reading the port").context("starting up")?;
        }
        Verdicts::Succeed => log.line("it worked"),
    }
    Ok(())
}

fn worker_of_verdicts(story: &Story) -> RunningWorker {
    let metrics = Metrics::new();
    let worker = Worker::new(story.client.clone(), ()).queue(QUEUE, 2).job(verdicts).metrics(metrics.clone());
    RunningWorker::start(worker, metrics)
}

#[tokio::test]
async fn a_handler_may_say_itself_when_to_try_again() {
    let story = Story::begin().await;
    let worker = worker_of_verdicts(&story);

    let receipt = story.client.enqueue(Verdicts::RetryIn(Duration::from_hours(2))).await.unwrap();
    story.until_state(&receipt.id, JobState::Scheduled).await;

    let view = story.job(&receipt.id).get().await.unwrap();
    let wait = view.at.unwrap() - view.failure.unwrap().at;
    assert!((7_200_000 - 1000..=7_200_000 + 20_000).contains(&wait), "{wait} ms after its failure");
    assert_eq!(view.tries.failures, 1);
    worker.stop().await;
}

#[tokio::test]
async fn any_error_is_a_failure_that_keeps_its_chain() {
    let story = Story::begin().await;
    let worker = worker_of_verdicts(&story);
    let enqueue = story.client.enqueue(Verdicts::AnyError).on_exhausted(OnExhausted::DeadLetter);

    let receipt = enqueue.await.unwrap();
    story.until_state(&receipt.id, JobState::Dead).await;

    let failure = story.job(&receipt.id).get().await.unwrap().failure.unwrap();
    assert_eq!(failure.message, "starting up");
    assert_eq!(failure.chain, ["reading the port", "invalid digit found in string"]);
    worker.stop().await;
}

#[tokio::test]
async fn an_exhausted_job_may_be_discarded_and_nothing_of_it_is_left() {
    let story = Story::begin().await;
    let worker = worker_of_verdicts(&story);

    let receipt = story.client.enqueue(Verdicts::AnyError).await.unwrap();
    until("it is gone", async || story.state(&receipt.id).await.is_none()).await;

    let queue = story.by_hand();
    for key in [QueueKey::jobs, QueueKey::tries, QueueKey::failures, QueueKey::dead, QueueKey::logs] {
        assert!(!story.redis.ask::<bool>(&["EXISTS", queue.key(key)]).await, "{key:?}");
    }
    assert_eq!(worker.count(r#"ergate_jobs_ended_total{job="verdicts",outcome="discarded""#), 1);
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn an_exhausted_job_may_start_over_later_with_all_its_attempts() {
    let story = Story::begin().await;
    let worker = worker_of_verdicts(&story);
    let later = OnExhausted::RetryLater(Duration::from_hours(1));

    let receipt = story.client.enqueue(Verdicts::AnyError).on_exhausted(later).await.unwrap();
    let job = story.job(&receipt.id);
    until("it is put off", async || job.get().await.unwrap().at.is_some_and(|at| at > 0)).await;
    until("it is out of tries", async || {
        let view = job.get().await.unwrap();
        view.state == JobState::Scheduled && view.tries.failures == 0
    })
    .await;

    let view = job.get().await.unwrap();
    let failure = view.failure.unwrap();
    assert_eq!(failure.attempt, 2);
    assert!(view.at.unwrap() >= failure.at + 3_599_000);
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_fatal_failure_is_a_dead_letter_even_if_the_job_would_start_over() {
    let story = Story::begin().await;
    let worker = story.worker(1);
    let later = OnExhausted::RetryLater(Duration::from_hours(1));

    let enqueue = story.client.enqueue(act(1, Does::FailForGood)).on_exhausted(later);
    let receipt = enqueue.await.unwrap();
    story.until_state(&receipt.id, JobState::Dead).await;

    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn attempts_are_counted_over_workers() {
    let story = Story::begin().await;
    let backoff = Backoff::fixed(Duration::from_hours(1));
    let receipt = story.client.enqueue(act(1, Does::Fail(2))).backoff(backoff).await.unwrap();
    let job = story.job(&receipt.id);

    for attempt in 1..=2 {
        let worker = story.worker(1);
        until("it has failed", async || job.get().await.unwrap().tries.failures == attempt).await;
        worker.stop().await;
        job.promote().await.unwrap();
    }
    let worker = story.worker(1);
    story.until_state(&receipt.id, JobState::Completed).await;

    assert_eq!(story.trace.attempts(1), [1, 2, 3]);
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn attempts_that_are_handed_back_cost_none() {
    let story = Story::begin().await;
    let worker = story.worker_with(&story.client, 1, |worker| worker.shutdown_deadline(Duration::ZERO));
    let id = story.client.enqueue(act(1, Does::Listen)).retries(0).await.unwrap().id;
    story.until_started(1).await;

    worker.stop().await;

    let view = story.job(&id).get().await.unwrap();
    assert_eq!(view.state, JobState::Ready);
    assert_eq!(view.tries, Tries { interruptions: 1, ..Tries::default() });
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_job_that_worked_is_not_marked_by_what_came_before() {
    let story = Story::begin().await;
    let worker = worker_of_verdicts(&story);

    let receipt = story.client.enqueue(Verdicts::Succeed).await.unwrap();
    story.until_state(&receipt.id, JobState::Completed).await;

    let view = story.job(&receipt.id).get().await.unwrap();
    assert_eq!((view.tries, view.failure), (Tries::default(), None));
    let queue = story.by_hand();
    for key in [QueueKey::tries, QueueKey::failures] {
        assert!(!story.redis.ask::<bool>(&["EXISTS", queue.key(key)]).await, "{key:?}");
    }
    worker.stop().await;
}

#[tokio::test]
async fn a_completed_job_may_be_run_once_more() {
    let story = Story::begin().await;
    let worker = story.worker(1);
    let id = story.enqueue(1, Does::Succeed).await;
    story.until_state(&id, JobState::Completed).await;

    story.job(&id).retry().await.unwrap();
    story.until_finished(2).await;
    story.until_state(&id, JobState::Completed).await;

    assert_eq!(story.queue().stats().await.unwrap().completed, 1);
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn only_a_job_that_has_ended_can_be_retried() {
    let story = Story::begin().await;
    let ready = story.enqueue(1, Does::Succeed).await;

    let error = story.job(&ready).retry().await.unwrap_err();

    assert_eq!(error.to_string(), format!("job {ready} is ready and cannot be retried"));
    assert_eq!(story.queue().stats().await.unwrap().ready, 1);
}
