//! At most one job per key.

use ergate::{Error, UniqueScope, prelude::*};

use crate::{
    story::{Does, Story, act, by_hand::Entry},
    support::until,
};

#[tokio::test]
async fn a_second_job_with_a_held_key_is_refused_and_told_who_holds_it() {
    let story = Story::begin().await;
    let enqueue =
        |number| story.client.enqueue(act(number, Does::Succeed)).unique(Unique::until_finished("org-7"));
    let first = enqueue(1).await.unwrap();

    let error = enqueue(2).await.unwrap_err();

    assert!(
        matches!(&error, Error::Duplicate { key, holder, .. } if key == "org-7" && *holder == first.id),
        "{error}"
    );
    assert_eq!(error.to_string(), format!("unique key \"org-7\" of queue story is held by job {}", first.id));
    assert_eq!(story.queue().stats().await.unwrap().records, 1);
}

#[tokio::test]
async fn a_second_job_may_be_ignored_and_its_receipt_names_the_first() {
    let story = Story::begin().await;
    let enqueue = |number| {
        story.client.enqueue(act(number, Does::Succeed)).unique(Unique::until_finished("org-7").ignore())
    };
    let first = enqueue(1).await.unwrap();

    let second = enqueue(2).await.unwrap();

    assert!(!first.duplicate && second.duplicate);
    assert_eq!(second.id, first.id);
    assert_eq!(story.queue().stats().await.unwrap().records, 1);
}

