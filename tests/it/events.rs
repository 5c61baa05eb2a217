//! Events are kept once, delivered once, and start what they trigger once, whoever dies meanwhile.

use std::{collections::BTreeSet, future::IntoFuture};

use ergate::{Error, EventId, prelude::*};
use ergate_shared::{
    event::SHARDS,
    key::{QueueKey, ShardKeys},
    script,
};
use serde_json::json;

use crate::{
    story::{
        Story,
        routing::{EVENT, event_name},
    },
    support::{Proxy, RedisServer, until, until_some},
};

mod future;
mod routers;
mod shards;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Verified {
    user: u64,
}

impl Event for Verified {
    const NAME: &str = EVENT;
    const VERSION: Option<&str> = Some("2");
}

#[tokio::test]
async fn an_event_starts_the_functions_it_triggers() {
    let story = Story::begin().await;
    story.declare("by-name", EVENT, None).await;
    story.declare("by-beginning", "app/*", None).await;
    story.declare("of-another", "app/user.deleted", None).await;
    story.declare("on-condition", EVENT, Some("event.data.user == 8")).await;
    let router = story.router();

    let sent = story.client.send(Verified { user: 7 }).user(json!({"id": 7})).await.unwrap();
    story.until_routed([&sent.id]).await;

    for function in ["by-name", "by-beginning"] {
        let runs = story.runs(function).await;
        assert_eq!(runs.len(), 1, "{function}");
        let event = &runs[0].1.events[0];
        assert_eq!(event.decode::<Verified>().unwrap(), Verified { user: 7 });
        assert_eq!((event.id.clone(), event.v.as_deref()), (sent.id.clone(), Some("2")));
        assert_eq!(event.user, Some(json!({"id": 7})));
    }
    assert!(story.runs("of-another").await.is_empty() && story.runs("on-condition").await.is_empty());
    router.stop().await;
}

#[tokio::test]
async fn an_event_tells_what_it_started() {
    let story = Story::begin().await;
    story.declare("welcome", EVENT, None).await;
    let router = story.router();

    let sent = story.client.send(Verified { user: 7 }).await.unwrap();
    story.until_routed([&sent.id]).await;

    let view = story.client.event(&sent.id).await.unwrap();
    let started = view.started.unwrap();
    assert_eq!(started.runs.len(), 1);
    assert_eq!(started.runs[0].function.as_str(), "welcome");
    assert_eq!(started.runs[0].run, story.runs("welcome").await[0].0);
    let unknown = story.client.event(&EventId::new("nobody").unwrap()).await.unwrap_err();
    assert!(unknown.is_not_found(), "{unknown}");
    router.stop().await;
}

#[tokio::test]
async fn events_sent_before_there_is_a_router_wait_for_one() {
    let story = Story::begin().await;
    story.declare("welcome", EVENT, None).await;
    let mut ids = Vec::new();
    for user in 0..20 {
        ids.push(story.client.send(Verified { user }).await.unwrap().id);
    }

    let router = story.router();
    story.until_routed(&ids).await;

    let users: BTreeSet<u64> = story
        .runs("welcome")
        .await
        .iter()
        .map(|(_, input)| input.events[0].decode::<Verified>().unwrap().user)
        .collect();
    assert_eq!(users, (0..20).collect());
    router.stop().await;
}

#[tokio::test]
async fn a_second_event_with_an_own_id_is_a_duplicate_and_starts_nothing() {
    let story = Story::begin().await;
    story.declare("welcome", EVENT, None).await;
    let router = story.router();

    let first = story.client.send(Verified { user: 1 }).id("user-1").await.unwrap();
    story.until_routed([&first.id]).await;
    let second = story.client.send(Verified { user: 2 }).id("user-1").await.unwrap();
    let marker = story.client.send(Verified { user: 3 }).await.unwrap();
    story.until_routed([&marker.id]).await;

    assert!(!first.duplicate && second.duplicate);
    assert_eq!(second.id.as_str(), "user-1");
    assert_eq!(story.client.event(&first.id).await.unwrap().record.data, json!({"user": 1}));
    assert_eq!(story.runs("welcome").await.len(), 2);
    router.stop().await;
}

