//! Limits of a queue: exact, over all workers.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use ergate::{Error, Metrics, prelude::*};
use ergate_shared::key::QueueKey;

use crate::{
    story::{
        Does, QUEUE, RunningWorker, Story, act,
        by_hand::{Entry, Leased, ids},
    },
    support::until,
};

/// Counts how many run at once, as the handlers themselves see it.
#[derive(Debug, Clone, Default)]
struct Ledger {
    running: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    done: Arc<AtomicUsize>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Counted;

impl Job for Counted {
    const NAME: &str = "counted";
    const QUEUE: &str = QUEUE;
}

async fn counted(_: Counted, State(ledger): State<Ledger>) -> Result<()> {
    let running = ledger.running.fetch_add(1, Ordering::SeqCst) + 1;
    ledger.most.fetch_max(running, Ordering::SeqCst);
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    ledger.running.fetch_sub(1, Ordering::SeqCst);
    ledger.done.fetch_add(1, Ordering::SeqCst);
    Ok(())
}

impl Ledger {
    fn worker(&self, story: &Story, slots: usize) -> RunningWorker {
        let metrics = Metrics::new();
        let worker = Worker::new(story.client.clone(), self.clone())
            .queue(QUEUE, slots)
            .job(counted)
            .metrics(metrics.clone());
        RunningWorker::start(worker, metrics)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_more_run_at_once_than_the_queue_allows_whoever_runs_them() {
    let story = Story::begin().await;
    story.queue().set_concurrency(Some(3)).await.unwrap();
    let ledger = Ledger::default();
    let workers = [ledger.worker(&story, 10), ledger.worker(&story, 10)];

    story.client.enqueue_all((0..400).map(|_| Counted)).await.unwrap();
    until("all are done", async || ledger.done.load(Ordering::SeqCst) == 400).await;

    assert_eq!(ledger.most.load(Ordering::SeqCst), 3);
    for worker in workers {
        worker.stop().await;
    }
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_limit_counts_what_other_workers_run() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    story.queue().set_concurrency(Some(3)).await.unwrap();
    queue.enqueue_all(&(0..5).map(|n| Entry::new(n.to_string())).collect::<Vec<_>>()).await;
    queue.join("one").await;
    queue.join("other").await;

    let first = queue.lease("one", 2).await;
    let second = queue.lease("other", 5).await;
    let none = queue.turn("one", 5, &[]).await;
    let third = queue.turn("one", 5, &[first[0].complete("1")]).await;

    assert_eq!((ids(&first), ids(&second)), (vec!["0", "1"], vec!["2"]));
    assert!(none.leased.is_empty() && none.more);
    assert_eq!(ids(&third.leased), ["3"]);
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_limit_lifted_or_raised_takes_effect_at_once() {
    let story = Story::begin().await;
    story.queue().set_concurrency(Some(1)).await.unwrap();
    let worker = story.worker(10);
    for number in 0..6 {
        story.enqueue(number, Does::Wait).await;
    }
    until("one runs", async || story.trace.started().len() == 1).await;

    story.queue().set_concurrency(Some(3)).await.unwrap();
    until("three run", async || story.trace.started().len() == 3).await;
    story.queue().set_concurrency(None).await.unwrap();
    until("all run", async || story.trace.started().len() == 6).await;

    for number in 0..6 {
        story.trace.open(number);
    }
    story.until_finished(6).await;
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn cancelled_jobs_do_not_hold_up_a_queue_that_runs_one_at_a_time() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    story.queue().set_concurrency(Some(1)).await.unwrap();
    let entries: Vec<_> = (0..100).map(|n| Entry::new(n.to_string())).collect();
    queue.enqueue_all(&entries).await;
    for entry in &entries[..99] {
        queue.cancel(&entry.id, "not needed").await;
    }
    queue.join("w").await;

    let leased = queue.lease("w", 10).await;

    assert_eq!(ids(&leased), ["99"]);
    story.all_adds_up().await;
}

#[tokio::test]
async fn jobs_start_evenly_spaced_at_the_queues_rate() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    story.queue().set_rate(Some(Rate::new(10, Duration::from_secs(1)))).await.unwrap();
    queue.enqueue_all(&(0..100).map(|n| Entry::new(n.to_string())).collect::<Vec<_>>()).await;
    queue.join("w").await;

    let mut starts = Vec::new();
    for _ in 0..3000 {
        for _ in queue.lease("w", 100).await {
            starts.push(queue.now);
        }
        queue.pass(1);
        if starts.len() >= 20 {
            break;
        }
        queue.heartbeat("w").await;
    }

    let gaps: Vec<_> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(gaps, [100; 19]);
}

#[tokio::test]
async fn a_worker_is_told_when_the_rate_allows_the_next_job() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    story.queue().set_rate(Some(Rate::new(4, Duration::from_secs(1)).burst(2))).await.unwrap();
    queue.enqueue_all(&(0..10).map(|n| Entry::new(n.to_string())).collect::<Vec<_>>()).await;
    queue.join("w").await;

    let burst = queue.turn("w", 10, &[]).await;
    let next = u64::try_from(burst.next).unwrap();
    queue.pass(next - 1);
    let too_early = queue.turn("w", 10, &[]).await;
    queue.pass(1);
    let in_time = queue.turn("w", 10, &[]).await;

    assert_eq!(ids(&burst.leased), ["0", "1"]);
    assert_eq!(next, 250);
    assert!(too_early.leased.is_empty());
    assert_eq!(too_early.next, 1);
    assert_eq!(ids(&in_time.leased), ["2"]);
}

#[tokio::test]
async fn a_burst_comes_back_with_time_and_never_grows_beyond_its_size() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    story.queue().set_rate(Some(Rate::new(10, Duration::from_secs(1)).burst(5))).await.unwrap();
    queue.enqueue_all(&(0..50).map(|n| Entry::new(n.to_string())).collect::<Vec<_>>()).await;
    queue.join("w").await;

