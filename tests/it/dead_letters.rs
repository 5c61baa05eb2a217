//! What failed for good, and what people do about it.

use ergate::{Error, FailureKind, Filter, JobName, Priority, QueueName, Redriven, prelude::*};
use ergate_shared::key::QueueKey;

use crate::{
    story::{
        Does, QUEUE, RunningWorker, Story, act,
        by_hand::{ByHand, Entry, plain},
    },
    support::until,
};

/// Jobs that fail for good, in this order.
async fn bury(story: &Story, numbers: std::ops::Range<u64>) -> (Vec<JobId>, RunningWorker) {
    let worker = story.worker(1);
    let mut ids = Vec::new();
    for number in numbers {
        let id = story.enqueue(number, Does::FailForGood).await;
        story.until_state(&id, JobState::Dead).await;
        ids.push(id);
    }
    (ids, worker)
}

async fn listed(story: &Story) -> Vec<JobId> {
    story.queue().dead().list(None, 100).await.unwrap().items.into_iter().map(|view| view.id).collect()
}

#[tokio::test]
async fn a_dead_letter_keeps_payload_failure_and_history() {
    let story = Story::begin().await;
    let worker = story.worker(1);
    let receipt = story.client.enqueue(act(7, Does::Fail(9))).retries(1).tags(["red"]).await.unwrap();
    story.until_state(&receipt.id, JobState::Dead).await;

    let view = story.queue().dead().show(receipt.id.as_str()).await.unwrap();

    let record = view.record.unwrap();
    assert_eq!(record.name.as_str(), "act");
    assert_eq!(record.options.tags, ["red"]);
    assert_eq!(record.payload, serde_json::to_vec(&act(7, Does::Fail(9))).unwrap());
    let failure = view.failure.unwrap();
    assert_eq!((failure.kind, failure.attempt), (FailureKind::Error, 2));
    assert_eq!(failure.message, "failure 2 of 9");
    assert!(!failure.worker.is_empty());
    assert_eq!(view.tries.failures, 2);
    assert!(view.at.is_some());
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn the_alert_hook_hears_of_each_dead_letter_once() {
    let story = Story::begin().await;

    let (ids, worker) = bury(&story, 1..3).await;

    let dead = story.trace.dead();
    assert_eq!(dead.iter().map(|dead| dead.id.clone()).collect::<Vec<_>>(), ids);
    assert_eq!((dead[0].name.as_str(), dead[0].queue.as_str()), ("act", QUEUE));
    assert_eq!(dead[0].failure.message, "no use trying again");
    assert_eq!(dead[0].tries.failures, 1);
    worker.stop().await;
}

#[tokio::test]
async fn dead_letters_are_listed_page_by_page_the_last_first() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    let names: Vec<String> = (0..25).map(|n| format!("{n:02}")).collect();
    queue.join("w").await;
    for name in &names {
        queue.enqueue(Entry::new(name)).await;
        let leased = queue.lease("w", 1).await;
        queue.settle("w", &[leased[0].bury()]).await;
        queue.pass(1);
    }

    let (mut pages, mut cursor) = (Vec::new(), None);
    loop {
        let page = story.queue().dead().list(cursor.as_deref(), 10).await.unwrap();
        pages.push(page.items.into_iter().map(|view| view.id.to_string()).collect::<Vec<_>>());
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }

    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 5]);
    assert_eq!(pages.concat(), names.into_iter().rev().collect::<Vec<_>>());
}

#[tokio::test]
async fn only_dead_letters_are_shown_as_such() {
    let story = Story::begin().await;
    let id = story.enqueue(1, Does::Succeed).await;

    let ready = story.queue().dead().show(id.as_str()).await.unwrap_err();
    let unknown = story.queue().dead().show("nobody").await.unwrap_err();

    assert_eq!(ready.to_string(), format!("job {id} is ready and cannot be shown as a dead letter"));
    assert!(unknown.is_not_found());
}

