//! Looking at jobs: one by one, by state, and as they end.

use std::collections::BTreeSet;

use ergate::{Error, JobName, JobView, Page, prelude::*};

use crate::{
    story::{
        Does, QUEUE, Story, act,
        by_hand::{Entry, plain},
    },
    support::until,
};

mod editing;
mod waiting;

/// The ids of every page, in order.
async fn pages(story: &Story, state: JobState, limit: usize) -> Vec<Vec<String>> {
    let (mut pages, mut cursor) = (Vec::new(), None);
    loop {
        let page: Page<JobView> = story.queue().list(state, cursor.as_deref(), limit).await.unwrap();
        pages.push(page.items.into_iter().map(|view| view.id.to_string()).collect());
        cursor = page.next;
        if cursor.is_none() {
            return pages;
        }
    }
}

#[tokio::test]
async fn a_job_shows_what_was_enqueued() {
    let story = Story::begin().await;
    let before = story.queue().stats().await.unwrap().now;

    let receipt = story
        .client
        .enqueue(act(7, Does::Succeed))
        .priority(Priority::High)
        .retries(9)
        .timeout(Duration::from_secs(90))
        .backoff(Backoff::linear(Duration::from_secs(5)))
        .on_exhausted(OnExhausted::Discard)
        .unique(Unique::until_finished("org-7"))
        .tags(["red", "blue"])
        .traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .await
        .unwrap();

    let view = story.job(&receipt.id).get().await.unwrap();
    assert_eq!((view.id.clone(), view.queue.as_str(), view.state), (receipt.id, QUEUE, JobState::Ready));
    assert_eq!(view.name(), "act");
    let record = view.record.clone().unwrap();
    assert_eq!(record.priority, Priority::High);
    assert_eq!(record.unique.unwrap().1, "org-7");
    assert!((before - 1000..before + 20_000).contains(&record.enqueued_at));
    assert_eq!(record.payload, serde_json::to_vec(&act(7, Does::Succeed)).unwrap());
    let options = record.options;
    assert_eq!((options.retries, options.timeout), (Some(9), Some(Duration::from_secs(90))));
    assert_eq!(options.backoff, Some(Backoff::linear(Duration::from_secs(5))));
    assert_eq!(options.on_exhausted, Some(OnExhausted::Discard));
    assert_eq!(options.tags, ["red", "blue"]);
    assert!(options.traceparent.unwrap().starts_with("00-0af7"));
    let json = view.to_json();
    assert_eq!((&json["state"], &json["priority"]), (&"ready".into(), &3.into()));
    assert_eq!(json["payload"]["number"], 7);
}

#[tokio::test]
async fn payloads_are_kept_as_they_were_written() {
    let story = Story::begin().await;
    let payload = r#"{ "big":9007199254740993, "precise": 1.10, "empty":[], "none":{}, "text":"\u00e9\n" }"#;
    let (queue, name) = (QUEUE.parse().unwrap(), JobName::new("raw").unwrap());

    let receipt = story.client.enqueue_raw(queue, name, payload).await.unwrap();

    let record = story.job(&receipt.id).get().await.unwrap().record.unwrap();
    assert_eq!(record.payload, payload.as_bytes());
}

#[tokio::test]
async fn a_running_job_shows_who_runs_it() {
    let story = Story::begin().await;
    let worker = story.worker(1);
    let id = story.enqueue(1, Does::Wait).await;
    story.until_started(1).await;

    let view = story.job(&id).get().await.unwrap();

    assert_eq!(view.state, JobState::Leased);
    until("the worker says who it is", async || {
        let workers = story.client.workers().await.unwrap();
        workers.iter().any(|process| {
            process.queues.iter().any(|queue| Some(&queue.worker) == view.worker.as_ref() && queue.slots == 1)
        })
    })
    .await;
    story.trace.open(1);
    story.until_state(&id, JobState::Completed).await;
    worker.stop().await;
}

#[tokio::test]
async fn a_job_that_never_was_is_not_found() {
    let story = Story::begin().await;
    let job = story.client.job(QUEUE, "nobody").unwrap();

    for error in
        [job.get().await.unwrap_err(), job.status().await.unwrap_err(), job.remove().await.unwrap_err()]
    {
        assert!(error.is_not_found(), "{error}");
    }
}

