//! Keys of jobs: limits per key, exact over all workers, and turns that they take.
//!
//! `ERGATE_FLOW_WORKERS`, `ERGATE_FLOW_KEYS` and `ERGATE_FLOW_JOBS` make the runs with real workers long, as `script/chaos`
//! does.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use ergate::{Key, Metrics, WaitsFor, prelude::*};
use ergate_shared::{key::QueueKey, script};

use crate::{
    story::{
        QUEUE, RunningWorker, Story,
        by_hand::{ByHand, Entry, Leased, Settle, ids},
    },
    support::{Proxy, until},
};

mod cost;
mod lanes;
mod pace;
mod working;

const ACCOUNT: &str = "account";

fn key(value: impl ToString) -> Key {
    Key::new(ACCOUNT, value.to_string()).unwrap()
}

fn keyed(id: impl ToString, account: impl ToString) -> Entry {
    Entry::new(id.to_string()).key(ACCOUNT, account)
}

/// As many jobs of each account as said, account by account; their ids are `a-0`, `a-1` and so on.
fn jobs_of(accounts: &[(&str, usize)]) -> Vec<Entry> {
    let of = |(account, count): &(&str, usize)| {
        let account = (*account).to_owned();
        (0..*count).map(move |n| keyed(format!("{account}-{n}"), &account)).collect::<Vec<_>>()
    };
    accounts.iter().flat_map(of).collect()
}

async fn limited(limit: Limit) -> (Story, ByHand) {
    let story = Story::begin().await;
    story.queue().set_limit(&limit).await.unwrap();
    let queue = story.by_hand();
    queue.join("w").await;
    (story, queue)
}

// by hand: the scripts, at a time that is set

#[tokio::test]
async fn jobs_with_a_key_run_one_at_a_time_in_their_order_while_other_keys_go_on() {
    let (story, mut queue) = limited(Limit::per_key(ACCOUNT).concurrency(1)).await;
    queue.enqueue_all(&jobs_of(&[("a", 3), ("b", 1)])).await;
    queue.join("other").await;

    let first = queue.lease("w", 10).await;
    let none = queue.turn("other", 10, &[]).await;
    let second = queue.turn("w", 10, &[first[0].complete("1")]).await;
    let third = queue.turn("w", 10, &[second.leased[0].complete("1")]).await;

    assert_eq!(ids(&first), ["a-0", "b-0"]);
    assert!(none.leased.is_empty() && !none.more, "{none:?}");
    assert_eq!((ids(&second.leased), ids(&third.leased)), (vec!["a-1"], vec!["a-2"]));
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_job_with_two_keys_waits_until_both_let_it_start() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    story.queue().set_limit(&Limit::per_key("user").concurrency(1)).await.unwrap();
    story.queue().set_limit(&Limit::per_key("org").concurrency(2)).await.unwrap();
    queue.join("w").await;
    let job = |id: &str, user, org| Entry::new(id).key("user", user).key("org", org);
    queue
        .enqueue_all(&[
            job("1", 1, "x"),
            job("2", 1, "x"),
            job("3", 2, "x"),
            job("4", 3, "x"),
            job("5", 4, "y"),
        ])
        .await;

    let first = queue.lease("w", 10).await;
    let second = queue.turn("w", 10, &[first[1].complete("1")]).await;
    let third = queue.turn("w", 10, &[first[0].complete("1")]).await;

    assert_eq!(ids(&first), ["1", "3", "5"]);
    assert_eq!(ids(&second.leased), ["4"]);
    assert_eq!(ids(&third.leased), ["2"]);
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_backlog_of_one_key_takes_no_more_than_its_share_from_the_others() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.join("w").await;
    let accounts: Vec<(String, usize)> =
        [("big".to_owned(), 2000)].into_iter().chain((0..9).map(|n| (format!("small{n}"), 100))).collect();
    let accounts: Vec<(&str, usize)> = accounts.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    queue.enqueue_all(&jobs_of(&accounts)).await;
    queue.enqueue_all(&(0..100).map(|n| Entry::new(format!("none-{n}"))).collect::<Vec<_>>()).await;

    // While all have jobs; an odd number of slots.
    let mut served: BTreeMap<String, usize> = BTreeMap::new();
    let mut count = 0;
    while count < 880 {
        let leased = queue.lease("w", 7).await;
        count += leased.len();
        for job in leased {
            *served.entry(job.id.split('-').next().unwrap().to_owned()).or_default() += 1;
        }
    }

    assert_eq!(served.len(), 11, "{served:?}");
    assert!(served.values().all(|served| (72..=88).contains(served)), "{served:?}");
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_key_that_comes_late_waits_for_one_round_and_not_for_the_backlog() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.join("w").await;
    queue.enqueue_all(&jobs_of(&[("a", 500), ("b", 500), ("c", 500)])).await;
    queue.lease("w", 10).await;

    queue.enqueue(keyed("late", "d")).await;
    let round = queue.lease("w", 4).await;

    assert!(ids(&round).contains(&"late"), "{:?}", ids(&round));
    story.all_adds_up().await;
}