#[tokio::test]
async fn a_second_job_may_take_the_place_of_one_that_waits() {
    let story = Story::begin().await;
    let unique = || Unique::until_finished("org-7").replace();
    let first = story.client.enqueue(act(1, Does::Succeed)).unique(unique()).await.unwrap();
    let delayed = story.client.enqueue(act(2, Does::Succeed)).unique(unique());
    let delayed = delayed.delay(Duration::from_hours(1)).await.unwrap();

    let third = story.client.enqueue(act(3, Does::Succeed)).unique(unique()).await.unwrap();
    let worker = story.worker(1);
    story.until_state(&third.id, JobState::Completed).await;

    assert_eq!(story.state(&first.id).await, None);
    assert_eq!(story.state(&delayed.id).await, None);
    assert_eq!(story.trace.started(), [3]);
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_job_that_runs_is_not_replaced() {
    let story = Story::begin().await;
    let worker = story.worker(1);
    let unique = || Unique::until_finished("org-7").replace();
    let first = story.client.enqueue(act(1, Does::Wait)).unique(unique()).await.unwrap();
    story.until_started(1).await;

    let error = story.client.enqueue(act(2, Does::Succeed)).unique(unique()).await.unwrap_err();

    assert!(matches!(&error, Error::Duplicate { holder, .. } if *holder == first.id), "{error}");
    story.trace.open(1);
    story.until_state(&first.id, JobState::Completed).await;
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn somebody_who_waits_for_a_replaced_job_hears_that_it_is_gone() {
    let story = Story::begin().await;
    let unique = || Unique::until_finished("org-7").replace();
    let first = story.client.enqueue(act(1, Does::Succeed)).unique(unique()).await.unwrap();
    let job = first.job(&story.client);
    let waiting = tokio::spawn(async move { job.ended(Duration::from_secs(15)).await });
    let watched = story.by_hand().key(ergate_shared::key::QueueKey::watched).to_owned();
    until("it is waited for", async || story.redis.ask::<bool>(&["EXISTS", &watched]).await).await;

    story.client.enqueue(act(2, Does::Succeed)).unique(unique()).await.unwrap();
    let error = waiting.await.unwrap().unwrap_err();

    assert!(error.is_not_found(), "{error}");
    assert!(!story.redis.ask::<bool>(&["EXISTS", &watched]).await);
}

#[tokio::test]
async fn a_key_held_until_started_is_free_while_its_job_runs() {
    let story = Story::begin().await;
    let worker = story.worker(2);
    let unique = || Unique::until_started("refresh");
    let first = story.client.enqueue(act(1, Does::Wait)).unique(unique()).await.unwrap();
    story.until_started(1).await;

    let second = story.client.enqueue(act(2, Does::Succeed)).unique(unique()).await.unwrap();
    story.until_state(&second.id, JobState::Completed).await;

    story.trace.open(1);
    story.until_state(&first.id, JobState::Completed).await;
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_key_held_until_finished_is_held_through_every_retry() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    let job = |id: &str| Entry::new(id).unique(UniqueScope::Finished, "k");
    queue.enqueue(job("first")).await;
    queue.join("w").await;

    let leased = queue.lease("w", 1).await;
    let while_it_runs = queue.enqueue(job("second")).await;
    queue.settle("w", &[leased[0].retry(1000)]).await;
    let between_tries = queue.enqueue(job("second")).await;
    queue.pass(1000);
    let leased = queue.lease("w", 1).await;
    queue.settle("w", &[leased[0].complete("null")]).await;
    let after_its_end = queue.enqueue(job("second")).await;

    assert_eq!((while_it_runs.as_str(), between_tries.as_str()), ("held first", "held first"));
    assert_eq!(after_its_end, "");
    story.all_adds_up().await;
}

#[tokio::test]
async fn every_end_lets_a_key_go() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.join("w").await;
    for scope in [UniqueScope::Started, UniqueScope::Finished] {
        for end in ["complete", "bury", "discard", "cancel", "cancelled", "removed", "expired"] {
            let id = format!("{scope:?}-{end}");
            let entry = Entry::new(&id).unique(scope, "k").expires_in(1000);
            assert_eq!(queue.enqueue(entry).await, "", "before {id}");

            match end {
                "cancelled" => assert_eq!(queue.cancel(&id, "why").await, "ok"),
                "removed" => assert_eq!(queue.remove(&id).await, "ok"),
                "expired" => {
                    queue.pass(1000);
                    assert_eq!(queue.sweep().await.1, 1);
                }
                end => {
                    let leased = queue.lease("w", 1).await;
                    let job = &leased[0];
                    let settle = match end {
                        "complete" => job.complete("1"),
                        "bury" => job.bury(),
                        "discard" => job.discard(),
                        _ => job.cancel("why"),
                    };
                    queue.settle("w", &[settle]).await;
                }
            }
        }
    }
    assert_eq!(queue.enqueue(Entry::new("last").unique(UniqueScope::Finished, "k")).await, "");
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_window_holds_its_key_for_exactly_that_long_whatever_becomes_of_the_job() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    let job = |id: &str| Entry::new(id).unique_within("k", 10_000);
    queue.enqueue(job("first")).await;
    queue.join("w").await;
    let leased = queue.lease("w", 1).await;
    queue.settle("w", &[leased[0].complete("1")]).await;

    queue.pass(9999);
    let within = queue.enqueue(job("second")).await;
    queue.pass(1);
    let after = queue.enqueue(job("second")).await;

    assert_eq!(within, "held first");
    assert_eq!(after, "");
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_window_that_is_over_holds_nothing_though_many_others_are_over_too() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    let jobs = |prefix: &str| -> Vec<_> {
        (0..50)
            .map(|n| Entry::new(format!("{prefix}-{n}")).unique_within(&format!("k-{n}"), 1000 + n))
            .collect()
    };
    queue.enqueue_all(&jobs("old")).await;

    queue.pass(5000);
    let last = queue.enqueue(Entry::new("new").unique_within("k-49", 1000)).await;
    let other_scope = queue.enqueue(Entry::new("new-2").unique(UniqueScope::Finished, "k-48")).await;

    assert_eq!((last.as_str(), other_scope.as_str()), ("", ""));
    story.all_adds_up().await;
}

#[tokio::test]
async fn the_window_of_an_earlier_holder_does_not_end_a_later_ones_key() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.enqueue(Entry::new("earlier").unique_within("k", 1000)).await;
    queue.remove("earlier").await;
    queue.enqueue(Entry::new("later").unique(UniqueScope::Finished, "k")).await;

    queue.pass(5000);
    queue.sweep().await;
    let outcome = queue.enqueue(Entry::new("third").unique(UniqueScope::Finished, "k")).await;

    assert_eq!(outcome, "held later");
}

#[tokio::test]
async fn a_dead_letter_is_kept_when_its_windows_key_is_taken_over() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.enqueue(Entry::new("dead").unique_within("k", 60_000)).await;
    queue.join("w").await;
    let leased = queue.lease("w", 1).await;
    queue.settle("w", &[leased[0].bury()]).await;

    let outcome = queue.enqueue(Entry::new("new").unique_within("k", 60_000).replace()).await;

    assert_eq!(outcome, "");
    assert_eq!(queue.state("dead").await, Some(JobState::Dead));
    story.all_adds_up().await;
}