#[tokio::test]
async fn one_dead_letter_is_redriven_with_all_its_attempts() {
    let story = Story::begin().await;
    let worker = story.worker(1);
    let receipt = story.client.enqueue(act(1, Does::Fail(2))).retries(0).await.unwrap();
    story.until_state(&receipt.id, JobState::Dead).await;

    story.queue().dead().redrive(receipt.id.as_str(), None).await.unwrap();
    until("it is dead again", async || story.trace.dead().len() == 2).await;

    assert_eq!(story.trace.attempts(1), [1, 1]);
    let view = story.job(&receipt.id).get().await.unwrap();
    assert_eq!((view.state, view.tries.failures), (JobState::Dead, 1));
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_redriven_job_has_lost_its_old_failure() {
    let story = Story::begin().await;
    let (ids, worker) = bury(&story, 1..2).await;
    worker.stop().await;

    story.queue().dead().redrive(ids[0].as_str(), None).await.unwrap();

    let view = story.job(&ids[0]).get().await.unwrap();
    assert_eq!((view.state, view.failure), (JobState::Ready, None));
    assert_eq!(view.tries, ergate::Tries::default());
}

#[tokio::test]
async fn a_redriven_job_that_is_no_run_gets_no_journal() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.enqueue_all(&plain(&["a"])).await;
    queue.join("w").await;
    let leased = queue.lease("w", 1).await;
    queue.settle("w", &[leased[0].bury()]).await;

    assert_eq!(queue.retry("a").await, "ok");

    let exists = redis::cmd("EXISTS").arg(queue.key(QueueKey::steps)).to_owned();
    assert!(!story.client.redis().command::<bool>("EXISTS", &exists).await.unwrap());
}

