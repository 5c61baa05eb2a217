//! Jobs and results so large that a batch of them takes longer to cross the link than a call may take.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
};

use ergate::{Metrics, prelude::*};
use ergate_shared::{key::QueueKey, script};
use tokio::sync::Barrier;

use crate::{
    story::{
        Does, QUEUE, RunningWorker, Story, act,
        by_hand::{ByHand, Entry, ids},
    },
    support::{Proxy, until},
};

/// As large as payloads may be.
const LARGE: usize = 512 * 1024 - 16;
/// As many as cannot cross [`SLOW`] in the 5 s that a call may take.
const MANY: u32 = 24;
/// Bytes a second.
const SLOW: NonZeroU32 = NonZeroU32::new(2 * 1024 * 1024).unwrap();

async fn with_large_jobs(key: impl Fn(usize, Entry) -> Entry) -> (Story, ByHand) {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.join("w").await;
    for number in 0..20 {
        let mut entry = key(number, Entry::new(format!("j{number}")));
        entry.payload = vec![b' '; LARGE];
        queue.enqueue(entry).await;
    }
    (story, queue)
}

#[tokio::test]
async fn a_turn_leases_no_more_than_a_link_carries_and_the_next_goes_on() {
    let (story, mut queue) = with_large_jobs(|_, entry| entry).await;
    let mut leased = Vec::new();

    for (count, more) in [(8, true), (8, true), (4, false)] {
        let turn = queue.turn("w", 1000, &[]).await;
        assert_eq!((turn.leased.len(), turn.more), (count, more));
        leased.extend(turn.leased);
    }

    assert_eq!(ids(&leased), (0..20).map(|number| format!("j{number}")).collect::<Vec<_>>());
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_turn_leases_no_more_than_a_link_carries_of_jobs_with_keys_either() {
    let (story, mut queue) = with_large_jobs(|number, entry| entry.key("account", number % 5)).await;

    let mut counts = Vec::new();
    while counts.iter().sum::<usize>() < 20 {
        counts.push(queue.lease("w", 1000).await.len());
    }

    assert!(counts.iter().all(|count| *count <= 10), "{counts:?}");
    story.all_adds_up().await;
}

#[tokio::test]
async fn small_jobs_are_leased_by_one_turn_however_many_there_are() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.join("w").await;
    let entries: Vec<_> = (0..1000).map(|number| Entry::new(format!("j{number}"))).collect();
    queue.enqueue_all(&entries).await;

    assert_eq!(queue.lease("w", 1000).await.len(), 1000);
}

#[derive(Debug, Serialize, Deserialize)]
struct Page {
    text: String,
}

impl Job for Page {
    const NAME: &str = "page";
    const QUEUE: &str = QUEUE;
}

/// Handlers wait here until all have begun, so that all end at once.
#[derive(Debug, Clone)]
struct Meeting {
    begun: Arc<AtomicU32>,
    all: Arc<Barrier>,
}

/// A worker behind a slow link, whose jobs return texts that are so long.
async fn slow_worker(proxy: &Proxy, answers: usize) -> (RunningWorker, Meeting) {
    let client = Client::connect(proxy.url()).await.unwrap();
    let meeting = Meeting { begun: Arc::default(), all: Arc::new(Barrier::new(MANY as usize)) };
    let read = async move |_: Page, State(meeting): State<Meeting>| -> Result<String> {
        meeting.begun.fetch_add(1, Ordering::Relaxed);
        meeting.all.wait().await;
        Ok(" ".repeat(answers))
    };
    let metrics = Metrics::new();
    let worker = Worker::new(client, meeting.clone()).queue(QUEUE, 1000).metrics(metrics.clone()).job(read);
    (RunningWorker::start(worker, metrics), meeting)
}

async fn until_completed(story: &Story) {
    until("all have completed", async || story.queue().stats().await.unwrap().completed == u64::from(MANY))
        .await;
}

#[tokio::test]
async fn a_backlog_of_large_jobs_gets_through_a_slow_link() {
    let story = Story::begin().await;
    let proxy = Proxy::to(&story.redis);
    for _ in 0..MANY {
        story.client.enqueue(Page { text: " ".repeat(LARGE) }).await.unwrap();
    }
    proxy.slow(SLOW);

    let (worker, meeting) = slow_worker(&proxy, 0).await;
    until_completed(&story).await;

    assert_eq!(meeting.begun.load(Ordering::Relaxed), MANY, "none was begun twice");
    proxy.heal().await;
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn large_results_that_come_at_once_are_settled_by_calls_that_a_slow_link_carries() {
    let story = Story::begin().await;
    let proxy = Proxy::to(&story.redis);
    proxy.slow(SLOW);
    let largest = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&largest);
    // It loses nothing, and only looks.
    let _looks = proxy.lose_request_when(move |words| {
        seen.fetch_max(words.iter().map(|word| word.len()).sum(), Ordering::Relaxed);
        false
    });

    let (worker, _) = slow_worker(&proxy, LARGE).await;
    story.client.enqueue_all((0..MANY).map(|_| Page { text: String::new() })).await.unwrap();
    until_completed(&story).await;

    let largest = largest.load(Ordering::Relaxed);
    assert!(largest < 5 * 1024 * 1024, "{largest} bytes in one call");
    proxy.heal().await;
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn jobs_whose_records_came_are_started_though_the_rest_did_not() {
    const JOBS: u64 = 120;
    let story = Story::begin().await;
    let proxy = Proxy::to(&story.redis);
    let client = Client::connect(proxy.url()).await.unwrap();
    let worker = story.worker_with(&client, 1000, |worker| worker);
    // Its scripts are loaded by then, so that a call can be told by the script's name.
    let before = story.enqueue(JOBS, Does::Succeed).await;
    story.until_state(&before, JobState::Completed).await;
    let lost = proxy.lose_reply_of(&script::WORKER_TURN.sha);
    let jobs = story.queue().keys().get(QueueKey::jobs).to_owned();
    let mut read = 0;
    let second = proxy.lose_request_when(move |words| {
        read += u32::from(words.starts_with(&[b"HMGET", jobs.as_bytes()]));
        read == 2
    });

    story.client.enqueue_all((0..JOBS).map(|number| act(number, Does::Wait))).await.unwrap();
    lost.await;
    second.await;
    until("all have begun", async || story.trace.started().len() as u64 == JOBS + 1).await;

    (0..JOBS).for_each(|number| story.trace.open(number));
    story.until_finished(JOBS as usize + 1).await;
    assert_eq!(story.trace.started().len() as u64, JOBS + 1, "none was begun twice");
    worker.stop().await;
    story.all_adds_up().await;
}
