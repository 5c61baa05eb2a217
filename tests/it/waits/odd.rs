//! Events for which the condition of a wait is neither true nor false.

use super::*;

fn over(amount: u64) -> Condition {
    Condition::any().when(&format!("async.data.amount > {amount}"), json!({})).unwrap()
}

async fn send_and_route_data(story: &Story, data: serde_json::Value) -> EventId {
    let id = story.client.send_raw(EVENT, data).await.unwrap().id;
    story.until_routed([&id]).await;
    id
}

#[tokio::test]
async fn an_event_that_is_typed_oddly_ends_no_wait_and_keeps_no_other_from_its_end() {
    let story = Story::begin().await;
    let router = story.router();
    let (demanding, other) = (story.suspended_run("r1").await, story.suspended_run("r2").await);
    story.wait(&demanding, &over(100)).await;
    story.wait(&other, &Condition::any()).await;

    let odd = send_and_route_data(&story, json!({ "amount": null })).await;
    assert_eq!(story.resolution(&demanding).await, None);
    assert_eq!(story.resolution(&other).await.unwrap()["event"]["id"], odd.as_str());
    let right = send_and_route_data(&story, json!({ "amount": 101 })).await;

    assert_eq!(story.resolution(&demanding).await.unwrap()["event"]["id"], right.as_str());
    router.stop().await;
}

#[tokio::test]
async fn a_wait_that_looks_back_passes_over_events_that_are_typed_oddly() {
    let story = Story::begin().await;
    let router = story.router();
    send_and_route_data(&story, json!({ "amount": "many" })).await;
    let right = send_and_route_data(&story, json!({ "amount": 101 })).await;
    let wait = story.suspended_run("r1").await;

    let found = story.wait(&wait, &over(100)).await;

    assert_eq!(found.map(|event| event.id), Some(right));
    router.stop().await;
}