#[tokio::test]
async fn jobs_are_counted_by_state() {
    let story = Story::begin().await;
    let worker = story.worker(1);
    let dead = story.enqueue(1, Does::FailForGood).await;
    let completed = story.enqueue(2, Does::Succeed).await;
    story.until_state(&dead, JobState::Dead).await;
    story.until_state(&completed, JobState::Completed).await;
    let leased = story.enqueue(3, Does::Wait).await;
    story.until_started(3).await;
    for number in 4..7 {
        story.enqueue(number, Does::Succeed).await;
    }
    let cancelled = story.enqueue(7, Does::Succeed).await;
    story.job(&cancelled).cancel("why").await.unwrap();
    for number in 8..10 {
        story.client.enqueue(act(number, Does::Succeed)).delay(Duration::from_hours(1)).await.unwrap();
    }

    let counts = story.queue().counts().await.unwrap();

    let expected = [
        (JobState::Scheduled, 2),
        (JobState::Ready, 3),
        (JobState::Leased, 1),
        (JobState::Completed, 1),
        (JobState::Cancelled, 1),
        (JobState::Dead, 1),
    ];
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), expected);
    story.trace.open(3);
    story.until_state(&leased, JobState::Completed).await;
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn the_age_of_the_first_ready_job_is_known() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.now = story.queue().stats().await.unwrap().now - 5000;
    queue.enqueue(Entry::new("a")).await;

    let age = story.queue().stats().await.unwrap().oldest_ready_ms.unwrap();

    assert!((5000..25_000).contains(&age), "{age}");
}

#[tokio::test]
async fn ready_jobs_are_listed_in_the_order_they_will_run() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue
        .enqueue_all(&[
            Entry::new("plain-1"),
            Entry::new("plain-2"),
            Entry::new("low").priority(8),
            Entry::new("high").priority(2),
        ])
        .await;

    let listed = pages(&story, JobState::Ready, 100).await.concat();
    queue.join("w").await;
    let run: Vec<_> = queue.lease("w", 10).await.into_iter().map(|job| job.id).collect();

    assert_eq!(listed, run);
}

#[tokio::test]
async fn every_state_is_listed_page_by_page() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    let names = |state: &str| -> Vec<String> { (0..25).map(|n| format!("{state}-{n:02}")).collect() };
    queue.join("w").await;
    for state in ["completed", "cancelled", "dead", "leased"] {
        for name in names(state) {
            queue.enqueue(Entry::new(name)).await;
        }
    }
    for job in queue.lease("w", 100).await {
        match job.id.split('-').next().unwrap() {
            "completed" => queue.settle("w", &[job.complete("1")]).await,
            "cancelled" => queue.settle("w", &[job.cancel("why")]).await,
            "dead" => queue.settle("w", &[job.bury()]).await,
            _ => {}
        }
        queue.pass(1);
    }
    for (n, name) in names("scheduled").iter().enumerate() {
        queue.enqueue(Entry::new(name).delay(10_000 + n as u64)).await;
    }
    for name in names("ready") {
        queue.enqueue(Entry::new(name)).await;
    }

    for state in JobState::ALL {
        let pages = pages(&story, state, 10).await;
        let listed = pages.concat();
        let expected = names(state.as_str());
        match state {
            JobState::Leased => {
                let listed: BTreeSet<_> = listed.into_iter().collect();
                assert_eq!(listed, expected.into_iter().collect(), "{state}");
            }
            JobState::Ready | JobState::Scheduled => assert_eq!(listed, expected, "{state}"),
            _ => assert_eq!(listed, expected.into_iter().rev().collect::<Vec<_>>(), "{state}"),
        }
        if state != JobState::Leased {
            assert!(pages.iter().all(|page| page.len() <= 10), "{state}");
        }
    }
}

#[tokio::test]
async fn a_cancelled_job_is_not_listed_as_ready() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.enqueue_all(&plain(&["a", "b", "c"])).await;
    queue.cancel("b", "why").await;

    assert_eq!(pages(&story, JobState::Ready, 2).await.concat(), ["a", "c"]);
    assert_eq!(pages(&story, JobState::Cancelled, 2).await.concat(), ["b"]);
}

#[tokio::test]
async fn a_job_that_was_postponed_and_promoted_is_listed_once() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.enqueue_all(&plain(&["a", "b"])).await;

    queue.reschedule("a", "+1000").await;
    queue.reschedule("a", "").await;

    assert_eq!(pages(&story, JobState::Ready, 10).await.concat(), ["b", "a"]);
}

#[tokio::test]
async fn a_cursor_nobody_gave_is_refused() {
    let story = Story::begin().await;
    story.enqueue(1, Does::Succeed).await;

    for cursor in ["", "x", "7-0", "0", "-1", "0-x", "0-18446744073709551616"] {
        let error = story.queue().list(JobState::Ready, Some(cursor), 10).await.unwrap_err();
        assert!(matches!(error, Error::Option(_)), "{cursor:?}: {error}");
        assert_eq!(error.to_string(), format!("cursor {cursor:?} is not one that a page gave"));
    }
}

#[tokio::test]
async fn a_cursor_far_beyond_the_end_finds_nothing() {
    let story = Story::begin().await;
    story.enqueue(1, Does::Succeed).await;

    for cursor in ["1-1000000", "1-18446744073709551615"] {
        for state in JobState::ALL {
            let Ok(page) = story.queue().list(state, Some(cursor), 10).await else { continue };
            assert!(page.items.is_empty(), "{state} {cursor}");
        }
    }
}
