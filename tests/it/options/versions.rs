//! Versions of a function side by side.

use ergate::{FunctionSpec, run::RunState};
use ergate_shared::script;

use super::*;
use crate::support::{DEADLINE, Proxy};

mod children;

async fn first(_: EventRecord, step: Step, State(ledger): State<Ledger>) -> Result<u32> {
    step.run("begin", ledger.record("first began")).await?;
    step.sleep("pause", Duration::from_millis(300)).await;
    Ok(1)
}

async fn second(_: EventRecord, step: Step, State(ledger): State<Ledger>) -> Result<u32> {
    step.run("start", ledger.record("second began")).await?;
    Ok(2)
}

fn one() -> Function<Ledger> {
    Function::new("onboard", first).on(PAID)
}

fn two() -> Function<Ledger> {
    Function::new("onboard", second).on(PAID).version(2).concurrency(5)
}

pub(super) fn spec(version: u32) -> FunctionSpec {
    let name = if version == 1 { "onboard".to_owned() } else { format!("onboard@{version}") };
    serde_json::from_value(json!({"name": name, "version": version, "triggers": [{"event": PAID}]})).unwrap()
}

#[tokio::test]
async fn a_run_stays_with_its_version_and_new_ones_get_the_highest() {
    let story = Story::begin().await;
    let ledger = Ledger::default();
    let old = worker(&story, &ledger, one());
    until_declared(&story, "onboard").await;
    let started_before = run_of(&story, &send(&story, json!({})).await).await;
    until("it sleeps", async || started_before.state().await.unwrap() == RunState::Suspended).await;
    old.stop().await;

    let new = {
        let metrics = Metrics::new();
        let worker = Worker::new(story.client.clone(), ledger.clone()).metrics(metrics.clone());
        RunningWorker::start(worker.function(one()).function(two()), metrics)
    };
    until_declared(&story, "onboard@2").await;
    let started_after = run_of(&story, &send(&story, json!({})).await).await;
    let by_hand = story.client.invoke("onboard", &json!({})).await.unwrap();
    let of_the_first = story
        .client
        .start(
            &"onboard@2".parse().unwrap(),
            &ergate::RunInput::of(
                story.client.event(&send(&story, json!({})).await.id).await.unwrap().record,
            ),
        )
        .await
        .unwrap();

    assert_eq!(started_before.result::<u32>(DEADLINE).await.unwrap(), 1);
    assert_eq!(started_after.result::<u32>(DEADLINE).await.unwrap(), 2);
    assert_eq!(started_after.function().as_str(), "onboard@2");
    assert_eq!((by_hand.queue.as_str(), of_the_first.queue.as_str()), ("fn/onboard@2", "fn/onboard@2"));
    let by_hand = story.client.run("onboard@2", by_hand.id.as_str()).unwrap();
    assert_eq!(by_hand.result::<u32>(DEADLINE).await.unwrap(), 2);
    assert!(
        !story
            .client
            .queue("fn/onboard")
            .unwrap()
            .stats()
            .await
            .unwrap()
            .settings
            .contains_key("concurrency")
    );
    new.stop().await;
}

#[tokio::test]
async fn a_run_of_a_version_that_no_worker_has_waits_for_one() {
    let story = Story::begin().await;
    let ledger = Ledger::default();
    let old = worker(&story, &ledger, one());
    until_declared(&story, "onboard").await;
    let run = run_of(&story, &send(&story, json!({})).await).await;
    until("it sleeps", async || run.state().await.unwrap() == RunState::Suspended).await;
    old.stop().await;

    let new = worker(&story, &ledger, two());
    until_declared(&story, "onboard@2").await;
    run_of(&story, &send(&story, json!({})).await).await.result::<u32>(DEADLINE).await.unwrap();
    assert_eq!(run.state().await.unwrap(), RunState::Suspended);
    let old = worker(&story, &ledger, one());

    assert_eq!(run.result::<u32>(DEADLINE).await.unwrap(), 1);
    assert_eq!(ledger.all().iter().filter(|what| *what == "first began").count(), 1);
    old.stop().await;
    new.stop().await;
}

/// Declares versions at a time that is set.
pub(super) async fn declare_at(story: &Story, now: u64, versions: &[u32]) {
    let mut call =
        script::REGISTRY_DECLARE.on_registry(story.client.registry_keys()).number(now).number(60_000);
    for version in versions {
        let spec = spec(*version);
        call.push(spec.name.as_str());
        call.push(serde_json::to_vec(&spec).unwrap());
    }
    story.client.redis().run::<u64>(&call).await.unwrap();
}

#[tokio::test]
async fn events_go_to_the_version_before_once_nobody_has_the_newest_any_more() {
    let story = Story::begin().await;
    let names = async || -> Vec<String> {
        story.client.functions().await.unwrap().keys().map(ToString::to_string).collect()
    };
    declare_at(&story, 1_000_000, &[1, 2]).await;
    declare_at(&story, 1_059_999, &[1]).await;
    assert_eq!(names().await, ["onboard", "onboard@2"]);
    let router = story.router();
    let before = send(&story, json!({})).await;
    assert_eq!(started(&story, &before).await.runs[0].function.as_str(), "onboard@2");

    declare_at(&story, 1_060_000, &[1]).await;
    assert_eq!(names().await, ["onboard"]);
    let after = send(&story, json!({})).await;
    assert_eq!(started(&story, &after).await.runs[0].function.as_str(), "onboard");

    declare_at(&story, 1_060_001, &[2]).await;
    assert_eq!(names().await, ["onboard", "onboard@2"], "it is back");
    declare_at(&story, 9_000_000, &[]).await;
    assert_eq!(names().await, ["onboard", "onboard@2"], "nobody has any, so events wait for the newest");
    router.stop().await;
}

#[tokio::test]
async fn an_event_that_started_a_run_of_one_version_starts_none_of_a_newer_one() {
    let story = Story::begin().await;
    story.client.declare(&[spec(1)]).await.unwrap();
    let rehearsal = story.router();
    started(&story, &send(&story, json!({})).await).await;
    rehearsal.stop().await;
    let proxy = Proxy::to(&story.redis);
    let doomed = story.router_on(&ergate::Client::connect(proxy.url()).await.unwrap());
    let lost = proxy.lose_request_of(&script::EVENT_FINISH.sha);

    let event = send(&story, json!({})).await;
    lost.await;
    doomed.kill();
    story.client.declare(&[spec(1), spec(2)]).await.unwrap();
    let router = story.router();

    let runs = started(&story, &event).await.runs;
    assert_eq!((runs.len(), runs[0].function.as_str()), (1, "onboard"));
    assert_eq!(story.runs("onboard").await.len(), 2);
    assert_eq!(story.client.queue("fn/onboard@2").unwrap().stats().await.unwrap().records, 0);
    router.stop().await;
}

#[tokio::test]
async fn a_version_is_said_by_its_number_and_not_in_the_name() {
    let story = Story::begin().await;
    let worker = Worker::new(story.client.clone(), Ledger::default())
        .function(Function::new("onboard@2", second))
        .function(Function::new("other", second).version(0));

    let error = worker.run_until(std::future::pending()).await.unwrap_err().to_string();

    assert!(error.contains("has an @") && error.contains("has version 0"), "{error}");
}
