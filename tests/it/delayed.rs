//! Jobs that wait for a time, and people who change their minds about it.

use ergate::{Error, prelude::*};

use crate::{
    story::{
        Does, QUEUE, Story, act,
        by_hand::{Entry, START, ids},
    },
    support::until,
};

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn a_delayed_job_is_handed_out_once_it_is_due_and_not_before() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.enqueue(Entry::new("a").delay(1000)).await;
    queue.join("w").await;

    queue.pass(999);
    let early = queue.turn("w", 1, &[]).await;
    queue.pass(1);
    let due = queue.turn("w", 1, &[]).await;

    assert!(early.leased.is_empty());
    assert_eq!(early.next, 1);
    assert_eq!(ids(&due.leased), ["a"]);
    story.all_adds_up().await;
}

#[tokio::test]
async fn jobs_due_earlier_run_earlier() {
    let story = Story::begin().await;
    for (number, delay) in [(1, 1500), (2, 1000), (3, 500)] {
        story.client.enqueue(act(number, Does::Succeed)).delay(Duration::from_millis(delay)).await.unwrap();
    }

    let worker = story.worker(4);
    story.until_finished(3).await;

    assert_eq!(story.trace.started(), [3, 2, 1]);
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn jobs_that_fell_due_together_come_in_the_order_of_their_times() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    let entries: Vec<_> = (0..1200).map(|n| Entry::new(format!("{n:04}")).delay(2000 - n)).collect();
    queue.enqueue_all(&entries).await;
    queue.join("w").await;

    queue.pass(2000);
    let mut leased = Vec::new();
    while leased.len() < 1200 {
        let more = queue.lease("w", 300).await;
        assert!(!more.is_empty(), "{} were handed out", leased.len());
        leased.extend(more);
    }

    let expected: Vec<_> = (0..1200).rev().map(|n| format!("{n:04}")).collect();
    assert_eq!(ids(&leased), expected);
    story.all_adds_up().await;
}

#[tokio::test]
async fn an_idle_worker_wakes_when_a_delayed_job_is_due() {
    let story = Story::begin().await;
    let worker = story.worker(1);
    story.enqueue(1, Does::Succeed).await;
    story.until_finished(1).await;

    story.client.enqueue(act(3, Does::Succeed)).delay(HOUR).await.unwrap();
    story.client.enqueue(act(2, Does::Succeed)).delay(Duration::from_millis(40)).await.unwrap();
    story.until_finished(2).await;

    assert_eq!(story.trace.started(), [1, 2]);
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_job_for_a_time_that_is_past_runs_at_once() {
    let story = Story::begin().await;
    let past = jiff::Timestamp::from_second(1).unwrap();

    let receipt = story.client.enqueue(act(1, Does::Succeed)).run_at(past).await.unwrap();

    assert_eq!(story.state(&receipt.id).await, Some(JobState::Ready));
}

#[tokio::test]
async fn a_job_for_a_time_to_come_says_when_it_is_due() {
    let story = Story::begin().await;
    let at = jiff::Timestamp::from_millisecond(2_000_000_000_123).unwrap();

    let receipt = story.client.enqueue(act(1, Does::Succeed)).run_at(at).await.unwrap();

    let view = story.job(&receipt.id).get().await.unwrap();
    assert_eq!((view.state, view.at), (JobState::Scheduled, Some(2_000_000_000_123)));
    assert_eq!(story.queue().stats().await.unwrap().next_due_at, Some(2_000_000_000_123));
}

#[tokio::test]
async fn a_promoted_job_runs_now() {
    let story = Story::begin().await;
    let worker = story.worker(1);
    let receipt = story.client.enqueue(act(1, Does::Succeed)).delay(HOUR).await.unwrap();

    story.job(&receipt.id).promote().await.unwrap();
    story.until_state(&receipt.id, JobState::Completed).await;

    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_ready_job_that_is_rescheduled_waits_for_its_new_time() {
    let story = Story::begin().await;
    let first = story.enqueue(1, Does::Succeed).await;
    story.enqueue(2, Does::Succeed).await;
    let at = jiff::Timestamp::from_millisecond(2_000_000_000_000).unwrap();

    story.job(&first).reschedule(at).await.unwrap();
    let worker = story.worker(1);
    story.until_finished(1).await;

    assert_eq!(story.trace.started(), [2]);
    let view = story.job(&first).get().await.unwrap();
    assert_eq!((view.state, view.at), (JobState::Scheduled, Some(2_000_000_000_000)));
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_job_may_be_postponed_and_promoted_over_and_over() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    for id in ["a", "b"] {
        queue.enqueue(Entry::new(id)).await;
    }
    queue.join("w").await;

    for _ in 0..3 {
        assert_eq!(queue.reschedule("a", "+1000").await, "ok");
        assert_eq!(queue.state("a").await, Some(JobState::Scheduled));
        assert_eq!(queue.reschedule("a", "").await, "ok");
        assert_eq!(queue.state("a").await, Some(JobState::Ready));
    }
    let mut leased = queue.lease("w", 10).await;
    leased.extend(queue.lease("w", 10).await);

    assert_eq!(ids(&leased), ["b", "a"]);
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_job_rescheduled_to_a_time_that_is_past_is_ready() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.enqueue(Entry::new("a").delay(5000)).await;

    let outcome = queue.reschedule("a", &format!("@{}", START - 1)).await;

    assert_eq!(outcome, "ok");
    assert_eq!(queue.state("a").await, Some(JobState::Ready));
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_job_that_runs_or_has_ended_cannot_be_promoted_or_rescheduled() {
    let story = Story::begin().await;
    let worker = story.worker(2);
    let ended = story.enqueue(1, Does::Succeed).await;
    story.until_state(&ended, JobState::Completed).await;
    let runs = story.enqueue(2, Does::Wait).await;
    story.until_started(2).await;

    for (id, expected) in [(&ended, JobState::Completed), (&runs, JobState::Leased)] {
        let promoted = story.job(id).promote().await.unwrap_err();
        let postponed = story.job(id).postpone(HOUR).await.unwrap_err();
        assert!(matches!(promoted, Error::WrongState { state, .. } if state == expected), "{promoted}");
        assert!(matches!(postponed, Error::WrongState { state, .. } if state == expected), "{postponed}");
    }

    story.trace.open(2);
    story.until_state(&runs, JobState::Completed).await;
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn promoting_a_job_that_does_not_exist_says_so() {
    let story = Story::begin().await;

    let error = story.client.job(QUEUE, "nobody").unwrap().promote().await.unwrap_err();

    assert!(error.is_not_found());
    assert_eq!(error.to_string(), "queue story has no job nobody; it may have ended and been trimmed");
}

#[tokio::test]
async fn promoting_wakes_an_idle_worker_however_many_wait() {
    let story = Story::begin().await;
    let (one, other) = (story.worker(1), story.worker(1));
    let mut receipts = Vec::new();
    for number in 0..20 {
        receipts.push(story.client.enqueue(act(number, Does::Succeed)).delay(HOUR).await.unwrap());
    }

    for receipt in &receipts {
        story.job(&receipt.id).promote().await.unwrap();
    }
    until("all are done", async || story.queue().stats().await.unwrap().completed == 20).await;

    one.stop().await;
    other.stop().await;
    story.all_adds_up().await;
}
