//! Lower numbers run sooner; within a number, who came first.

use ergate::prelude::*;

use crate::story::{
    Act, Does, QUEUE, Story, act,
    by_hand::{Entry, ids},
};

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Urgent;

impl Job for Urgent {
    const NAME: &str = "urgent";
    const QUEUE: &str = QUEUE;
    const PRIORITY: Priority = Priority::Highest;
}

#[tokio::test]
async fn jobs_start_by_priority_and_then_in_the_order_they_came() {
    let story = Story::begin().await;
    for (number, priority) in [(1, 7), (2, 5), (3, 1), (4, 10), (5, 5), (6, 7), (7, 3), (8, 1)] {
        let priority = Priority::new(priority).unwrap();
        story.client.enqueue(act(number, Does::Succeed)).priority(priority).await.unwrap();
    }

    let worker = story.worker(1);
    story.until_finished(8).await;

    assert_eq!(story.trace.started(), [3, 8, 7, 2, 5, 1, 6, 4]);
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn jobs_leased_together_come_in_the_order_of_their_priorities() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    let entries: Vec<_> = (1..=10).rev().map(|n| Entry::new(format!("p{n}")).priority(n)).collect();
    queue.enqueue_all(&entries).await;
    queue.join("w").await;

    let leased = queue.lease("w", 10).await;

    assert_eq!(ids(&leased), ["p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9", "p10"]);
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_job_that_comes_back_is_the_first_of_its_priority() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    for priority in [3, 5, 8] {
        let name = |what: &str| format!("{what}-{priority}");
        queue
            .enqueue_all(&[
                Entry::new(name("first")).priority(priority),
                Entry::new(name("second")).priority(priority),
            ])
            .await;
    }
    queue.join("w").await;

    let leased = queue.lease("w", 6).await;
    let back: Vec<_> = leased.iter().rev().map(|job| job.hand_back()).collect();
    queue.settle("w", &back).await;
    let again = queue.lease("w", 6).await;

    assert_eq!(ids(&again), ["first-3", "second-3", "first-5", "second-5", "first-8", "second-8"]);
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_delayed_job_has_its_priority_once_it_is_due() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.enqueue_all(&[Entry::new("late").priority(2).delay(1000), Entry::new("plain")]).await;
    queue.join("w").await;

    queue.pass(1000);
    let leased = queue.lease("w", 2).await;

    assert_eq!(ids(&leased), ["late", "plain"]);
}

#[tokio::test]
async fn a_job_type_declares_a_priority_and_a_producer_overrules_it() {
    let story = Story::begin().await;

    let declared = story.client.enqueue(Urgent).await.unwrap();
    let overruled = story.client.enqueue(Urgent).priority(Priority::Low).await.unwrap();

    let priority = async |id: &JobId| story.job(id).get().await.unwrap().record.unwrap().priority;
    assert_eq!(priority(&declared.id).await, Priority::Highest);
    assert_eq!(priority(&overruled.id).await, Priority::Low);
    assert_eq!(<Act as Job>::PRIORITY, Priority::Normal);
}
