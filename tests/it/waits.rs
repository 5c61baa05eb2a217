//! A run that waits for an event gets it exactly once, however close together the two come.

#[cfg(feature = "cel")]
mod odd;
mod recent;

use std::sync::Arc;

use ergate::{Condition, Delivered, EventId, WaitRef, prelude::*, run::Resolution};
use ergate_shared::script;
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    story::{
        Story,
        routing::{EVENT, event_name},
    },
    support::until,
};

fn of(user: u64) -> Condition {
    Condition::any().on("user", user)
}

async fn send(story: &Story, user: u64) -> EventId {
    story.client.send_raw(EVENT, json!({ "user": user })).await.unwrap().id
}

/// Sends an event and waits until it has been routed.
async fn send_and_route(story: &Story, user: u64) -> EventId {
    let id = send(story, user).await;
    story.until_routed([&id]).await;
    id
}

#[tokio::test]
async fn an_event_resumes_the_runs_that_wait_for_it_and_no_others() {
    let story = Story::begin().await;
    let router = story.router();
    let (first, second, other) =
        (story.suspended_run("r1").await, story.suspended_run("r2").await, story.suspended_run("r3").await);
    assert_eq!(story.wait(&first, &of(7)).await, None);
    assert_eq!(story.wait(&second, &Condition::any()).await, None);
    assert_eq!(story.wait(&other, &of(8)).await, None);

    let id = send_and_route(&story, 7).await;

    for wait in [&first, &second] {
        assert_eq!(story.resolution(wait).await.unwrap()["event"]["id"], id.as_str());
        assert_eq!(story.state_of(wait).await, Some(JobState::Ready));
    }
    assert_eq!(story.resolution(&other).await, None);
    assert_eq!(story.state_of(&other).await, Some(JobState::Scheduled));
    assert_eq!(story.waits().await, 1);
    let started = story.client.event(&id).await.unwrap().started.unwrap();
    assert_eq!(started.resumed_count, 2);
    router.stop().await;
}

/// Each pair of an event and a wait starts at the same moment: the event is found by looking back, or finds the wait.
#[tokio::test]
async fn events_and_waits_that_race_always_meet_exactly_once() {
    const PAIRS: u64 = 200;
    let story = Arc::new(Story::begin().await);
    let router = story.router();
    let mut waits = Vec::new();
    for user in 0..PAIRS {
        waits.push(story.suspended_run(&format!("r{user}")).await);
    }

    let mut tasks = JoinSet::new();
    for user in 0..PAIRS {
        let (first, second, wait) = (Arc::clone(&story), Arc::clone(&story), waits[user as usize].clone());
        tasks.spawn(async move {
            send(&first, user).await;
            None
        });
        tasks.spawn(async move {
            let found = second.wait(&wait, &of(user)).await;
            Some((user, found.is_some()))
        });
    }
    let mut found = std::collections::HashMap::new();
    while let Some(done) = tasks.join_next().await {
        if let Some((user, by_looking_back)) = done.unwrap() {
            found.insert(user, by_looking_back);
        }
    }

    for user in 0..PAIRS {
        let wait = &waits[user as usize];
        if found[&user] {
            continue;
        }
        until(&format!("wait {user} is ended"), async || story.resolution(wait).await.is_some()).await;
    }
    until("no wait is left", async || story.waits().await == 0).await;
    router.stop().await;
    for user in 0..PAIRS {
        let entries = story.entries(&waits[user as usize]).await;
        assert_eq!(entries, if found[&user] { 1 } else { 2 }, "wait {user}");
    }
}

#[tokio::test]
async fn registering_again_changes_nothing_and_a_wait_can_be_withdrawn() {
    let story = Story::begin().await;
    let router = story.router();
    let wait = story.suspended_run("r1").await;

    assert_eq!(story.wait(&wait, &of(7)).await, None);
    assert_eq!(story.wait(&wait, &of(7)).await, None);
    assert_eq!(story.waits().await, 1);
    story.client.withdraw_wait(&event_name(), &wait).await.unwrap();
    story.client.withdraw_wait(&event_name(), &wait).await.unwrap();
    send_and_route(&story, 7).await;

    assert_eq!(story.resolution(&wait).await, None);
    assert_eq!(story.waits().await, 0);
    router.stop().await;
}

