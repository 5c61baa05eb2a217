//! How often runs start: what is over a throttle waits, what is over a rate limit is dropped.

use ergate::Rate;
use tokio::time::Instant;

use super::*;
use crate::story::by_hand::{ByHand, Entry, ids};

const THROTTLE: &str = "fn/throttle";

// by hand: the scripts, at a time that is set

/// A queue that starts one job a second, with worker `w` on it.
async fn throttled() -> (Story, ByHand) {
    let story = Story::begin().await;
    let rate = Rate::new(1, Duration::from_secs(1));
    story.queue().set_limit(&Limit::per_key(THROTTLE).rate(rate)).await.unwrap();
    let queue = story.by_hand();
    queue.join("w").await;
    (story, queue)
}

fn run(id: &str) -> Entry {
    Entry::new(id).key(THROTTLE, "all")
}

#[tokio::test]
async fn a_run_that_goes_on_after_a_sleep_is_not_throttled_again() {
    let (story, mut queue) = throttled().await;
    queue.enqueue_all(&[run("1"), run("2"), run("3").key("fn/concurrency", "acme").key("zone", "eu")]).await;

    let first = queue.lease("w", 10).await;
    queue.settle("w", &[first[0].suspend(queue.now + 10, 0)]).await;
    queue.pass(10);
    let after_sleep = queue.lease("w", 10).await;
    queue.settle("w", &[after_sleep[0].suspend(queue.now + 10, 0)]).await;
    queue.pass(990);
    let second = queue.turn("w", 10, &[]).await;

    assert_eq!((ids(&first), ids(&after_sleep)), (vec!["1"], vec!["1"]));
    assert_eq!(ids(&second.leased), ["1", "3"], "it is due, and so is the next start");
    let third = &second.leased[1..];
    queue.settle("w", &[third[0].suspend(queue.now, 0)]).await;
    let again = queue.lease("w", 10).await;
    let lane =
        |record: &[u8]| ergate::JobRecord::decode(record).unwrap().lane.map(|lane| lane.as_str().to_owned());
    assert_eq!(lane(&third[0].record).unwrap(), "fn/concurrency=acme\nfn/throttle=all\nzone=eu");
    assert_eq!(lane(&again[0].record).unwrap(), "fn/concurrency=acme\nzone=eu");
    assert_eq!(lane(&after_sleep[0].record), None);
    queue.pass(1000);
    assert_eq!(ids(&queue.lease("w", 10).await), ["2"]);
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_run_whose_first_start_failed_or_was_lost_is_not_throttled_again() {
    let (story, mut queue) = throttled().await;
    queue.enqueue_all(&[run("1"), run("2"), run("3"), run("4")]).await;
    let mut began = Vec::new();

    let first = queue.lease("w", 10).await;
    queue.settle("w", &[first[0].retry(0)]).await;
    began.extend(ids(&queue.lease("w", 10).await).into_iter().map(str::to_owned));
    queue.pass(1000);
    let second = queue.lease("w", 10).await;
    queue.settle("w", &[second[0].hand_back()]).await;
    began.extend(ids(&queue.lease("w", 10).await).into_iter().map(str::to_owned));
    queue.pass(60_000);
    queue.reap("w", 3).await;
    queue.join("other").await;
    began.extend(ids(&queue.lease("other", 10).await).into_iter().map(str::to_owned));

    assert_eq!(&began[..2], ["1", "2"]);
    let mut last = began[2..].to_vec();
    last.sort();
    assert_eq!(last, ["1", "2", "3"], "those that were lost at once, and one that starts");
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_window_lets_its_limit_start_and_drops_what_comes_before_it_ends() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    let mut next = 0;
    let mut run = |key: &str| {
        next += 1;
        Entry::new(format!("run-{next}")).rule(&format!("window 2 1000 {key}"))
    };

    let all = [run("@rate=a"), run("@rate=a"), run("@rate=a"), run("@rate=b")];
    assert_eq!(queue.enqueue_all(&all).await, ["", "", "dropped", ""]);
    queue.pass(999);
    assert_eq!(queue.enqueue(run("@rate=a")).await, "dropped");
    queue.pass(1);
    assert_eq!(
        queue.enqueue_all(&[run("@rate=a"), run("@rate=a"), run("@rate=a")]).await,
        ["", "", "dropped"]
    );
    assert_eq!(story.queue().stats().await.unwrap().records, 5);
    // What is over is forgotten.
    queue.pass(1000);
    queue.sweep().await;
    let mut left = redis::cmd("HLEN");
    left.arg(queue.key(ergate_shared::key::QueueKey::flow));
    assert_eq!(story.client.redis().command::<u64>("HLEN", &left).await.unwrap(), 0);
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_run_that_one_window_drops_does_not_count_in_another() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    let run = |id: &str, once: &str| {
        Entry::new(id).rule(&format!("window 1 9000 @once={once}")).rule("window 2 9000 @rate=all")
    };

    let all = [run("1", "a"), run("2", "a"), run("3", "b"), run("4", "c")];

    assert_eq!(queue.enqueue_all(&all).await, ["", "dropped", "", "dropped"]);
}

#[tokio::test]
async fn an_event_that_is_routed_again_counts_once_and_one_that_was_dropped_stays_so() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    let run = |id: &str| Entry::new(id).routed().rule("window 2 1000 @rate=all");

    assert_eq!(queue.enqueue_all(&[run("1"), run("1")]).await, ["", "exists"]);
    assert_eq!(queue.enqueue_all(&[run("2"), run("3")]).await, ["", "dropped"]);
    assert_eq!(queue.enqueue_again(&[run("2"), run("3")]).await, ["", "dropped"], "the reply was lost");
    queue.pass(1000);
    assert_eq!(queue.enqueue_all(&[run("1"), run("2"), run("3")]).await, ["exists", "exists", "dropped"]);
    assert_eq!(story.queue().stats().await.unwrap().records, 2);
}