#[tokio::test]
async fn within_a_key_the_sooner_priority_and_then_the_older_job_goes_first() {
    let (story, mut queue) = limited(Limit::per_key(ACCOUNT).concurrency(1)).await;
    queue
        .enqueue_all(&[
            keyed("late", "a").priority(9),
            keyed("first", "a"),
            keyed("second", "a"),
            keyed("soon", "a").priority(1),
        ])
        .await;

    let mut order = Vec::new();
    let mut turn = queue.turn("w", 5, &[]).await;
    while let Some(job) = turn.leased.first().cloned() {
        order.push(job.id.clone());
        turn = queue.turn("w", 5, &[job.complete("1")]).await;
    }

    assert_eq!(order, ["soon", "first", "second", "late"]);
    story.all_adds_up().await;
}

#[tokio::test]
async fn no_job_of_a_paused_key_starts_until_it_is_resumed() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.join("w").await;
    queue.enqueue_all(&jobs_of(&[("a", 2), ("b", 2)])).await;
    story.queue().pause_key(&key("a")).await.unwrap();

    let others = queue.turn("w", 10, &[]).await;
    queue.enqueue(keyed("a-new", "a")).await;
    let none = queue.lease("w", 10).await;
    let waits = story.queue().keys_in_use().await.unwrap();
    story.queue().resume_key(&key("a")).await.unwrap();
    let all = queue.lease("w", 10).await;

    assert_eq!(ids(&others.leased), ["b-0", "b-1"]);
    assert!(!others.more && none.is_empty());
    assert_eq!(
        (waits[0].key.clone(), waits[0].waiting, waits[0].waits_for),
        (key("a"), 3, Some(WaitsFor::Resume))
    );
    assert_eq!(ids(&all), ["a-0", "a-1", "a-new"]);
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_paused_queue_hands_out_nothing_whatever_its_keys_allow() {
    let (story, mut queue) = limited(Limit::per_key(ACCOUNT).concurrency(1)).await;
    queue.enqueue_all(&jobs_of(&[("a", 2)])).await;
    let first = queue.lease("w", 10).await;
    story.queue().pause().await.unwrap();

    let paused = queue.turn("w", 10, &[first[0].complete("1")]).await;
    story.queue().resume().await.unwrap();
    let second = queue.lease("w", 10).await;

    assert_eq!((paused.code.as_str(), paused.leased.len()), ("paused", 0));
    assert_eq!(ids(&second), ["a-1"]);
    story.all_adds_up().await;
}

