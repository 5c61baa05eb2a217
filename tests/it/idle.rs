//! What an idle worker hears at once.

use ergate::prelude::*;
use ergate_shared::key::QueueKey;

use crate::{
    story::{Does, Story, act},
    support::until,
};

const LATE: &str = "late";
/// Well below the five seconds after which it looks by itself, and the ten between heartbeats.
const AT_ONCE: Duration = Duration::from_secs(3);

#[tokio::test]
async fn a_job_in_a_queue_that_was_joined_only_while_it_waited_for_others() {
    let story = Story::begin().await;
    let workers = story.client.keys(&LATE.parse().unwrap()).get(QueueKey::workers).to_owned();
    story.redis.ask::<()>(&["SET", &workers, "nobody can join"]).await;
    let worker = story.worker_with(&story.client.clone(), 1, |worker| worker.queue(LATE, 1));
    // The second one ends a wait, and after it another has just begun.
    for number in 1..=2 {
        story.enqueue(number, Does::Succeed).await;
        story.until_finished(number as usize).await;
    }
    story.redis.ask::<()>(&["DEL", &workers]).await;
    until("the late queue is joined", async || story.redis.ask::<bool>(&["EXISTS", &workers]).await).await;

    story.client.enqueue(act(3, Does::Succeed)).queue(LATE).await.unwrap();

    let heard = tokio::time::timeout(AT_ONCE, story.until_finished(3)).await;
    assert!(heard.is_ok(), "it looked by itself");
    worker.stop().await;
}