#[tokio::test]
async fn a_field_that_nobody_asked_for_before_is_found_by_a_router_that_does_not_know_it() {
    let story = Story::begin().await;
    let router = story.router();
    send_and_route(&story, 1).await;
    let (first, second) = (story.suspended_run("r1").await, story.suspended_run("r2").await);

    story.wait(&first, &of(7)).await;
    send_and_route(&story, 7).await;
    story.wait(&second, &Condition::any().on("order.id", "o-1")).await;
    let sent = story.client.send_raw(EVENT, json!({"order": {"id": "o-1"}})).await.unwrap();
    story.until_routed([&sent.id]).await;

    assert!(story.resolution(&first).await.is_some());
    assert!(story.resolution(&second).await.is_some());
    router.stop().await;
}

#[tokio::test]
async fn of_two_events_the_one_sent_first_ends_the_wait() {
    let story = Story::begin().await;
    let wait = story.suspended_run("r1").await;
    story.wait(&wait, &Condition::any()).await;
    // Both are in one batch, and in one shard, so that their order is known.
    let mut ids = Vec::new();
    let shard = EventId::new("e-0").unwrap().shard();
    for number in (0..100).filter(|n| EventId::new(format!("e-{n}")).unwrap().shard() == shard).take(2) {
        let event = story.client.send_raw(EVENT, json!({})).id(format!("e-{number}"));
        ids.push(event.await.unwrap().id);
    }

    let router = story.router();
    story.until_routed(&ids).await;

    assert_eq!(story.resolution(&wait).await.unwrap()["event"]["id"], ids[0].as_str());
    assert_eq!(story.entries(&wait).await, 2);
    router.stop().await;
}

#[tokio::test]
async fn all_of_many_runs_that_wait_for_one_event_are_resumed() {
    const RUNS: usize = 700;
    let story = Arc::new(Story::begin().await);
    let waits = many_waits(&story, RUNS, |_| of(7)).await;
    assert_eq!(story.waits().await, RUNS as u64);
    // One that takes a second of a busy machine must not be taken for dead.
    let router = story.router_resting();

    let id = send_and_route(&story, 7).await;

    for wait in &waits {
        assert_eq!(story.entries(wait).await, 2, "{wait}");
    }
    assert_eq!(story.waits().await, 0);
    let started = story.client.event(&id).await.unwrap().started.unwrap();
    assert_eq!((started.resumed_count, started.resumed.len()), (700, 100));
    router.stop().await;
}

async fn many_waits(story: &Arc<Story>, count: usize, condition: fn(usize) -> Condition) -> Vec<WaitRef> {
    let mut tasks = JoinSet::new();
    for number in 0..count {
        let story = Arc::clone(story);
        tasks.spawn(async move {
            let wait = story.suspended_run(&format!("r{number}")).await;
            story.wait(&wait, &condition(number)).await;
            wait
        });
        if tasks.len() >= 200 {
            tasks.join_next().await;
        }
    }
    let mut waits = Vec::new();
    while let Some(wait) = tasks.join_next().await {
        waits.push(wait.unwrap());
    }
    (0..count)
        .map(|number| WaitRef { run: JobId::new(format!("r{number}")).unwrap(), ..waits[0].clone() })
        .collect()
}

/// Counted in commands and in what the index answers, since time would depend on the machine.
#[tokio::test]
async fn an_event_costs_the_same_with_ten_waiting_runs_and_with_a_hundred_thousand() {
    let story = Story::begin().await;
    register_strangers(&story, 0..10).await;
    let few = cost_of_an_event(&story, 1).await;

    register_strangers(&story, 10..100_000).await;
    assert_eq!(story.waits().await, 100_000);
    let many = cost_of_an_event(&story, 2).await;

    assert_eq!(few, many, "commands");
}

