//! Queues that share a worker's slots.

use crate::{
    story::{Does, Story, act},
    support::until,
};

#[tokio::test]
async fn queues_that_share_slots_each_get_their_share_and_never_more_than_there_are() {
    let story = Story::begin().await;
    for number in 0..20 {
        story.client.enqueue(act(number, Does::Wait)).queue("busy").await.unwrap();
    }
    let worker = story.worker_with(&story.client.clone(), 1, |worker| {
        worker.weighted_queue("busy", 20, 3).weighted_queue("rare", 20, 1).slots(5)
    });
    until("the busy queue has what there is", async || story.trace.started().len() == 5).await;

    for number in 100..104 {
        story.client.enqueue(act(number, Does::Wait)).queue("rare").await.unwrap();
    }
    until("the rare queue waits", async || {
        story.client.queue("rare").unwrap().stats().await.unwrap().ready == 4
    })
    .await;
    for number in 0..20 {
        story.trace.open(number);
    }
    until("the rare queue has had its turn", async || {
        story.trace.started().iter().any(|number| *number >= 100)
    })
    .await;
    for number in 100..104 {
        story.trace.open(number);
    }
    story.until_finished(24).await;

    worker.stop().await;
    for queue in ["busy", "rare"] {
        assert!(story.client.queue(queue).unwrap().stats().await.unwrap().adds_up());
    }
}

#[tokio::test]
async fn queues_that_share_fewer_slots_than_they_are_take_turns() {
    let story = Story::begin().await;
    let queues = ["one", "two", "three"];
    for number in 0..30 {
        let queue = queues[number as usize % 3];
        story.client.enqueue(act(number, Does::Succeed)).queue(queue).await.unwrap();
    }

    let worker = story.worker_with(&story.client.clone(), 1, |worker| {
        queues.iter().fold(worker, |worker, queue| worker.weighted_queue(queue, 5, 1)).slots(1)
    });

    story.until_finished(30).await;
    worker.stop().await;
}
