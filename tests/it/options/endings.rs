//! Runs that are ended from outside: by events, and because their time is over.

use ergate::{Function, run::RunState};

use super::*;
use crate::support::DEADLINE;

/// The event that cancels.
const CANCELLED: &str = "shop/cancelled";

async fn note(event: EventRecord, step: Step, State(ledger): State<Ledger>) -> Result<()> {
    ledger.note(format!("began {}", event.data["n"]));
    step.sleep("pause", Duration::from_millis(event.data["ms"].as_u64().unwrap_or(60_000))).await;
    ledger.note(format!("ended {}", event.data["n"]));
    Ok(())
}

async fn cancel(story: &Story, data: Value) -> ergate::EventReceipt {
    story.client.send_raw(CANCELLED, data).await.unwrap()
}

async fn waits(story: &Story) -> u64 {
    let mut count = redis::cmd("HLEN");
    count.arg(story.client.name_keys(&CANCELLED.parse().unwrap()).waits);
    story.client.redis().command("HLEN", &count).await.unwrap()
}

async fn until_state(run: &RunHandle, state: RunState) {
    until(&format!("the run is {state}"), async || run.state().await.unwrap() == state).await;
}

fn cancellable() -> Function<Ledger> {
    Function::new("note", note).on(PAID).cancel_on(CANCELLED).matching("data.order")
}

#[tokio::test]
async fn an_event_cancels_the_run_whose_field_is_equal_though_it_sleeps() {
    let story = Story::begin().await;
    let ledger = Ledger::default();
    let worker = worker(&story, &ledger, cancellable());
    until_declared(&story, "note").await;

    let meant = run_of(&story, &send(&story, json!({"n": 1, "order": 7})).await).await;
    let other = run_of(&story, &send(&story, json!({"n": 2, "order": 8})).await).await;
    let without = run_of(&story, &send(&story, json!({"n": 3})).await).await;
    for run in [&meant, &other, &without] {
        until_state(run, RunState::Suspended).await;
    }
    let event = cancel(&story, json!({"order": 7.0})).await;
    let cancelled = started(&story, &event).await.cancelled;

    assert_eq!(cancelled, [(meant.job().queue().name().clone(), meant.id().clone())]);
    assert_eq!(meant.state().await.unwrap(), RunState::Cancelled);
    assert_eq!(
        meant.job().get().await.unwrap().outcome.unwrap().detail,
        format!("event {} of {CANCELLED}", event.id)
    );
    assert_eq!(
        (other.state().await.unwrap(), without.state().await.unwrap()),
        (RunState::Suspended, RunState::Suspended)
    );
    assert_eq!(waits(&story).await, 1, "that of the other order");
    worker.stop().await;
}

#[tokio::test]
async fn an_event_right_after_the_one_that_starts_a_run_cancels_it_before_it_begins() {
    let story = Story::begin().await;
    let ledger = Ledger::default();
    let first = worker(&story, &ledger, cancellable());
    until_declared(&story, "note").await;
    first.stop().await;

    let before = cancel(&story, json!({"order": 7})).await;
    let sent = story.client.event(&before.id).await.unwrap().sent_at;
    until("a later millisecond", async || story.client.redis().now_ms() > sent + 5).await;
    let start = send(&story, json!({"n": 1, "order": 7})).await;
    let event = cancel(&story, json!({"order": 7})).await;
    // Times are known to the millisecond.
    let sent = story.client.event(&event.id).await.unwrap().sent_at;
    until("a later one", async || story.client.redis().now_ms() > sent + 5).await;
    let again = send(&story, json!({"n": 2, "order": 7, "ms": 0})).await;
    let second = worker(&story, &ledger, cancellable());
    let run = run_of(&story, &start).await;
    until_state(&run, RunState::Cancelled).await;
    run_of(&story, &again).await.result::<()>(DEADLINE).await.unwrap();

    let why = run.job().get().await.unwrap().outcome.unwrap().detail;
    assert_eq!(why, format!("event {} of {CANCELLED}", event.id));
    assert!(!ledger.all().contains(&"ended 1".to_owned()));
    second.stop().await;
}

#[tokio::test]
async fn a_run_that_has_not_begun_is_cancelled_whoever_started_it() {
    let story = Story::begin().await;
    let ledger = Ledger::default();
    let worker = worker(&story, &ledger, cancellable());
    until_declared(&story, "note").await;
    story.client.queue("fn/note").unwrap().pause().await.unwrap();

    let by_hand = story.client.invoke("note", &json!({"n": 1, "order": 7})).await.unwrap();
    let by_event = run_of(&story, &send(&story, json!({"n": 2, "order": 7})).await).await;
    let event = cancel(&story, json!({"order": 7})).await;

    assert_eq!(started(&story, &event).await.cancelled.len(), 2);
    let by_hand = story.client.run("note", by_hand.id.as_str()).unwrap();
    assert_eq!(by_hand.state().await.unwrap(), RunState::Cancelled);
    assert_eq!(by_event.state().await.unwrap(), RunState::Cancelled);
    assert_eq!((waits(&story).await, ledger.all().len()), (0, 0));
    worker.stop().await;
}