#[tokio::test]
async fn an_ended_job_is_not_retried_while_another_holds_its_key() {
    let story = Story::begin().await;
    let worker = story.worker(1);
    let unique = || Unique::until_finished("org-7");
    let dead = story.client.enqueue(act(1, Does::FailForGood)).unique(unique()).await.unwrap();
    story.until_state(&dead.id, JobState::Dead).await;
    worker.stop().await;
    let holder = story.client.enqueue(act(2, Does::Succeed)).unique(unique()).await.unwrap();

    let retried = story.job(&dead.id).retry().await.unwrap_err();
    let redriven = story.queue().dead().redrive(dead.id.as_str(), None).await.unwrap_err();

    for error in [&retried, &redriven] {
        assert!(matches!(error, Error::Duplicate { holder: by, .. } if *by == holder.id), "{error}");
    }
    assert_eq!(story.state(&dead.id).await, Some(JobState::Dead));
    story.job(&holder.id).cancel("make room").await.unwrap();
    story.job(&dead.id).retry().await.unwrap();
    assert_eq!(story.state(&dead.id).await, Some(JobState::Ready));
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_retried_job_holds_its_key_again() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    let job = |id: &str| Entry::new(id).unique(UniqueScope::Finished, "k");
    queue.enqueue(job("a")).await;
    queue.cancel("a", "why").await;

    queue.retry("a").await;

    assert_eq!(queue.enqueue(job("b")).await, "held a");
}

#[tokio::test]
async fn the_same_payload_is_enqueued_once_within_its_window() {
    let story = Story::begin().await;
    let enqueue =
        |number| story.client.enqueue(act(number, Does::Succeed)).unique_for(Duration::from_hours(1));

    enqueue(1).await.unwrap();
    let same = enqueue(1).await.unwrap_err();
    let other = enqueue(2).await;

    assert!(matches!(same, Error::Duplicate { .. }), "{same}");
    assert!(other.is_ok());
}

#[tokio::test]
async fn keys_of_different_queues_have_nothing_to_do_with_each_other() {
    let story = Story::begin().await;
    let enqueue =
        |queue| story.client.enqueue(act(1, Does::Succeed)).queue(queue).unique(Unique::until_finished("k"));

    let outcomes = (enqueue("one").await, enqueue("other").await);

    assert!(outcomes.0.is_ok() && outcomes.1.is_ok());
}

#[tokio::test]
async fn of_many_producers_at_once_one_gets_the_key() {
    let story = Story::begin().await;
    let mut producers = Vec::new();
    for number in 0..20 {
        let client = ergate::Client::connect(&story.redis.url()).await.unwrap();
        producers.push(tokio::spawn(async move {
            client.enqueue(act(number, Does::Succeed)).unique(Unique::until_finished("k")).await
        }));
    }

    let mut taken = 0;
    for producer in producers {
        match producer.await.unwrap() {
            Ok(_) => taken += 1,
            Err(error) => assert!(matches!(error, Error::Duplicate { .. }), "{error}"),
        }
    }

    assert_eq!(taken, 1);
    story.all_adds_up().await;
}

#[tokio::test]
async fn duplicates_in_a_batch_keep_nobody_else_out() {
    let story = Story::begin().await;
    let held =
        story.client.enqueue(act(0, Does::Succeed)).unique(Unique::until_finished("k-3")).await.unwrap();
    let mut number = 0;

    let receipts = story
        .client
        .enqueue_all((1..=5).map(|number| act(number, Does::Succeed)))
        .each(|job| {
            number += 1;
            job.unique(Unique::until_finished(format!("k-{number}")))
        })
        .await
        .unwrap();

    let duplicates: Vec<_> = receipts.iter().map(|receipt| receipt.duplicate).collect();
    assert_eq!(duplicates, [false, false, true, false, false]);
    assert_eq!(receipts[2].id, held.id);
    assert_eq!(story.queue().stats().await.unwrap().ready, 5);
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_start_that_its_unique_key_kept_out_is_kept_out_again_or_enqueued_when_it_is_repeated() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.join("w").await;
    let invoked = |id: &str| Entry::new(id).routed().unique(UniqueScope::Finished, "org-7");
    queue.enqueue(invoked("first")).await;

    let refused = [queue.enqueue(invoked("second")).await, queue.enqueue(invoked("second")).await];
    let first = queue.lease("w", 1).await;
    let not_replaced = queue.enqueue(invoked("second").replace()).await;
    queue.settle("w", &[first[0].complete("1")]).await;
    let taken = [queue.enqueue(invoked("second")).await, queue.enqueue(invoked("second")).await];

    assert_eq!(
        (refused, not_replaced.as_str()),
        (["held first", "held first"].map(str::to_owned), "held first")
    );
    assert_eq!(taken, ["", "exists"]);
    story.all_adds_up().await;
}
