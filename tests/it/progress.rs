//! What handlers say about themselves while they run.

use ergate::{Metrics, prelude::*};
use serde_json::json;

use crate::{
    story::{QUEUE, RunningWorker, Story},
    support::until,
};

/// Says these things, and ends when the gate opens.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Talk {
    progress: Vec<serde_json::Value>,
    lines: Vec<String>,
    fails: bool,
}

impl Job for Talk {
    const NAME: &str = "talk";
    const QUEUE: &str = QUEUE;
    const RETRIES: u32 = 0;
}

#[derive(Debug, Clone)]
struct Gate(std::sync::Arc<tokio::sync::Semaphore>);

impl Gate {
    fn open() -> Self {
        Self(std::sync::Arc::new(tokio::sync::Semaphore::new(1000)))
    }

    fn closed() -> Self {
        Self(std::sync::Arc::new(tokio::sync::Semaphore::new(0)))
    }
}

async fn talk(job: Talk, State(gate): State<Gate>, progress: Progress, log: Log) -> Result<()> {
    for value in &job.progress {
        progress.set(value);
    }
    for line in &job.lines {
        log.line(line);
    }
    gate.0.acquire().await?.forget();
    if job.fails { Err(Failure::fatal("it failed")) } else { Ok(()) }
}

fn worker(story: &Story, gate: &Gate) -> RunningWorker {
    let metrics = Metrics::new();
    let worker =
        Worker::new(story.client.clone(), gate.clone()).queue(QUEUE, 4).job(talk).metrics(metrics.clone());
    RunningWorker::start(worker, metrics)
}

/// A line without the time before it.
fn words(lines: &[String]) -> Vec<&str> {
    lines.iter().map(|line| line.split_once(' ').unwrap().1).collect()
}