#[tokio::test]
async fn a_dead_letter_is_redriven_with_an_edited_payload() {
    let story = Story::begin().await;
    let (ids, worker) = bury(&story, 1..2).await;

    let payload = serde_json::to_value(act(42, Does::Succeed)).unwrap();
    story.queue().dead().redrive(ids[0].as_str(), Some(&payload)).await.unwrap();
    let result: u64 = story.job(&ids[0]).result(Duration::from_secs(10)).await.unwrap();

    assert_eq!(result, 42);
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn an_edited_payload_over_the_limit_is_refused_and_the_letter_stays() {
    let story = Story::begin().await;
    let (ids, worker) = bury(&story, 1..2).await;

    let huge = serde_json::Value::String("x".repeat(600 * 1024));
    let error = story.queue().dead().redrive(ids[0].as_str(), Some(&huge)).await.unwrap_err();

    assert!(matches!(error, Error::TooLarge { limit: 524_288, .. }), "{error}");
    assert_eq!(listed(&story).await, ids);
    worker.stop().await;
}

/// More than two pages of dead letters, by name in the order in which they died, each a millisecond after the one before.
async fn bury_450(queue: &mut ByHand) -> Vec<String> {
    let names: Vec<String> = (0..450).map(|n| format!("{n:03}")).collect();
    queue.join("w").await;
    for page in names.chunks(50) {
        queue.enqueue_all(&plain(&page.iter().map(String::as_str).collect::<Vec<_>>())).await;
        for job in queue.lease("w", 50).await {
            queue.settle("w", &[job.bury()]).await;
            queue.pass(1);
        }
    }
    names
}

#[tokio::test]
async fn all_dead_letters_are_redriven_the_longest_dead_first() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    let names = bury_450(&mut queue).await;
    let mut told = Vec::new();

    let redriven =
        story.queue().dead().redrive_all(&Filter::default(), None, false, |so_far| told.push(so_far)).await;

    assert_eq!(redriven.unwrap(), Redriven { redriven: 450, left: 0 });
    assert_eq!(told, [200, 400, 450]);
    queue.join("w2").await;
    let order: Vec<_> = queue.lease("w2", 450).await.into_iter().map(|job| job.id).collect();
    assert_eq!(order, names);
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_dry_run_counts_and_changes_nothing() {
    let story = Story::begin().await;
    let (ids, worker) = bury(&story, 0..3).await;
    worker.stop().await;

    let would = story.queue().dead().redrive_all(&Filter::default(), None, true, |_| {}).await.unwrap();

    assert_eq!(would, Redriven { redriven: 3, left: 0 });
    assert_eq!(listed(&story).await, ids.into_iter().rev().collect::<Vec<_>>());
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_filter_picks_by_name_kind_message_tag_and_time() {
    let story = Story::begin().await;
    let worker = story.worker(1);
    let buried = async |number, does, tag: &str| {
        let receipt = story.client.enqueue(act(number, does)).retries(0).tags([tag]).await.unwrap();
        story.until_state(&receipt.id, JobState::Dead).await;
        receipt.id
    };
    let fatal = buried(1, Does::FailForGood, "red").await;
    let panicked = buried(2, Does::Panic, "blue").await;
    let failed = buried(3, Does::Fail(5), "blue").await;
    worker.stop().await;
    let died = async |id: &JobId| story.job(id).get().await.unwrap().at.unwrap();
    let last = died(&failed).await;

    let count = async |filter: Filter| {
        story.queue().dead().redrive_all(&filter, None, true, |_| {}).await.unwrap().redriven
    };
    let any = Filter::default;
    assert_eq!(count(Filter { name: Some("act".to_owned()), ..any() }).await, 3);
    assert_eq!(count(Filter { name: Some("other".to_owned()), ..any() }).await, 0);
    assert_eq!(count(Filter { kind: Some(FailureKind::Panic), ..any() }).await, 1);
    assert_eq!(count(Filter { message: Some("no use".to_owned()), ..any() }).await, 1);
    assert_eq!(count(Filter { tag: Some("blue".to_owned()), ..any() }).await, 2);
    assert_eq!(count(Filter { since: Some(last), ..any() }).await, 1);
    assert_eq!(count(Filter { since: Some(last + 1), ..any() }).await, 0);
    assert_eq!(count(Filter { until: Some(last), ..any() }).await, 2);
    assert_eq!(count(Filter { until: Some(last + 1), ..any() }).await, 3);

    let blue_panics =
        Filter { tag: Some("blue".to_owned()), kind: Some(FailureKind::Panic), ..Filter::default() };
    story.queue().dead().redrive_all(&blue_panics, None, false, |_| {}).await.unwrap();

    assert_eq!(story.state(&panicked).await, Some(JobState::Ready));
    assert_eq!(story.state(&fatal).await, Some(JobState::Dead));
    assert_eq!(story.state(&failed).await, Some(JobState::Dead));
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_redrive_at_a_rate_spaces_the_jobs_evenly() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    let names = bury_450(&mut queue).await;

    story.queue().dead().redrive_all(&Filter::default(), Some(0.5), false, |_| {}).await.unwrap();

    let due: Vec<(String, f64)> = story
        .redis
        .ask(&["ZRANGE", queue.key(ergate_shared::key::QueueKey::scheduled), "0", "-1", "WITHSCORES"])
        .await;
    assert_eq!(queue.state("000").await, Some(JobState::Ready), "the first goes out at once");
    assert_eq!(due.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), names[1..]);
    let gaps = due.windows(2).map(|pair| pair[1].1 - pair[0].1);
    let (within, between): (Vec<f64>, Vec<f64>) = gaps.partition(|gap| (gap - 2000.0).abs() < 2.0);
    // Between two pages of 200 lies the time the second call came later than the first.
    assert!(within.len() >= 446 && between.len() <= 2, "{between:?}");
    assert!(between.iter().all(|gap| *gap > 2000.0), "{between:?}");
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_redrive_at_no_rate_at_all_is_refused() {
    let story = Story::begin().await;
    let (ids, worker) = bury(&story, 1..2).await;

    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = story.queue().dead().redrive_all(&Filter::default(), Some(rate), false, |_| {}).await;
        let error = error.unwrap_err();
        assert!(matches!(error, Error::Option(_)), "{error}");
    }

    assert_eq!(listed(&story).await, ids);
    worker.stop().await;
}

#[tokio::test]
async fn what_cannot_be_redriven_is_left_and_counted() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    let job = |id: &str| Entry::new(id).unique(ergate::UniqueScope::Finished, "k");
    queue.join("w").await;
    for id in ["first", "second"] {
        queue.enqueue(job(id)).await;
        let leased = queue.lease("w", 1).await;
        queue.settle("w", &[leased[0].bury()]).await;
        queue.pass(1);
    }

    let redriven = story.queue().dead().redrive_all(&Filter::default(), None, false, |_| {}).await.unwrap();

    assert_eq!(redriven, Redriven { redriven: 1, left: 1 });
    assert_eq!(queue.state("first").await, Some(JobState::Ready));
    assert_eq!(queue.state("second").await, Some(JobState::Dead));
    story.all_adds_up().await;
}