// with real workers

async fn begin(event: EventRecord, step: Step, State(ledger): State<Ledger>) -> Result<()> {
    ledger.note(event.data["n"].to_string());
    step.sleep("pause", Duration::from_millis(1)).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_start_at_the_rate_of_their_throttle_over_all_workers() {
    #[derive(Debug, Clone, Default)]
    struct Starts(Arc<Mutex<Vec<Instant>>>);
    async fn start(_: EventRecord, step: Step, State(starts): State<Starts>) -> Result<()> {
        let note = async {
            starts.0.lock().unwrap().push(Instant::now());
            Ok::<_, Failure>(())
        };
        step.run("begin", note).await?;
        step.sleep("pause", Duration::from_millis(5)).await;
        Ok(())
    }
    let story = Story::begin().await;
    let starts = Starts::default();
    let work = || {
        let function = Function::new("start", start).on(PAID).throttle(20, Duration::from_secs(1));
        let metrics = Metrics::new();
        let worker = Worker::new(story.client.clone(), starts.clone()).metrics(metrics.clone());
        RunningWorker::start(worker.function(function), metrics)
    };
    let workers = [work(), work()];
    until_declared(&story, "start").await;

    for n in 0..41 {
        send(&story, json!({ "n": n })).await;
    }
    until("all have begun", async || starts.0.lock().unwrap().len() == 41).await;

    // Not sooner: nobody could tell a pace that is too slow from a machine that stands still. How exact the pace is shows at a
    // time that is set, see `flow::pace`.
    let mut times = starts.0.lock().unwrap().clone();
    times.sort();
    let took = times[40] - times[0];
    println!("40 intervals of 50 ms took {took:?}");
    assert!(took >= Duration::from_millis(1800), "40 intervals of 50 ms took {took:?}");
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test]
async fn events_over_a_rate_limit_start_nothing_and_say_so() {
    let story = Story::begin().await;
    let ledger = Ledger::default();
    let limited =
        Function::new("begin", begin).on(PAID).rate_limit(2, Duration::from_hours(1)).per("event.data.user");
    let worker = worker(&story, &ledger, limited);
    until_declared(&story, "begin").await;

    let mut told = Vec::new();
    for n in 0..4 {
        let event = send(&story, json!({"n": n, "user": "ada"})).await;
        let started = started(&story, &event).await;
        told.push((started.runs.len(), started.dropped.len()));
    }
    let other = send(&story, json!({"n": 4, "user": "bob"})).await;

    assert_eq!(told, [(1, 0), (1, 0), (0, 1), (0, 1)]);
    run_of(&story, &other).await.result::<()>(crate::support::DEADLINE).await.unwrap();
    let by_hand = story.client.invoke("begin", &json!({"n": 5, "user": "ada"})).await.unwrap_err();
    assert!(matches!(by_hand, ergate::Error::Dropped { .. }), "{by_hand}");
    worker.stop().await;
}

#[tokio::test]
async fn one_run_starts_for_an_idempotency_key() {
    let story = Story::begin().await;
    let ledger = Ledger::default();
    let worker =
        worker(&story, &ledger, Function::new("begin", begin).on(PAID).idempotency("event.data.cart"));
    until_declared(&story, "begin").await;

    let first = send(&story, json!({"n": 1, "cart": 7})).await;
    run_of(&story, &first).await.result::<()>(crate::support::DEADLINE).await.unwrap();
    let second = send(&story, json!({"n": 2, "cart": 7.0})).await;

    assert_eq!(started(&story, &second).await.dropped.len(), 1, "though the first has ended");
    assert!(ledger.all().iter().all(|n| n == "1"), "{:?}", ledger.all());
    worker.stop().await;
}