/// Whoever starts a run may die before its waits are kept, or an event may come before the run is there: then the worker that
/// begins it finds out.
#[tokio::test]
async fn a_run_whose_waits_were_not_kept_is_cancelled_when_it_is_to_begin() {
    let story = Story::begin().await;
    let ledger = Ledger::default();
    let worker = worker(&story, &ledger, cancellable());
    until_declared(&story, "note").await;
    let queue = story.client.queue("fn/note").unwrap();
    queue.pause().await.unwrap();

    let event = json!({"id": "a", "name": PAID, "ts": 1, "data": {"n": 1, "order": 7}});
    let payload = json!({"events": [event]}).to_string();
    let enqueue = story.client.enqueue_raw("fn/note".parse().unwrap(), "note".parse().unwrap(), payload);
    let run = enqueue.id("r1").await.unwrap();
    started(&story, &cancel(&story, json!({"order": 7})).await).await;
    queue.resume().await.unwrap();

    let run = story.client.run("note", run.id.as_str()).unwrap();
    until_state(&run, RunState::Cancelled).await;
    assert!(ledger.all().is_empty());
    worker.stop().await;
}

#[tokio::test]
async fn a_run_that_executes_is_told_to_end() {
    async fn busy(_: EventRecord, step: Step, State(ledger): State<Ledger>) -> Result<()> {
        let forever = async {
            ledger.note("busy");
            std::future::pending::<Result<()>>().await
        };
        step.run("forever", forever).await?;
        Ok(())
    }
    let story = Story::begin().await;
    let ledger = Ledger::default();
    let function = Function::new("busy", busy)
        .on(PAID)
        .cancel_on(CANCELLED)
        .when("async.data.order == event.data.order && async.data.sure == true");
    let worker = worker(&story, &ledger, function);
    until_declared(&story, "busy").await;

    let run = run_of(&story, &send(&story, json!({"order": 7})).await).await;
    until("it executes", async || !ledger.all().is_empty()).await;
    let unsure = cancel(&story, json!({"order": 7, "sure": false})).await;
    assert!(started(&story, &unsure).await.cancelled.is_empty());
    cancel(&story, json!({"order": 7, "sure": true})).await;

    until_state(&run, RunState::Cancelled).await;
    worker.stop().await;
}

#[tokio::test]
async fn events_cancel_a_run_only_within_their_time_and_as_long_as_it_is_there() {
    let story = Story::begin().await;
    let ledger = Ledger::default();
    let worker = worker(&story, &ledger, cancellable().within(Duration::from_millis(1)));
    until_declared(&story, "note").await;

    let run = run_of(&story, &send(&story, json!({"n": 1, "order": 7, "ms": 300})).await).await;
    until("it has begun", async || ledger.all() == ["began 1"]).await;
    let event = cancel(&story, json!({"order": 7})).await;

    assert!(started(&story, &event).await.cancelled.is_empty());
    run.result::<()>(DEADLINE).await.unwrap();
    until("nothing is left of its waits", async || waits(&story).await == 0).await;
    worker.stop().await;
}

#[tokio::test]
async fn a_debounced_run_is_cancelled_by_what_its_last_event_says() {
    let story = Story::begin().await;
    let ledger = Ledger::default();
    let worker = worker(&story, &ledger, cancellable().debounce(Duration::from_millis(200)));
    until_declared(&story, "note").await;

    send(&story, json!({"n": 1, "order": 7})).await;
    let run = run_of(&story, &send(&story, json!({"n": 2, "order": 8})).await).await;
    until_state(&run, RunState::Suspended).await;
    let first = cancel(&story, json!({"order": 7})).await;
    assert!(started(&story, &first).await.cancelled.is_empty());
    cancel(&story, json!({"order": 8})).await;

    until_state(&run, RunState::Cancelled).await;
    assert_eq!(ledger.all(), ["began 2"]);
    worker.stop().await;
}

#[tokio::test]
async fn a_run_that_has_not_ended_in_time_is_cancelled_asleep_or_at_work() {
    async fn long(event: EventRecord, step: Step) -> Result<()> {
        if event.data["asleep"] == true {
            step.sleep("long", Duration::from_hours(9)).await;
        }
        step.run("forever", std::future::pending::<Result<()>>()).await?;
        Ok(())
    }
    let story = Story::begin().await;
    let worker = worker(
        &story,
        &Ledger::default(),
        Function::new("long", long).on(PAID).finish_timeout(Duration::from_millis(400)),
    );
    until_declared(&story, "long").await;

    let asleep = run_of(&story, &send(&story, json!({"asleep": true})).await).await;
    let at_work = run_of(&story, &send(&story, json!({"asleep": false})).await).await;

    for run in [asleep, at_work] {
        until_state(&run, RunState::Cancelled).await;
        let view = run.job().get().await.unwrap();
        assert_eq!(view.outcome.unwrap().detail, "it has not ended within 400ms");
    }
    worker.stop().await;
}

#[tokio::test]
async fn a_run_that_has_not_begun_in_time_is_a_dead_letter() {
    let story = Story::begin().await;
    let ledger = Ledger::default();
    let in_time = Function::new("note", note).on(PAID).start_timeout(Duration::from_millis(100));
    let worker = worker(&story, &ledger, in_time);
    until_declared(&story, "note").await;
    let queue = story.client.queue("fn/note").unwrap();
    queue.pause().await.unwrap();

    let run = run_of(&story, &send(&story, json!({"n": 1})).await).await;
    let late = run.job().get().await.unwrap().record.unwrap().enqueued_at + 200;
    until("it is too late", async || queue.stats().await.unwrap().now > late).await;
    queue.resume().await.unwrap();

    until_state(&run, RunState::Failed).await;
    assert_eq!(run.job().get().await.unwrap().failure.unwrap().kind, ergate::FailureKind::Expired);
    assert!(ledger.all().is_empty());
    worker.stop().await;
}