    let mut sizes = Vec::new();
    for pause in [0, 0, 100, 300, 10_000] {
        queue.pass(pause);
        sizes.push(queue.lease("w", 50).await.len());
    }

    assert_eq!(sizes, [5, 0, 1, 3, 5]);
}

#[tokio::test]
async fn two_workers_share_one_rate() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    story.queue().set_rate(Some(Rate::new(100, Duration::from_secs(1)).burst(3))).await.unwrap();
    queue.enqueue_all(&(0..500).map(|n| Entry::new(n.to_string())).collect::<Vec<_>>()).await;
    queue.join("one").await;
    queue.join("other").await;

    let mut started: Vec<Leased> = Vec::new();
    for step in 0..1000 {
        let worker = if step % 2 == 0 { "one" } else { "other" };
        started.extend(queue.lease(worker, 10).await);
        queue.pass(1);
    }

    let spaced = 100;
    assert_eq!(
        started.len(),
        spaced + 3 - 1,
        "one second at 100 a second, and a burst of three to begin with"
    );
}

#[tokio::test]
async fn a_rate_that_is_no_whole_number_of_milliseconds_is_kept_over_time() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    story.queue().set_rate(Some(Rate::new(7, Duration::from_secs(1)))).await.unwrap();
    queue.enqueue_all(&(0..100).map(|n| Entry::new(n.to_string())).collect::<Vec<_>>()).await;
    queue.join("w").await;

    let mut started = 0;
    while queue.now < crate::story::by_hand::START + 10_000 {
        let turn = queue.turn("w", 100, &[]).await;
        started += turn.leased.len();
        queue.heartbeat("w").await;
        queue.pass(u64::try_from(turn.next).unwrap());
    }

    assert!((69..=71).contains(&started), "{started} in ten seconds at seven a second");
}

#[tokio::test]
async fn a_new_rate_does_not_wait_for_what_the_old_one_owed() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    story.queue().set_rate(Some(Rate::new(1, Duration::from_hours(1)))).await.unwrap();
    queue.enqueue_all(&(0..3).map(|n| Entry::new(n.to_string())).collect::<Vec<_>>()).await;
    queue.join("w").await;
    queue.lease("w", 10).await;

    story.queue().set_rate(Some(Rate::new(10, Duration::from_secs(1)))).await.unwrap();
    queue.pass(100);
    let leased = queue.lease("w", 10).await;

    assert_eq!(ids(&leased), ["1"]);
}

