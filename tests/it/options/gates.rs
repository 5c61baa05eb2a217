//! What the start of a run does to those that are there: puts them off, joins them, gives way to them, ends them.

use ergate::{Batch, EventId, JobRecord, RunInput, SingletonMode, UniqueScope};
use ergate_shared::{key::QueueKey, script};

use super::*;
use crate::{
    story::by_hand::{ByHand, Entry, ids},
    support::{DEADLINE, Proxy},
};

mod joining;

// by hand: the scripts, at a time that is set

/// A run with one event, as a client writes it.
fn with_event(id: &str, rule: &str) -> Entry {
    let event = format!(r#"{{"id":"{id}","name":"x/y","data":"ä","ts":1}}"#);
    let mut entry =
        Entry::new(id).routed().delay(1000).rule(&rule.replace("LENGTH", &event.len().to_string()));
    entry.payload = format!(r#"{{"version":1,"events":[{event}]}}"#).into_bytes();
    entry
}

fn joins(id: &str) -> Entry {
    with_event(id, "batch 3 LENGTH @batch=all")
}

fn events_of(record: &[u8]) -> Vec<String> {
    let input: RunInput = serde_json::from_slice(&JobRecord::decode(record).unwrap().payload).unwrap();
    input.events.into_iter().map(|event| event.id.to_string()).collect()
}

async fn on_a_queue() -> (Story, ByHand) {
    let story = Story::begin().await;
    let queue = story.by_hand();
    queue.join("w").await;
    (story, queue)
}

#[tokio::test]
async fn events_join_a_run_until_it_is_full_and_then_it_starts_at_once() {
    let (story, mut queue) = on_a_queue().await;

    let two = queue.enqueue_all(&[joins("1"), joins("2")]).await;
    let none = queue.lease("w", 10).await;
    let full = queue.enqueue(joins("3")).await;
    let leased = queue.lease("w", 10).await;
    let next = queue.enqueue(joins("4")).await;

    assert_eq!((two, full.as_str(), next.as_str()), (vec![String::new(), "held 1".to_owned()], "held 1", ""));
    assert!(none.is_empty());
    assert_eq!(events_of(&leased[0].record), ["1", "2", "3"]);
    queue.pass(1000);
    assert_eq!(ids(&queue.lease("w", 10).await), ["4"]);
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_batch_starts_when_its_first_event_has_waited_and_takes_no_more_then() {
    let (story, mut queue) = on_a_queue().await;
    queue.enqueue(joins("1")).await;
    queue.pass(999);
    let last = queue.enqueue(joins("2")).await;
    let early = queue.lease("w", 10).await;
    queue.pass(1);
    let late = queue.enqueue(joins("3")).await;
    let due = queue.lease("w", 10).await;

    assert_eq!((last.as_str(), late.as_str()), ("held 1", ""));
    assert!(early.is_empty());
    assert_eq!((due.len(), events_of(&due[0].record)), (1, vec!["1".to_owned(), "2".to_owned()]));
    story.all_adds_up().await;
}

#[tokio::test]
async fn no_event_is_lost_or_doubled_in_a_batch_however_often_it_is_routed() {
    let (story, mut queue) = on_a_queue().await;
    queue.enqueue_all(&[joins("1"), joins("2")]).await;

    assert_eq!(queue.enqueue_again(&[joins("1"), joins("2")]).await, ["", "held 1"], "the reply was lost");
    assert_eq!(
        queue.enqueue_all(&[joins("1"), joins("2"), joins("3")]).await,
        ["exists", "exists", "held 1"]
    );
    let leased = queue.lease("w", 10).await;
    queue.settle("w", &[leased[0].complete("1")]).await;
    assert_eq!(queue.enqueue_all(&[joins("2"), joins("3")]).await, ["exists", "exists"], "it has ended");

    assert_eq!(events_of(&leased[0].record), ["1", "2", "3"]);
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_batch_that_was_begun_or_cancelled_by_hand_is_joined_by_nobody() {
    let (story, mut queue) = on_a_queue().await;
    queue.enqueue(joins("1")).await;
    queue.reschedule("1", "").await;
    let second = queue.enqueue(joins("2")).await;
    queue.cancel("2", "not wanted").await;
    let third = queue.enqueue(joins("3")).await;
    let fourth = queue.enqueue(joins("4")).await;

    assert_eq!((second.as_str(), third.as_str(), fourth.as_str()), ("", "", "held 3"));
    assert_eq!(events_of(&queue.lease("w", 10).await[0].record), ["1"]);
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_run_is_put_off_by_an_older_event_and_keeps_the_newer_one() {
    let (story, mut queue) = on_a_queue().await;
    let put_off = |id: &str, payload: &str| {
        let mut entry = Entry::new(id).routed().unique(UniqueScope::Started, "debounce:all").delay(100);
        entry.on_conflict = "put_off newer";
        entry.payload = payload.as_bytes().to_vec();
        entry
    };
    queue.enqueue(put_off("1", "1")).await;
    queue.pass(50);
    queue.enqueue(put_off("2", "2")).await;
    queue.now -= 20;
    let older = queue.enqueue(put_off("3", "3")).await;
    assert_eq!(older, "held 1");
    queue.now += 120;

    let leased = queue.lease("w", 10).await;

    assert_eq!(JobRecord::decode(&leased[0].record).unwrap().payload, b"2");
    assert_eq!(queue.enqueue(put_off("2", "2")).await, "exists", "it is routed again, and started nothing");
    story.all_adds_up().await;
}

fn singleton(id: &str) -> Entry {
    let mut entry = Entry::new(id).routed().unique(UniqueScope::Finished, "singleton:all");
    entry.on_conflict = "cancel";
    entry.key("fn/singleton", "all")
}

#[tokio::test]
async fn a_singleton_that_cancels_starts_once_the_other_has_ended() {
    let (story, mut queue) = on_a_queue().await;
    story.queue().set_limit(&Limit::per_key("fn/singleton").concurrency(1)).await.unwrap();

    queue.enqueue(singleton("1")).await;
    let waits = queue.enqueue(singleton("2")).await;
    assert_eq!((waits.as_str(), queue.state("1").await), ("", Some(JobState::Cancelled)));
    let second = queue.lease("w", 10).await;
    let runs = queue.enqueue(singleton("3")).await;
    assert_eq!(runs, format!("asked {}", second[0].token));
    assert!(queue.lease("w", 10).await.is_empty(), "the second has not ended");
    assert_eq!(queue.heartbeat("w").await.cancelled, ["2"]);
    queue.settle("w", &[second[0].suspend(queue.now, 0)]).await;
    assert_eq!(queue.state("2").await, Some(JobState::Cancelled), "it is not suspended");
    let third = queue.lease("w", 10).await;
    assert_eq!(ids(&third), ["3"]);
    queue.settle("w", &[third[0].suspend(queue.now + 9000, 0)]).await;

    assert_eq!(queue.enqueue(singleton("4")).await, "");
    assert_eq!(queue.state("3").await, Some(JobState::Cancelled), "though it slept");
    assert_eq!(queue.enqueue(singleton("3")).await, "exists", "routed again, it cancels nobody");
    assert_eq!(ids(&queue.lease("w", 10).await), ["4"]);
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_run_dropped_for_a_singleton_is_dropped_however_often_it_is_routed() {
    let (story, mut queue) = on_a_queue().await;
    let skips = |id: &str| {
        let mut entry = Entry::new(id).routed().unique(UniqueScope::Finished, "singleton:all");
        entry.on_conflict = "drop";
        entry
    };

    assert_eq!(queue.enqueue_all(&[skips("1"), skips("2")]).await, ["", "dropped"]);
    let first = queue.lease("w", 10).await;
    queue.settle("w", &[first[0].suspend(queue.now + 500, 0)]).await;
    assert_eq!(queue.enqueue(skips("3")).await, "dropped", "it sleeps");
    queue.pass(500);
    let again = queue.lease("w", 10).await;
    queue.settle("w", &[again[0].complete("1")]).await;

    assert_eq!(queue.enqueue_all(&[skips("2"), skips("3"), skips("4")]).await, ["dropped", "dropped", ""]);
    story.all_adds_up().await;
}

// with real workers

async fn note(event: EventRecord, step: Step, State(ledger): State<Ledger>) -> Result<()> {
    ledger.note(format!("began {}", event.data["n"]));
    step.sleep("pause", Duration::from_millis(event.data["ms"].as_u64().unwrap_or(0))).await;
    ledger.note(format!("ended {}", event.data["n"]));
    Ok(())
}

#[tokio::test]
async fn the_last_event_of_a_burst_starts_one_run() {
    let story = Story::begin().await;
    let ledger = Ledger::default();
    let debounced =
        Function::new("note", note).on(PAID).debounce(Duration::from_millis(400)).per("event.data.doc");
    let worker = worker(&story, &ledger, debounced);
    until_declared(&story, "note").await;

    let mut events = Vec::new();
    for n in 0..6 {
        events.push(send(&story, json!({"n": n, "doc": n % 2})).await);
    }
    let mut runs = std::collections::BTreeSet::new();
    for event in &events {
        runs.insert(run_of(&story, event).await.id().to_string());
    }
    until("both have begun", async || {
        ledger.all().iter().filter(|what| what.starts_with("ended")).count() == 2
    })
    .await;

    let mut began: Vec<_> = ledger.all().into_iter().filter(|what| what.starts_with("ended")).collect();
    began.sort();
    assert_eq!(began, ["ended 4", "ended 5"]);
    assert_eq!(runs.len(), 2, "events name the runs that have them");
    worker.stop().await;
}

#[derive(Debug, Serialize, Deserialize)]
struct Viewed {
    n: u64,
}

impl Event for Viewed {
    const NAME: &str = "web/viewed";
}

async fn count(views: Batch<Viewed>, step: Step, State(ledger): State<Ledger>) -> Result<usize> {
    step.run("note", async {
        ledger.note(format!("{:?}", views.iter().map(|view| view.n).collect::<Vec<_>>()));
        Ok::<_, Failure>(())
    })
    .await?;
    Ok(views.len())
}

fn counted(ledger: &Ledger) -> Vec<u64> {
    let mut all: Vec<u64> =
        ledger.all().iter().flat_map(|batch| serde_json::from_str::<Vec<u64>>(batch).unwrap()).collect();
    all.sort_unstable();
    all
}

#[tokio::test]
async fn a_function_takes_events_in_batches() {
    let story = Story::begin().await;
    let ledger = Ledger::default();
    let batched = Function::new("count", count).batch(4, Duration::from_millis(300));
    let worker = worker(&story, &ledger, batched);
    until_declared(&story, "count").await;

    story.client.send_all((0..10).map(|n| Viewed { n })).await.unwrap();
    until("all are counted", async || counted(&ledger).len() >= 10).await;

    assert_eq!(counted(&ledger), (0..10).collect::<Vec<_>>());
    let sizes: Vec<usize> =
        ledger.all().iter().map(|batch| serde_json::from_str::<Vec<u64>>(batch).unwrap().len()).collect();
    assert_eq!(sizes, [4, 4, 2]);
    worker.stop().await;
}

/// A router that dies right after it has put events into batches, with the reply or the request lost, and another that takes over.
#[tokio::test]
async fn a_router_that_dies_loses_and_doubles_no_event_of_a_batch() {
    for reply in [true, false] {
        let story = Story::begin().await;
        let ledger = Ledger::default();
        let spec: ergate::FunctionSpec = serde_json::from_value(json!({
            "name": "count",
            "triggers": [{"event": Viewed::NAME}],
            "options": {"batch": {"size": 4, "timeout_ms": 3_600_000}},
        }))
        .unwrap();
        story.client.declare(&[spec]).await.unwrap();
        story.client.enqueue_raw("fn/count".parse().unwrap(), "x".parse().unwrap(), "0").await.unwrap();
        let proxy = Proxy::to(&story.redis);
        let doomed = story.router_on(&ergate::Client::connect(proxy.url()).await.unwrap());
        let sha = &script::JOB_ENQUEUE.sha;
        let lost = if reply { proxy.lose_reply_of(sha) } else { proxy.lose_request_of(sha) };

        let events: Vec<EventId> = story
            .client
            .send_all((0..6).map(|n| Viewed { n }))
            .await
            .unwrap()
            .into_iter()
            .map(|sent| sent.id)
            .collect();
        lost.await;
        doomed.kill();
        let router = story.router();
        story.until_routed(&events).await;
        router.stop().await;

        let queue = story.client.queue("fn/count").unwrap();
        let mut get = redis::cmd("HVALS");
        get.arg(queue.keys().get(QueueKey::jobs));
        let records: Vec<Vec<u8>> = story.client.redis().command("HVALS", &get).await.unwrap();
        let mut found = Vec::new();
        for record in records {
            let record = JobRecord::decode(&record).unwrap();
            if let Ok(input) = serde_json::from_slice::<RunInput>(&record.payload) {
                found.extend(input.events.iter().map(|event| event.decode::<Viewed>().unwrap().n));
            }
        }
        found.sort_unstable();
        assert_eq!(found, [0, 1, 2, 3, 4, 5], "reply: {reply}");
        drop(ledger);
    }
}

#[tokio::test]
async fn of_a_singleton_that_skips_one_run_is_there_at_a_time_also_while_it_sleeps() {
    let story = Story::begin().await;
    let ledger = Ledger::default();
    let one = Function::new("note", note).on(PAID).singleton(SingletonMode::Skip).per("event.data.user");
    let worker = worker(&story, &ledger, one);
    until_declared(&story, "note").await;

    let first = send(&story, json!({"n": 1, "ms": 300, "user": "ada"})).await;
    let run = run_of(&story, &first).await;
    until("it sleeps", async || run.state().await.unwrap() == ergate::run::RunState::Suspended).await;
    let second = send(&story, json!({"n": 2, "user": "ada"})).await;
    let other = send(&story, json!({"n": 3, "user": "bob"})).await;
    let none = send(&story, json!({"n": 4, "user": false})).await;

    assert_eq!(started(&story, &second).await.dropped.len(), 1);
    run_of(&story, &other).await;
    run_of(&story, &none).await;
    run.result::<()>(DEADLINE).await.unwrap();
    let third = send(&story, json!({"n": 5, "user": "ada"})).await;
    run_of(&story, &third).await.result::<()>(DEADLINE).await.unwrap();
    assert!(!ledger.all().contains(&"began 2".to_owned()));
    worker.stop().await;
}

#[tokio::test]
async fn of_a_singleton_that_cancels_the_newest_run_is_left() {
    let story = Story::begin().await;
    let ledger = Ledger::default();
    let one = Function::new("note", note).on(PAID).singleton(SingletonMode::Cancel);
    let worker = worker(&story, &ledger, one);
    until_declared(&story, "note").await;

    let first = run_of(&story, &send(&story, json!({"n": 1, "ms": 60_000})).await).await;
    until("it sleeps", async || first.state().await.unwrap() == ergate::run::RunState::Suspended).await;
    let second = run_of(&story, &send(&story, json!({"n": 2})).await).await;
    second.result::<()>(DEADLINE).await.unwrap();

    assert_eq!(first.state().await.unwrap(), ergate::run::RunState::Cancelled);
    let ended: Vec<_> = ledger.all().into_iter().filter(|what| what.starts_with("ended")).collect();
    assert_eq!(ended, ["ended 2"]);
    worker.stop().await;
}
