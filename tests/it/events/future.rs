//! Events whose time is to come.

use super::*;

#[tokio::test]
async fn an_event_of_the_future_is_delivered_then_and_a_sooner_one_before_it() {
    let story = Story::begin().await;
    story.declare("welcome", EVENT, None).await;
    let router = story.router();
    let first = story.client.send(Verified { user: 0 }).await.unwrap();
    story.until_routed([&first.id]).await;

    let late = story.client.send(Verified { user: 2 }).delay(Duration::from_hours(1)).await.unwrap();
    let soon =
        story.client.send(Verified { user: 1 }).delay(Duration::from_millis(300)).id("soon").await.unwrap();
    let due = story.client.event(&soon.id).await.unwrap().record.ts;
    let view = until_some("the sooner one is routed", async || {
        let view = story.client.event(&soon.id).await.unwrap();
        view.started.is_some().then_some(view)
    })
    .await;

    let at = view.started.unwrap().at;
    assert!(at >= due, "{} ms early", due - at);
    assert!(at < due + 250, "{} ms late", at - due);
    assert!(!story.is_routed(&late.id).await);
    assert_eq!(story.runs("welcome").await.len(), 2);
    router.stop().await;
}

#[tokio::test]
async fn what_announces_an_event_of_the_future_is_gone_once_it_was_read() {
    let story = Story::begin().await;
    let router = story.router();
    // Each is sooner than all others, so that each is announced.
    for hours in (1..=20).rev() {
        story.client.send(Verified { user: hours }).delay(Duration::from_hours(hours)).await.unwrap();
    }
    let first = story.client.send(Verified { user: 0 }).await.unwrap();
    story.until_routed([&first.id]).await;

    until("only the event is left in the streams", async || {
        let mut left = 0;
        for shard in 0..SHARDS {
            let mut length = redis::cmd("XLEN");
            length.arg(ShardKeys::new(story.client.namespace(), shard).stream);
            left += story.client.redis().command::<u64>("XLEN", &length).await.unwrap();
        }
        left == 1
    })
    .await;
    router.stop().await;
}