#[tokio::test]
async fn the_same_rate_set_again_forgives_nothing() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    let rate = Some(Rate::new(1, Duration::from_hours(1)));
    story.queue().set_rate(rate).await.unwrap();
    queue.enqueue_all(&(0..3).map(|n| Entry::new(n.to_string())).collect::<Vec<_>>()).await;
    queue.join("w").await;
    queue.lease("w", 10).await;

    story.queue().set_rate(rate).await.unwrap();
    let leased = queue.lease("w", 10).await;

    assert!(leased.is_empty());
}

#[tokio::test]
async fn a_rate_goes_on_though_redis_clock_has_gone_back() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    story.queue().set_rate(Some(Rate::new(1, Duration::from_secs(1)))).await.unwrap();
    queue.enqueue_all(&(0..3).map(|n| Entry::new(n.to_string())).collect::<Vec<_>>()).await;
    queue.join("w").await;
    queue.lease("w", 10).await;

    queue.now -= 3_600_000;
    let leased = queue.turn("w", 10, &[]).await;

    assert_eq!(ids(&leased.leased), ["1"]);
    assert_eq!(leased.next, 1000);
}

#[tokio::test]
async fn a_rate_may_be_lifted() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    story.queue().set_rate(Some(Rate::new(1, Duration::from_hours(1)))).await.unwrap();
    queue.enqueue_all(&(0..3).map(|n| Entry::new(n.to_string())).collect::<Vec<_>>()).await;
    queue.join("w").await;
    queue.lease("w", 10).await;

    story.queue().set_rate(None).await.unwrap();
    let leased = queue.lease("w", 10).await;

    assert_eq!(ids(&leased), ["1", "2"]);
}

#[tokio::test]
async fn a_rate_is_not_spent_on_jobs_that_do_not_run() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    story.queue().set_rate(Some(Rate::new(1, Duration::from_secs(1)))).await.unwrap();
    queue.enqueue(Entry::new("expired").expires_in(0)).await;
    queue.enqueue_all(&[Entry::new("cancelled"), Entry::new("live")]).await;
    queue.cancel("cancelled", "not needed").await;
    queue.join("w").await;
    queue.pass(1);

    let leased = queue.lease("w", 10).await;

    assert_eq!(ids(&leased), ["live"]);
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_queue_at_its_rate_is_worked_off_without_anybody_asking() {
    let story = Story::begin().await;
    story.queue().set_rate(Some(Rate::new(100, Duration::from_secs(1)))).await.unwrap();
    let workers = [story.worker(10), story.worker(10)];

    story.client.enqueue_all((0..30).map(|number| act(number, Does::Succeed))).await.unwrap();
    story.until_finished(30).await;

    for worker in workers {
        worker.stop().await;
    }
    let full_at: Option<f64> =
        story.redis.ask(&["HGET", story.by_hand().key(QueueKey::meta), "rate_full_at"]).await;
    assert!(full_at.is_some());
    story.all_adds_up().await;
}

#[tokio::test]
async fn limits_that_make_no_sense_are_refused_and_change_nothing() {
    let story = Story::begin().await;
    let queue = story.queue();
    let rate = |count, per, burst| Rate { count, per, burst };
    let second = Duration::from_secs(1);

    let concurrency = queue.set_concurrency(Some(0)).await.unwrap_err();
    let mut rates = Vec::new();
    for wrong in [rate(0, second, 1), rate(1, Duration::ZERO, 1), rate(1, second, 0)] {
        rates.push(queue.set_rate(Some(wrong)).await.unwrap_err());
    }

    assert_eq!(concurrency.to_string(), "concurrency 0 would never run a job; pause the queue instead");
    for error in rates {
        assert!(matches!(error, Error::Option(_)));
        assert_eq!(error.to_string(), "a rate needs a count, a time and a burst of at least 1");
    }
    assert!(queue.stats().await.unwrap().settings.is_empty());
}
