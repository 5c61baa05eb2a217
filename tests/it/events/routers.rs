//! Several routers, and those that die.

use ergate::JobId;

use super::*;
use crate::story::routing::RunningRouter;

#[tokio::test]
async fn several_routers_share_the_events_and_leave_nothing_behind() {
    let story = Story::begin().await;
    story.declare("welcome", EVENT, None).await;
    // None is late on a busy machine: ids are kept of what is routed once more.
    let routers = [(); 3].map(|()| story.router_alone_on(&story.client));

    let mut ids = Vec::new();
    for _ in 0..10 {
        let receipts = story.client.send_all((0..200).map(|user| Verified { user })).await.unwrap();
        ids.extend(receipts.into_iter().map(|receipt| receipt.id));
    }
    story.until_routed(&ids).await;
    let keys = story.client.keys(&"fn/welcome".parse().unwrap());
    until("no event is in hand, and no run's id is kept for one", async || {
        let mut count = redis::cmd("ZCARD");
        count.arg(keys.get(QueueKey::routed));
        let mut left: u64 = story.client.redis().command("ZCARD", &count).await.unwrap();
        for shard in 0..SHARDS {
            let stream = ShardKeys::new(story.client.namespace(), shard).stream;
            let mut pending = redis::cmd("XPENDING");
            pending.arg(&stream).arg("router");
            let pending: (u64, Option<String>, Option<String>, redis::Value) =
                story.client.redis().command("XPENDING", &pending).await.unwrap();
            left += pending.0;
        }
        left == 0
    })
    .await;
    for router in routers {
        router.stop().await;
    }

    assert_eq!(story.runs("welcome").await.len(), 2000);
}

/// A router that dies right after each of its calls, with the reply or the request lost, and another that takes over.
#[tokio::test]
async fn what_a_router_left_behind_is_done_by_another_and_nothing_twice() {
    let calls = [
        &*script::EVENT_TEND.sha,
        &script::EVENT_ROUTE.sha,
        &script::JOB_ENQUEUE.sha,
        &script::RUN_DELIVER.sha,
        &script::EVENT_UNWAIT.sha,
        &script::EVENT_FINISH.sha,
    ];

    each_is_lost(&calls, false).await;
}

/// The connection breaks at each call in turn, and the router lives on: it does not wait until another could take over.
#[tokio::test]
async fn what_was_cut_off_is_done_again_by_the_router_itself_and_nothing_twice() {
    let calls = [
        "XREADGROUP",
        &script::EVENT_ROUTE.sha,
        &script::JOB_ENQUEUE.sha,
        &script::RUN_DELIVER.sha,
        &script::EVENT_UNWAIT.sha,
        &script::EVENT_FINISH.sha,
    ];

    each_is_lost(&calls, true).await;
}