#[tokio::test]
async fn only_what_matches_is_purged() {
    let story = Story::begin().await;
    let worker = story.worker(1);
    let mut ids = Vec::new();
    for (number, tag) in [(1, "old"), (2, "new"), (3, "old")] {
        let enqueue = story.client.enqueue(act(number, Does::FailForGood)).tags([tag]);
        let receipt = enqueue.await.unwrap();
        story.until_state(&receipt.id, JobState::Dead).await;
        ids.push(receipt.id);
    }

    let old = Filter { tag: Some("old".to_owned()), ..Filter::default() };
    let mut told = Vec::new();
    let removed = story.queue().dead().purge(&old, |so_far| told.push(so_far)).await.unwrap();

    assert_eq!((removed, told), (2, vec![2]));
    assert_eq!(listed(&story).await, [ids[1].clone()]);
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn what_died_after_the_time_that_is_meant_is_not_purged() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.join("w").await;
    for id in ["before", "after"] {
        queue.enqueue(Entry::new(id)).await;
        let leased = queue.lease("w", 1).await;
        queue.settle("w", &[leased[0].bury()]).await;
        queue.pass(1);
    }
    let until = story.queue().job("after").unwrap().get().await.unwrap().at;

    let meant = Filter { until, ..Filter::default() };
    let removed = story.queue().dead().purge(&meant, |_| {}).await.unwrap();

    assert_eq!(removed, 1);
    assert_eq!((queue.state("before").await, queue.state("after").await), (None, Some(JobState::Dead)));
}

#[tokio::test]
async fn redriving_is_the_same_for_jobs_with_a_priority() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.enqueue(Entry::new("urgent").priority(1)).await;
    queue.join("w").await;
    let leased = queue.lease("w", 1).await;
    queue.settle("w", &[leased[0].bury()]).await;
    queue.enqueue(Entry::new("plain")).await;

    story.queue().dead().redrive("urgent", None).await.unwrap();
    let order: Vec<_> = queue.lease("w", 2).await.into_iter().map(|job| job.id).collect();

    assert_eq!(order, ["urgent", "plain"]);
    let view = story.queue().job("urgent").unwrap().get().await.unwrap();
    assert_eq!(view.record.unwrap().priority, Priority::Highest);
}

#[tokio::test]
async fn an_undecodable_payload_is_dead_at_once_with_its_bytes_kept() {
    let story = Story::begin().await;
    let worker = story.worker(1);
    let (queue, name) = (QueueName::new(QUEUE).unwrap(), JobName::new("act").unwrap());
    let payload = r#"{"number": "seven", "big": 123456789012345678901234567890, "list": []}"#;

    let receipt = story.client.enqueue_raw(queue, name, payload).await.unwrap();
    story.until_state(&receipt.id, JobState::Dead).await;

    let view = story.queue().dead().show(receipt.id.as_str()).await.unwrap();
    let failure = view.failure.unwrap();
    assert_eq!((failure.kind, failure.attempt), (FailureKind::Decode, 1));
    assert_eq!(failure.message, "payload is no act");
    assert!(failure.chain[0].contains("invalid type: string \"seven\""), "{:?}", failure.chain);
    assert_eq!(view.record.unwrap().payload, payload.as_bytes());
    assert_eq!(story.trace.started(), Vec::<u64>::new());
    worker.stop().await;
    story.all_adds_up().await;
}