#[tokio::test]
async fn progress_is_seen_while_the_job_runs() {
    let story = Story::begin().await;
    let gate = Gate::closed();
    let worker = worker(&story, &gate);
    let receipt =
        story.client.enqueue(Talk { progress: vec![json!(0.25)], ..Talk::default() }).await.unwrap();
    let job = story.job(&receipt.id);

    until("it says so", async || job.get().await.unwrap().progress.as_deref() == Some("0.25")).await;

    assert_eq!(job.status().await.unwrap(), JobState::Leased);
    gate.0.add_permits(1);
    story.until_state(&receipt.id, JobState::Completed).await;
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn progress_may_be_any_json_and_the_last_word_counts() {
    let story = Story::begin().await;
    let worker = worker(&story, &Gate::open());
    let last = json!({"step": "upload", "done": 3, "of": 7, "big": 9_007_199_254_740_993_u64, "empty": []});

    let progress = vec![json!(0), json!("half"), json!(1), last.clone()];
    let receipt = story.client.enqueue(Talk { progress, ..Talk::default() }).await.unwrap();
    story.until_state(&receipt.id, JobState::Completed).await;

    let view = story.job(&receipt.id).get().await.unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&view.progress.unwrap()).unwrap(), last);
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn what_was_said_just_before_the_end_is_kept() {
    let story = Story::begin().await;
    let worker = worker(&story, &Gate::open());
    let talk = |fails| Talk { progress: vec![json!(1)], lines: vec!["done".to_owned()], fails };

    let completed = story.client.enqueue(talk(false)).await.unwrap();
    let dead = story.client.enqueue(talk(true)).await.unwrap();
    story.until_state(&completed.id, JobState::Completed).await;
    story.until_state(&dead.id, JobState::Dead).await;

    for receipt in [&completed, &dead] {
        let job = story.job(&receipt.id);
        assert_eq!(job.get().await.unwrap().progress.as_deref(), Some("1"));
        assert_eq!(words(&job.log().await.unwrap()), ["done"]);
    }
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn log_lines_are_kept_in_order_with_the_time_they_were_written() {
    let story = Story::begin().await;
    let worker = worker(&story, &Gate::open());
    let lines = vec!["first".to_owned(), "two\nlines".to_owned(), "caf\u{e9} \u{2713}".to_owned()];

    let before = story.queue().stats().await.unwrap().now;
    let receipt = story.client.enqueue(Talk { lines, ..Talk::default() }).await.unwrap();
    story.until_state(&receipt.id, JobState::Completed).await;

    let log = story.job(&receipt.id).log().await.unwrap();
    assert_eq!(words(&log), ["first", "two lines", "caf\u{e9} \u{2713}"]);
    let after = story.queue().stats().await.unwrap().now;
    for line in &log {
        let at: u64 = line.split_once(' ').unwrap().0.parse().unwrap();
        assert!((before - 1000..=after + 1000).contains(&at), "{at} is not from {before} to {after}");
    }
    worker.stop().await;
}

#[tokio::test]
async fn of_a_long_log_the_newest_whole_lines_are_kept() {
    let story = Story::begin().await;
    let worker = worker(&story, &Gate::open());
    let lines: Vec<_> = (0..400).map(|n| format!("{n:03} {}", "x".repeat(300))).collect();

    let receipt = story.client.enqueue(Talk { lines: lines.clone(), ..Talk::default() }).await.unwrap();
    story.until_state(&receipt.id, JobState::Completed).await;

    let log = story.job(&receipt.id).log().await.unwrap();
    let size: usize = log.iter().map(|line| line.len() + 1).sum();
    assert!((60 * 1024..=64 * 1024).contains(&size), "{size} bytes are kept");
    assert_eq!(words(&log), lines[400 - log.len()..]);
    worker.stop().await;
}

#[tokio::test]
async fn a_single_line_over_the_limit_leaves_the_log_readable() {
    let story = Story::begin().await;
    let worker = worker(&story, &Gate::open());
    let lines = vec!["x".repeat(100 * 1024), "short".to_owned()];

    let receipt = story.client.enqueue(Talk { lines, ..Talk::default() }).await.unwrap();
    story.until_state(&receipt.id, JobState::Completed).await;

    let log = story.job(&receipt.id).log().await.unwrap();
    assert_eq!(words(&log), ["short"]);
    worker.stop().await;
}

#[tokio::test]
async fn a_job_that_says_nothing_has_no_log() {
    let story = Story::begin().await;
    let worker = worker(&story, &Gate::open());

    let receipt = story.client.enqueue(Talk::default()).await.unwrap();
    story.until_state(&receipt.id, JobState::Completed).await;

    assert_eq!(story.job(&receipt.id).log().await.unwrap(), Vec::<String>::new());
    assert_eq!(story.job(&receipt.id).get().await.unwrap().progress, None);
    worker.stop().await;
}

#[tokio::test]
async fn an_attempt_that_lost_its_lease_writes_nothing() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.enqueue(crate::story::by_hand::Entry::new("a")).await;
    queue.join("w").await;
    let leased = queue.lease("w", 1).await;
    let note = async |token: &str| -> Vec<String> {
        let call = ergate_shared::script::WORKER_NOTE
            .on(story.queue().keys())
            .number(1000)
            .arg("progress")
            .arg("a")
            .arg(token)
            .arg("0.5")
            .arg("log")
            .arg("a")
            .arg(token)
            .arg("a line");
        story.client.redis().run(&call).await.unwrap()
    };

    let lost = note("w.999").await;
    let before = story.queue().job("a").unwrap().get().await.unwrap().progress;
    let kept = note(&leased[0].token).await;

    assert_eq!(lost, ["a", "a"]);
    assert_eq!(before, None);
    assert_eq!(kept, Vec::<String>::new());
    assert_eq!(story.queue().job("a").unwrap().log().await.unwrap(), ["a line"]);
}

/// Says how far it is all the time, until it is told to end; or ends at once.
#[derive(Debug, Serialize, Deserialize)]
struct Chatter {
    ends: bool,
}

impl Job for Chatter {
    const NAME: &str = "chatter";
    const QUEUE: &str = QUEUE;
}

#[tokio::test]
async fn a_handler_that_never_stops_talking_holds_up_no_other_and_hears_that_it_is_cancelled() {
    async fn chatter(job: Chatter, progress: Progress, cancelled: Cancelled) -> Result<()> {
        for number in 0_u64.. {
            if job.ends {
                break;
            }
            if cancelled.is_cancelled() {
                return Err(Failure::retry("told to end"));
            }
            progress.set(number);
            tokio::task::yield_now().await;
        }
        Ok(())
    }
    let story = Story::begin().await;
    let worker = Worker::new(story.client.clone(), ()).queue(QUEUE, 4).job(chatter);
    let worker = RunningWorker::start(worker, Metrics::new());
    let talks = story.client.enqueue(Chatter { ends: false }).await.unwrap();
    until("it talks", async || story.job(&talks.id).get().await.unwrap().progress.is_some()).await;

    let other = story.client.enqueue(Chatter { ends: true }).await.unwrap();
    story.until_state(&other.id, JobState::Completed).await;
    story.job(&talks.id).cancel("enough").await.unwrap();
    story.until_state(&talks.id, JobState::Cancelled).await;

    worker.stop().await;
    story.all_adds_up().await;
}