/// Loses reply and request of each of these calls, on a stage of its own each: the router dies with it, or `lives_on`.
async fn each_is_lost(calls: &[&'static str], lives_on: bool) {
    let side_by_side = tokio::task::LocalSet::new();
    let mut losses = tokio::task::JoinSet::new();
    for call in calls {
        losses.spawn_local_on(a_call_is_lost(call, true, lives_on), &side_by_side);
        losses.spawn_local_on(a_call_is_lost(call, false, lives_on), &side_by_side);
    }

    side_by_side
        .run_until(async {
            while let Some(loss) = losses.join_next().await {
                loss.unwrap();
            }
        })
        .await;
}

async fn a_call_is_lost(call: &'static str, reply: bool, lives_on: bool) {
    let story = Story::begin().await;
    story.declare("welcome", EVENT, None).await;
    rehearse(&story).await;
    let wait = story.suspended_run("r1").await;
    story.wait(&wait, &ergate::Condition::any().on("user", 7)).await;
    let proxy = Proxy::to(&story.redis);
    let client = Client::connect(proxy.url()).await.unwrap();
    let mut router = if lives_on { story.router_alone_on(&client) } else { story.router_on(&client) };
    let lost = if reply { proxy.lose_reply_of(call) } else { proxy.lose_request_of(call) };

    let sent = story.client.send(Verified { user: 7 }).await.unwrap();
    lost.await;
    if !lives_on {
        router.kill();
        router = story.router();
    }
    story.until_routed([&sent.id]).await;
    router.stop().await;

    let what = format!("{call} (reply: {reply})");
    assert_eq!(story.runs("welcome").await.len(), 2, "{what}");
    assert_eq!(story.entries(&wait).await, 2, "{what}");
    assert_eq!(story.waits().await, 0, "{what}");
    assert_eq!(story.state_of(&wait).await, Some(JobState::Ready), "{what}");
}

#[tokio::test]
async fn ids_of_runs_stay_taken_when_a_router_does_its_own_again_as_its_first_calls_may_come_late() {
    let story = Story::begin().await;
    let (router, _proxy, _) = a_router_does_its_own_again(&story).await;

    router.stop().await;

    assert!(is_taken(&story, &story.runs("welcome").await[1].0).await);
}

#[tokio::test]
async fn what_a_router_was_handed_out_again_is_not_done_once_more_when_its_read_brings_it_too() {
    let story = Story::begin().await;
    let (router, _proxy, event) = a_router_does_its_own_again(&story).await;

    // As if the read under way had been answered before and came late. It is an announcement that ends the read.
    let stream = ShardKeys::new(story.client.namespace(), event.shard()).stream;
    let _: redis::Value = story.redis.ask(&["XGROUP", "SETID", &stream, "router", "0"]).await;
    let _: redis::Value = story.redis.ask(&["XADD", &stream, "*", "due", "0"]).await;
    let next = story.client.send(Verified { user: 8 }).await.unwrap();
    story.until_routed([&next.id]).await;
    router.stop().await;

    assert!(is_taken(&story, &story.runs("welcome").await[1].0).await, "its first calls may come late");
}

/// A router that was cut off before it could acknowledge this event, and has routed it again since.
async fn a_router_does_its_own_again(story: &Story) -> (RunningRouter, Proxy, EventId) {
    story.declare("welcome", EVENT, None).await;
    rehearse(story).await;
    let proxy = Proxy::to(&story.redis);
    let router = story.router_alone_on(&Client::connect(proxy.url()).await.unwrap());
    let lost = proxy.lose_request_of(&script::EVENT_FINISH.sha);
    let sent = story.client.send(Verified { user: 7 }).await.unwrap();
    lost.await;
    story.until_routed([&sent.id]).await;
    (router, proxy, sent.id)
}

/// Whether the id of this run stays taken for the event that started it.
async fn is_taken(story: &Story, run: &JobId) -> bool {
    let mut score = redis::cmd("ZSCORE");
    score.arg(story.client.keys(&"fn/welcome".parse().unwrap()).get(QueueKey::routed)).arg(run.as_str());
    let score: Option<f64> = story.client.redis().command("ZSCORE", &score).await.unwrap();
    score.is_some()
}

/// Has every script run once, so that the server knows it and a trap waits for the next call.
async fn rehearse(story: &Story) {
    let router = story.router();
    let wait = story.suspended_run("r0").await;
    story.wait(&wait, &ergate::Condition::any().on("user", 0)).await;
    let sent = story.client.send(Verified { user: 0 }).await.unwrap();
    story.until_routed([&sent.id]).await;
    router.stop().await;
}

#[tokio::test]
async fn a_run_that_has_ended_and_been_forgotten_is_not_started_again() {
    let story = Story::begin().await;
    story.declare("welcome", EVENT, None).await;
    rehearse(&story).await;
    let proxy = Proxy::to(&story.redis);
    let doomed = story.router_on(&Client::connect(proxy.url()).await.unwrap());
    let lost = proxy.lose_request_of(&script::EVENT_FINISH.sha);

    let sent = story.client.send(Verified { user: 7 }).await.unwrap();
    lost.await;
    doomed.kill();
    let run = story.runs("welcome").await[1].0.clone();
    story.client.job("fn/welcome", run.as_str()).unwrap().remove().await.unwrap();
    let router = story.router();
    story.until_routed([&sent.id]).await;

    assert_eq!(story.runs("welcome").await.len(), 1, "only that of the rehearsal");
    router.stop().await;
}
