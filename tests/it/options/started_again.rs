//! Events cancel runs that were started over from a step, or made to go on by hand.

use ergate::run::RunState;

use super::*;

const CANCELLED: &str = "shop/cancelled";

async fn slow(event: EventRecord, step: Step, State(ledger): State<Ledger>) -> Result<()> {
    step.run("first", ledger.record("first")).await?;
    step.sleep("pause", Duration::from_hours(1)).await;
    let _ = event;
    Ok(())
}

/// A run that sleeps after its first step, and is cancelled by the event of order 7.
async fn asleep(story: &Story, ledger: &Ledger) -> (RunningWorker, RunHandle) {
    let function = Function::new("slow", slow).on(PAID).cancel_on(CANCELLED).matching("data.order");
    let worker = worker(story, ledger, function);
    until_declared(story, "slow").await;
    let run = run_of(story, &send(story, json!({"order": 7})).await).await;
    until_state(&run, RunState::Suspended).await;
    (worker, run)
}

async fn until_state(run: &RunHandle, state: RunState) {
    until(&format!("the run is {state}"), async || run.state().await.unwrap() == state).await;
}

/// Sends what cancels order 7 once nothing before it can be of the same millisecond, and returns how many runs it cancelled.
async fn cancel(story: &Story) -> usize {
    let now = story.client.redis().now_ms();
    until("a later millisecond", async || story.client.redis().now_ms() > now + 5).await;
    let event = story.client.send_raw(CANCELLED, json!({"order": 7})).await.unwrap();
    started(story, &event).await.cancelled.len()
}

#[tokio::test]
async fn an_event_cancels_a_run_that_was_started_over_from_a_step() {
    let story = Story::begin().await;
    let ledger = Ledger::default();
    let (worker, first) = asleep(&story, &ledger).await;
    let second = first.rerun().from("pause").await.unwrap();
    until_state(&second, RunState::Suspended).await;

    assert_eq!(cancel(&story).await, 2);

    assert_eq!(second.state().await.unwrap(), RunState::Cancelled);
    assert_eq!(ledger.all(), ["first"]);
    worker.stop().await;
}

#[tokio::test]
async fn an_event_that_comes_before_it_begins_cancels_it_when_it_is_to_begin() {
    let story = Story::begin().await;
    let (worker, first) = asleep(&story, &Ledger::default()).await;
    let queue = story.client.queue("fn/slow").unwrap();
    queue.pause().await.unwrap();
    let second = first.rerun().from("pause").await.unwrap();

    assert_eq!(cancel(&story).await, 1);
    queue.resume().await.unwrap();

    until_state(&second, RunState::Cancelled).await;
    worker.stop().await;
}

#[tokio::test]
async fn a_run_that_was_cancelled_and_goes_on_is_cancelled_by_the_next_event_and_not_by_the_last() {
    let story = Story::begin().await;
    let (worker, run) = asleep(&story, &Ledger::default()).await;
    assert_eq!(cancel(&story).await, 1);

    let now = story.client.redis().now_ms();
    until("a later millisecond", async || story.client.redis().now_ms() > now + 5).await;
    run.again().await.unwrap();
    until_state(&run, RunState::Suspended).await;
    assert_eq!(cancel(&story).await, 1);

    assert_eq!(run.state().await.unwrap(), RunState::Cancelled);
    worker.stop().await;
}
