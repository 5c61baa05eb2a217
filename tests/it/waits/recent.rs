//! Recent events are kept for waits that look back: how far they look, and how much is kept.

use super::*;

#[tokio::test]
async fn an_event_that_came_before_the_wait_is_found_by_looking_back() {
    let story = Story::begin().await;
    let router = story.router();
    let id = send_and_route(&story, 7).await;
    send_and_route(&story, 8).await;
    let wait = story.suspended_run("r1").await;

    let unindexed = story.wait(&wait, &of(7)).await.unwrap();
    // The field is indexed by now, and what comes is found without looking at the rest.
    let later = send_and_route(&story, 9).await;
    let indexed = story.wait(&wait, &of(9)).await.unwrap();

    assert_eq!((unindexed.id, indexed.id), (id, later));
    assert_eq!(story.waits().await, 0, "nothing is registered");
    router.stop().await;
}

#[tokio::test]
async fn looking_back_ends_where_it_is_told_to() {
    let story = Story::begin().await;
    let router = story.router();
    let id = send_and_route(&story, 7).await;
    let wait = story.suspended_run("r1").await;
    let now = story.client.redis().now_ms();
    let register = async |condition: &Condition, since: u64| {
        story.client.register_wait(&event_name(), &wait, condition, since, now + 60_000).await.unwrap()
    };

    assert_eq!(register(&of(7), now + 1000).await, None, "it came before");
    story.client.withdraw_wait(&event_name(), &wait).await.unwrap();
    assert_eq!(register(&of(7).except(id.clone()), 0).await, None, "it is left out");
    story.client.withdraw_wait(&event_name(), &wait).await.unwrap();
    assert_eq!(register(&of(7), 0).await.map(|event| event.id), Some(id));
    router.stop().await;
}

#[tokio::test]
async fn a_wait_that_looks_back_no_further_than_now_is_not_ended_by_an_event_sent_before() {
    let story = Story::begin().await;
    let id = send(&story, 7).await;
    let wait = story.suspended_run("r1").await;
    let since = story.client.redis().now_ms() + 1000;
    story.client.register_wait(&event_name(), &wait, &of(7), since, since + 60_000).await.unwrap();

    let router = story.router();
    story.until_routed([&id]).await;

    assert_eq!(story.resolution(&wait).await, None);
    assert_eq!(story.waits().await, 1);
    router.stop().await;
}

#[tokio::test]
async fn recent_events_are_kept_up_to_their_bytes() {
    let story = Story::begin().await;
    let keys = story.client.name_keys(&event_name());
    let record = "x".repeat(300);

    for number in 0..5 {
        let call = script::EVENT_ROUTE.on_name(&keys).arg("").number(1000).number(3_600_000).number(1000);
        let call = call.number(100).number(1).arg("user");
        let call = call.arg(format!("e{number}")).arg("0").arg(&record).arg("term");
        let _: (u64, String, redis::Value) = story.client.redis().run(&call).await.unwrap();
    }

    let list = redis::cmd("ZRANGE").arg(&keys.recent).arg(0).arg(-1).to_owned();
    let kept: Vec<String> = story.client.redis().command("ZRANGE", &list).await.unwrap();
    let count = redis::cmd("ZCARD").arg(&keys.seen).to_owned();
    let indexed: usize = story.client.redis().command("ZCARD", &count).await.unwrap();
    assert_eq!((kept, indexed), (vec!["e2".to_owned(), "e3".to_owned(), "e4".to_owned()], 3));
}

#[tokio::test]
async fn recent_events_are_kept_up_to_their_number() {
    let story = Story::begin().await;
    let router = story.router();

    let events = (0..1500).map(|user| story.client.send_raw(EVENT, json!({ "user": user })));
    let receipts = events.collect::<ergate::SendEvents>().await.unwrap();
    let ids: Vec<_> = receipts.into_iter().map(|receipt| receipt.id).collect();
    story.until_routed(&ids).await;

    let keys = story.client.name_keys(&event_name());
    let count = async |verb: &str, key: &str| -> u64 {
        story.client.redis().command("a count", redis::cmd(verb).arg(key)).await.unwrap()
    };
    assert_eq!(count("ZCARD", &keys.recent).await, 1000);
    assert_eq!(count("HLEN", &keys.bodies).await, 1000);
    router.stop().await;
}