/// Registers waits of runs that do not exist, as the index does not care: the first as a client does, the others by the same
/// script in pipelines.
async fn register_strangers(story: &Story, numbers: std::ops::Range<u64>) {
    let now = story.client.redis().now_ms();
    let keys = story.client.name_keys(&event_name());
    let wait = |number: u64| WaitRef {
        queue: "fn/waiting".parse().unwrap(),
        run: JobId::new(format!("r{number}")).unwrap(),
        entry: 1,
    };
    let first = numbers.start;
    assert_eq!(story.wait(&wait(first), &of(1_000_000 + first)).await, None);
    for some in (first + 1..numbers.end).collect::<Vec<_>>().chunks(200) {
        let mut pipeline = redis::pipe();
        for number in some {
            let condition = of(1_000_000 + number);
            let (field, term) = condition.indexed();
            let kept =
                format!("{term} {now} {}\n{}", now + 3_600_000, serde_json::to_string(&condition).unwrap());
            let call = script::EVENT_WAIT
                .on_name(&keys)
                .arg("")
                .arg(wait(*number).to_string())
                .arg(field)
                .arg(&term)
                .arg(kept)
                .number(now)
                .number(now + 3_600_000)
                .arg("0")
                .arg("0")
                .number(100);
            pipeline.add_command(call.by_sha()).ignore();
        }
        story.client.redis().pipeline::<()>("waits", &pipeline).await.unwrap();
    }
}

/// The commands that routing one event takes, counted on a router that has warmed up.
async fn cost_of_an_event(story: &Story, user: u64) -> u64 {
    let router = story.router_resting();
    send_and_route(story, user).await;
    let mut costs = Vec::new();
    for _ in 0..5 {
        let before = story.commands().await;
        let id = send(story, user).await;
        // Asked once at the end and not all the time, as asking is counted too.
        let mut polls = 0;
        until("it is routed", async || {
            polls += 1;
            story.is_routed(&id).await
        })
        .await;
        costs.push(story.commands().await - before - 3 * polls);
    }
    router.stop().await;
    *costs.iter().min().unwrap()
}

#[tokio::test]
async fn waits_whose_time_is_over_are_forgotten() {
    let story = Story::begin().await;
    let router = story.router();
    let now = story.client.redis().now_ms();
    for number in 0..80 {
        let wait = WaitRef {
            queue: "fn/waiting".parse().unwrap(),
            run: JobId::new(format!("r{number}")).unwrap(),
            entry: 1,
        };
        let until = if number == 0 { now + 60_000 } else { now + 50 };
        story.client.register_wait(&event_name(), &wait, &of(7 + number), 0, until).await.unwrap();
    }

    until("they are forgotten", async || {
        send_and_route(&story, 1).await;
        story.waits().await == 1
    })
    .await;
    router.stop().await;
}

#[tokio::test]
async fn waits_whose_time_is_over_are_forgotten_when_others_begin_though_no_event_comes() {
    let story = Story::begin().await;
    let now = story.client.redis().now_ms();
    let register = async |number: u64, until: u64| {
        let run = JobId::new(format!("r{number}")).unwrap();
        let wait = WaitRef { queue: "fn/waiting".parse().unwrap(), run, entry: 1 };
        story.client.register_wait(&event_name(), &wait, &of(7), 0, until).await.unwrap();
    };
    register(0, now + 50).await;

    let mut others = 0;
    until("it is forgotten", async || {
        others += 1;
        register(others, now + 60_000).await;
        story.waits().await == others
    })
    .await;
}

#[tokio::test]
async fn what_is_delivered_to_a_run_twice_or_to_none_changes_nothing() {
    let story = Story::begin().await;
    let wait = story.suspended_run("r1").await;
    let deliver = async |run: &str| {
        let run = JobId::new(run).unwrap();
        story.client.deliver(&wait.queue, &run, 1, Resolution::TimedOut).await.unwrap()
    };

    assert_eq!(deliver("r1").await, Delivered::Done);
    assert_eq!(deliver("r1").await, Delivered::Closed);
    assert_eq!(deliver("nobody").await, Delivered::Gone);

    assert_eq!(story.entries(&wait).await, 2);
    let stats = story.client.queue(wait.queue.as_str()).unwrap().stats().await.unwrap();
    assert_eq!((stats.ready, stats.scheduled), (1, 0));
}