#[tokio::test]
async fn an_own_id_is_free_again_after_a_day_if_its_event_was_delivered() {
    let story = Story::begin().await;
    let id = EventId::new("user-1").unwrap();
    let keys = ShardKeys::new(story.client.namespace(), id.shard());
    let now = story.client.redis().now_ms();
    let send = async |key: &str, at: u64| {
        let day = 24 * 60 * 60 * 1000;
        let call = script::EVENT_SEND
            .on_shard(&keys)
            .number(at)
            .number(day)
            .arg(key)
            .arg("user-1")
            .arg(EVENT)
            .arg(format!(r#"{{"id":"user-1","name":"{EVENT}","ts":{at},"data":"{key}"}}"#))
            .arg("");
        let (_, outcomes): (u64, Vec<String>) = story.client.redis().run(&call).await.unwrap();
        outcomes[0].clone()
    };
    let day_later = now + 25 * 60 * 60 * 1000;

    assert_eq!(send("A", now).await, "");
    assert_eq!(send("A", now).await, "", "the same call again");
    assert_eq!(send("B", now + 1).await, "duplicate");
    assert_eq!(send("C", day_later).await, "duplicate", "it was not delivered yet");
    let router = story.router();
    story.until_routed([&id]).await;
    assert_eq!(send("D", day_later).await, "");

    story.until_routed([&id]).await;
    assert_eq!(story.client.event(&id).await.unwrap().record.data, "D");
    router.stop().await;
}

#[tokio::test]
async fn an_event_whose_reply_was_lost_is_kept_once_under_the_same_id() {
    let story = Story::begin().await;
    let proxy = Proxy::to(&story.redis);
    let client = Client::connect(proxy.url()).await.unwrap();
    // From here on the server knows the script.
    client.send_raw("app/other", json!({})).await.unwrap();
    let lost = proxy.lose_reply_of(&script::EVENT_SEND.sha);

    let (receipt, _) = tokio::join!(client.send(Verified { user: 1 }).id("user-1").into_future(), lost);
    let lost = proxy.lose_reply_of(&script::EVENT_SEND.sha);
    let (other, _) = tokio::join!(client.send(Verified { user: 2 }).into_future(), lost);

    assert!(!receipt.unwrap().duplicate);
    let listed = story.client.events().list(None, 10).await.unwrap().items;
    assert_eq!(listed.len(), 3);
    assert_eq!(listed[0].record.id, other.unwrap().id);
}

#[tokio::test]
async fn concurrent_sends_share_round_trips() {
    let story = Story::begin().await;
    story.client.send(Verified { user: 0 }).await.unwrap();
    let before = calls(&story).await;

    let all: Vec<_> =
        (0..1000).map(|user| tokio::spawn(story.client.send(Verified { user }).into_future())).collect();
    let mut ids = BTreeSet::new();
    for one in all {
        ids.insert(one.await.unwrap().unwrap().id);
    }

    assert_eq!(ids.len(), 1000);
    let spent = calls(&story).await - before;
    assert!(spent <= 200, "{spent} calls for 1,000 concurrent sends");
}

async fn calls(story: &Story) -> u64 {
    let stats: String = story.redis.ask(&["INFO", "commandstats"]).await;
    let line = stats.lines().find(|line| line.starts_with("cmdstat_evalsha:")).unwrap().to_owned();
    line.split(['=', ',']).nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_with_the_reason_and_nothing_is_kept() {
    let story = Story::begin().await;
    let client = &story.client;

    let refusals = [
        (client.send_raw("ergate/function.finished", json!({})).await, "one of Ergate's own"),
        (client.send_raw("inngest/x", json!({})).await, "one of Ergate's own"),
        (client.send_raw("a name", json!({})).await, "event name \"a name\" has the character"),
        (client.send_raw(EVENT, json!("x".repeat(524_288))).await, "the limit is 524288"),
        (client.send_raw(EVENT, json!({})).id("an id").await, "event id \"an id\" has white space"),
        (
            client.send_raw(EVENT, json!({})).delay(Duration::from_hours(24 * 366 * 11)).await,
            "over ten years away",
        ),
    ];
    let many = client.send_all((0..5001).map(|user| Verified { user })).await;
    let one_bad = [client.send(Verified { user: 1 }), client.send_raw("a name", json!({}))];
    let one_bad = one_bad.into_iter().collect::<ergate::SendEvents>().await;

    for (refusal, reason) in refusals {
        let refusal = refusal.unwrap_err().to_string();
        assert!(refusal.contains(reason), "{refusal}");
    }
    assert!(many.unwrap_err().to_string().contains("5001 events in one call, the most is 5000"));
    assert!(matches!(one_bad, Err(Error::Contract(_))));
    assert!(client.events().list(None, 10).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn five_thousand_events_go_in_one_call_and_are_listed_newest_first() {
    let story = Story::begin().await;

    let receipts = story.client.send_all((0..5000).map(|user| Verified { user })).await.unwrap();
    story.client.send_raw("app/other", json!({})).await.unwrap();

    let mut listed = Vec::new();
    let mut cursor = None;
    loop {
        let page = story.client.events().list(cursor.as_deref(), 700).await.unwrap();
        listed.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(listed.len(), 5001);
    assert_eq!(listed[0].record.name.as_str(), "app/other");
    let ids: BTreeSet<_> = listed.iter().skip(1).map(|view| view.record.id.clone()).collect();
    assert_eq!(ids, receipts.into_iter().map(|receipt| receipt.id).collect());
    let of_name = story.client.events().name("app/other").unwrap().list(None, 10).await.unwrap();
    assert_eq!(of_name.items.len(), 1);
}

#[tokio::test]
async fn the_list_of_one_name_passes_over_others_page_by_page() {
    let story = Story::begin().await;
    for round in 0..3 {
        story.client.send_raw("app/rare", json!({ "round": round })).await.unwrap();
        story.client.send_all((0..5000).map(|user| Verified { user })).await.unwrap();
    }

    let (mut rounds, mut cursor, mut pages) = (Vec::new(), None, 0);
    loop {
        let events = story.client.events().name("app/rare").unwrap();
        let page = events.list(cursor.as_deref(), 2).await.unwrap();
        rounds.extend(page.items.into_iter().map(|view| view.record.data["round"].clone()));
        cursor = page.next;
        pages += 1;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(rounds, [2, 1, 0]);
    assert!(pages < 20, "{pages} pages");
}

#[tokio::test]
async fn the_history_is_trimmed_and_what_was_not_delivered_is_kept() {
    let story = Story::begin().await;
    let unrouted = story.client.send_all((0..200).map(|user| Verified { user })).await.unwrap();
    assert_eq!(story.client.events().list(None, 1000).await.unwrap().items.len(), 200);
    story.make_events_older(Duration::from_mins(2)).await;

    let router = story.router_keeping(40);
    until("the history is trimmed", async || {
        story.client.events().list(None, 1000).await.unwrap().items.len() <= 40
    })
    .await;

    let mut kept = 0;
    for receipt in &unrouted {
        kept += usize::from(story.client.event(&receipt.id).await.is_ok());
    }
    assert!((20..=40).contains(&kept), "{kept}");
    router.stop().await;
}

#[tokio::test]
async fn an_expression_this_build_cannot_read_leaves_the_event_to_another_router() {
    let story = Story::begin().await;
    story.declare("welcome", EVENT, None).await;
    story.declare("beyond", EVENT, Some("event.data.user >")).await;
    let router = story.router();

    let sent = story.client.send(Verified { user: 7 }).await.unwrap();
    until("the other function is started", async || story.runs("welcome").await.len() == 1).await;
    let marker = story.client.send_raw("app/other", json!({})).await.unwrap();
    story.until_routed([&marker.id]).await;
    assert!(!story.is_routed(&sent.id).await);

    story.declare("beyond", EVENT, Some("event.data.user == 7")).await;
    story.until_routed([&sent.id]).await;

    assert_eq!((story.runs("welcome").await.len(), story.runs("beyond").await.len()), (1, 1));
    router.stop().await;
}

#[tokio::test]
async fn a_function_declared_before_an_event_was_sent_is_started_by_it() {
    let story = Story::begin().await;
    let router = story.router();

    for round in 0..20 {
        let function = format!("round-{round}");
        story.declare(&function, EVENT, None).await;
        let sent = story.client.send(Verified { user: round }).await.unwrap();
        story.until_routed([&sent.id]).await;
        assert!(!story.runs(&function).await.is_empty(), "{function}");
    }
    router.stop().await;
}

#[tokio::test]
async fn a_user_with_the_rights_of_the_readme_may_send_route_and_wait() {
    let rights = "~ergate:* &ergate:* -@all +@connection +@read +@write +@scripting +@transaction +publish +subscribe \
                  +unsubscribe +info +time -keys -flushall -flushdb";
    let redis = RedisServer::options().user("few", "secret", rights).start().await;
    let story = Story::on(redis).await;
    story.declare("welcome", EVENT, None).await;
    let client = Client::connect(&story.redis.url_as("few", "secret")).await.unwrap();
    let router = story.router_on(&client);
    let wait = story.suspended_run("r1").await;
    let until_ms = client.redis().now_ms() + 60_000;
    let any = ergate::Condition::any();
    assert_eq!(client.register_wait(&event_name(), &wait, &any, 0, until_ms).await.unwrap(), None);

    let sent = client.send(Verified { user: 7 }).await.unwrap();
    until("it is routed", async || client.event(&sent.id).await.unwrap().started.is_some()).await;

    assert_eq!(story.runs("welcome").await.len(), 1);
    assert!(story.resolution(&wait).await.is_some());
    assert_eq!(client.events().list(None, 10).await.unwrap().items.len(), 1);
    router.stop().await;
}

#[tokio::test]
async fn names_of_events_that_were_delivered_are_listed() {
    let story = Story::begin().await;
    let router = story.router();

    let sent = story.client.send(Verified { user: 7 }).await.unwrap();
    story.until_routed([&sent.id]).await;

    assert_eq!(story.client.event_names().await.unwrap(), [event_name()]);
    router.stop().await;
}
