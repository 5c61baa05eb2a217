//! Whatever a worker leaves that others could run, one of them is woken for.

use ergate::prelude::*;
use ergate_shared::key::QueueKey;

use crate::story::{
    Does, Story, act,
    by_hand::{ByHand, Entry, LEASE, plain},
};

async fn nobody_is_woken(queue: &ByHand) {
    let forget = redis::cmd("DEL").arg(queue.key(QueueKey::wake)).to_owned();
    queue.queue().client().redis().command::<()>("DEL", &forget).await.unwrap();
}

async fn somebody_is_woken(queue: &ByHand) -> bool {
    let look = redis::cmd("EXISTS").arg(queue.key(QueueKey::wake)).to_owned();
    queue.queue().client().redis().command("EXISTS", &look).await.unwrap()
}

#[tokio::test]
async fn for_the_first_job_that_is_ready_and_the_first_that_falls_due_and_not_for_those_behind_them() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    let mut woken = Vec::new();
    for entry in [
        Entry::new("ready"),
        Entry::new("behind it"),
        Entry::new("due").delay(2000),
        Entry::new("due later").delay(3000),
        Entry::new("due sooner").delay(1000),
    ] {
        nobody_is_woken(&queue).await;
        queue.enqueue(entry).await;
        woken.push(somebody_is_woken(&queue).await);
    }
    for when in ["+5000", "+500"] {
        nobody_is_woken(&queue).await;
        queue.reschedule("due later", when).await;
        woken.push(somebody_is_woken(&queue).await);
    }

    assert_eq!(woken, [true, false, true, false, true, false, true]);
}

#[tokio::test]
async fn for_what_falls_due_when_the_worker_that_knows_of_it_has_no_slot() {
    let story = Story::begin().await;
    let worker = story.worker(1);
    story.enqueue(1, Does::Wait).await;
    story.until_started(1).await;
    let soon = Duration::from_millis(500);
    let later = story.client.enqueue(act(2, Does::Succeed)).delay(soon).await.unwrap();
    // Something to settle tells the worker, which is full again at once.
    story.enqueue(3, Does::Wait).await;
    story.trace.open(1);
    story.until_started(3).await;

    story.until_state(&later.id, JobState::Ready).await;

    story.trace.open(3);
    story.until_finished(3).await;
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn for_a_job_that_is_put_off_when_it_has_been_for_as_long_as_it_may_be() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    let debounced = |id: &str| Entry {
        on_conflict: "put_off 100",
        ..Entry::new(id).delay(100).unique(ergate::UniqueScope::Started, "key")
    };
    queue.enqueue(debounced("first")).await;
    queue.pass(100);
    nobody_is_woken(&queue).await;

    queue.enqueue(debounced("second")).await;

    assert_eq!(queue.state("first").await, Some(JobState::Ready));
    assert!(somebody_is_woken(&queue).await);
}

#[tokio::test]
async fn by_a_turn_that_asks_for_nothing_and_finds_something_due() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.join("w").await;
    queue.enqueue(Entry::new("later").delay(100)).await;
    queue.pass(100);
    nobody_is_woken(&queue).await;

    queue.turn("w", 0, &[]).await;

    assert_eq!(queue.state("later").await, Some(JobState::Ready));
    assert!(somebody_is_woken(&queue).await);
}

#[tokio::test]
async fn when_a_worker_leaves_that_may_be_the_only_one_to_know_what_falls_due() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.join("w").await;
    queue.enqueue(Entry::new("later").delay(1000)).await;
    nobody_is_woken(&queue).await;

    queue.leave("w").await;

    assert!(somebody_is_woken(&queue).await);
}

#[tokio::test]
async fn for_a_job_behind_thousands_that_were_taken_out_though_there_is_a_limit() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    story.queue().set_concurrency(Some(1)).await.unwrap();
    queue.join("w").await;
    for some in 0..3 {
        queue.enqueue_all(&(0..700).map(|n| Entry::new(format!("{some}-{n}"))).collect::<Vec<_>>()).await;
    }
    story.queue().purge(JobState::Ready, |_| {}).await.unwrap();
    queue.enqueue_all(&plain(&["last"])).await;
    nobody_is_woken(&queue).await;

    let leased = queue.lease("w", 2).await;

    assert!(leased.is_empty(), "so many are not passed over at once");
    assert!(somebody_is_woken(&queue).await);
    assert_eq!(queue.lease("w", 2).await[0].id, "last");
}

#[tokio::test]
async fn for_the_place_under_a_limit_that_a_dead_worker_had_though_its_job_is_dead_too() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    story.queue().set_concurrency(Some(1)).await.unwrap();
    queue.join("w").await;
    queue.enqueue_all(&plain(&["a", "b"])).await;
    queue.lease("w", 1).await;
    nobody_is_woken(&queue).await;
    queue.pass(LEASE);

    assert_eq!(queue.reap("w", 1).await, ("ok".to_owned(), 0, 1));

    assert!(somebody_is_woken(&queue).await);
}