#[tokio::test]
async fn the_jobs_of_a_dead_worker_give_their_keys_back_and_go_first_in_their_lanes() {
    let (story, mut queue) = limited(Limit::per_key(ACCOUNT).concurrency(1)).await;
    queue.enqueue_all(&jobs_of(&[("a", 2), ("b", 1)])).await;
    queue.lease("w", 10).await;

    queue.pass(20_000);
    queue.join("other").await;
    let blocked = queue.lease("other", 10).await;
    let reaped = queue.reap("w", 3).await;
    let again = queue.lease("other", 10).await;

    assert!(blocked.is_empty());
    assert_eq!(reaped, ("ok".to_owned(), 2, 0));
    let mut again = ids(&again);
    again.sort_unstable();
    assert_eq!(again, ["a-0", "b-0"]);
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_job_that_is_tried_again_holds_no_place_meanwhile_and_waits_for_one_after() {
    let (story, mut queue) = limited(Limit::per_key(ACCOUNT).concurrency(1)).await;
    queue.enqueue_all(&jobs_of(&[("a", 2)])).await;

    let first = queue.lease("w", 10).await;
    let second = queue.turn("w", 10, &[first[0].retry(500)]).await;
    queue.pass(500);
    let due = queue.turn("w", 10, &[]).await;
    let again = queue.turn("w", 10, &[second.leased[0].complete("1")]).await;

    assert_eq!(ids(&second.leased), ["a-1"]);
    assert!(due.leased.is_empty(), "{due:?}");
    assert_eq!(ids(&again.leased), ["a-0"]);
    assert_eq!(again.leased[0].tries.failures, 1);
    story.all_adds_up().await;
}

#[tokio::test]
async fn every_way_a_job_may_end_gives_its_key_back() {
    let (story, mut queue) = limited(Limit::per_key(ACCOUNT).concurrency(1)).await;
    queue.enqueue_all(&jobs_of(&[("a", 8)])).await;

    let ways: [fn(&Leased) -> Settle; 7] = [
        Leased::bury,
        Leased::discard,
        |job| job.cancel("no"),
        |job| job.snooze(60_000),
        |job| job.complete("1"),
        |job| job.retry(60_000),
        Leased::hand_back,
    ];
    let mut leased = queue.lease("w", 10).await;
    for settle in ways {
        assert_eq!(leased.len(), 1, "{leased:?}");
        leased = queue.turn("w", 10, &[settle(&leased[0])]).await.leased;
    }

    assert_eq!(ids(&leased), ["a-6"], "what was handed back is first again");
    story.all_adds_up().await;
}

#[tokio::test]
async fn an_expired_job_uses_nothing_of_its_keys_limits() {
    let (story, mut queue) =
        limited(Limit::per_key(ACCOUNT).spacing(Duration::from_mins(1)).concurrency(1)).await;
    queue.enqueue_all(&[keyed("old", "a").expires_in(10), keyed("new", "a")]).await;
    queue.pass(20);

    let leased = queue.lease("w", 10).await;

    assert_eq!(ids(&leased), ["new"]);
    assert_eq!(queue.state("old").await, Some(JobState::Dead));
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_limit_raised_or_cleared_lets_those_go_on_that_waited_for_it() {
    let (story, mut queue) = limited(Limit::per_key(ACCOUNT).concurrency(1)).await;
    queue.enqueue_all(&jobs_of(&[("a", 6), ("b", 1)])).await;

    let one_each = queue.lease("w", 10).await;
    story.queue().set_limit(&Limit::per_key(ACCOUNT).concurrency(3)).await.unwrap();
    let two_more = queue.lease("w", 10).await;
    story.queue().clear_limit(ACCOUNT).await.unwrap();
    let all = queue.lease("w", 10).await;

    assert_eq!((one_each.len(), two_more.len(), all.len()), (2, 2, 3));
    assert!(story.queue().limits().await.unwrap().is_empty());
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_debounced_job_starts_once_with_the_last_payload_and_not_later_than_its_most() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.join("w").await;
    let entry = |id: &str, payload: &str| {
        let mut entry = Entry::new(id).unique(ergate::UniqueScope::Started, "doc-7").delay(100);
        entry.on_conflict = "put_off 150";
        entry.payload = payload.as_bytes().to_vec();
        entry
    };

    let first = queue.enqueue(entry("1", "1")).await;
    queue.pass(60);
    let second = queue.enqueue(entry("2", "2")).await;
    queue.pass(60);
    let third = queue.enqueue(entry("3", "3")).await;
    queue.pass(29);
    let early = queue.lease("w", 10).await;
    queue.pass(1);
    let due = queue.lease("w", 10).await;

    assert_eq!((first.as_str(), second.as_str(), third.as_str()), ("", "held 1", "held 1"));
    assert!(early.is_empty());
    assert_eq!(ids(&due), ["1"]);
    let record = ergate::JobRecord::decode(&due[0].record).unwrap();
    assert_eq!(record.payload, b"3");
    assert_eq!(queue.enqueue(entry("4", "4")).await, "", "one that has started is not put off");
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_debounced_run_that_goes_on_after_its_failure_keeps_its_own_input() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.join("w").await;
    let entry = |id: &str| {
        let mut entry = Entry::new(id).unique(ergate::UniqueScope::Started, "doc-7").delay(100);
        entry.on_conflict = "put_off";
        entry.payload = id.as_bytes().to_vec();
        entry
    };
    queue.enqueue(entry("1")).await;
    queue.pass(100);
    let run = queue.lease("w", 1).await.remove(0);
    let record = script::RUN_RECORD.on(queue.queue().keys()).arg(&run.id).arg(&run.token);
    let record = record.number(0).number(1).arg("").arg("").arg("entry");
    let _: Vec<redis::Value> = queue.run(&record).await;
    queue.settle("w", &[run.bury()]).await;

    assert_eq!(queue.retry_all(&["1".to_owned()], 60_000, 0, false).await, ["ok"]);
    let next = queue.enqueue(entry("2")).await;

    assert_eq!(next, "", "it is a run of its own");
    let known = queue.inspect(&["1".to_owned()]).await.remove(0).unwrap();
    assert_eq!(ergate::JobRecord::decode(&known.record).unwrap().payload, b"1");
}
