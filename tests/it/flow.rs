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
use ergate_shared::key::QueueKey;

use crate::{
    story::{
        QUEUE, RunningWorker, Story,
        by_hand::{ByHand, Entry, Leased, Settle, ids},
    },
    support::until,
};

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
async fn jobs_of_a_key_start_at_its_spacing_to_the_millisecond() {
    let (story, mut queue) = limited(Limit::per_key(ACCOUNT).spacing(Duration::from_secs(45))).await;
    queue.enqueue_all(&jobs_of(&[("a", 5), ("b", 5)])).await;
    let began = queue.now;

    let mut starts: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut running: Vec<Leased> = Vec::new();
    for _ in 0..10 {
        let ended: Vec<_> = running.drain(..).map(|job| job.complete("1")).collect();
        let turn = queue.turn("w", 10, &ended).await;
        for job in turn.leased {
            starts.entry(job.id[..1].to_owned()).or_default().push(queue.now - began);
            running.push(job);
        }
        queue.pass(u64::try_from(turn.next).unwrap_or(0));
        // That is longer than its lease.
        queue.queue().client().redis().command::<()>("ZADD", &alive(&queue)).await.unwrap();
    }

    let expected: Vec<u64> = (0..5).map(|n| n * 45_000).collect();
    assert_eq!(starts, BTreeMap::from([("a".to_owned(), expected.clone()), ("b".to_owned(), expected)]));
    story.all_adds_up().await;
}

/// Has worker `w` live on, however far the clock is set.
fn alive(queue: &ByHand) -> redis::Cmd {
    let mut add = redis::cmd("ZADD");
    add.arg(queue.key(QueueKey::workers)).arg(queue.now + 60_000).arg("w");
    add
}

#[tokio::test]
async fn a_rate_per_key_lets_its_burst_through_and_then_keeps_its_pace() {
    let rate = Rate::new(10, Duration::from_secs(1)).burst(3);
    let (story, mut queue) = limited(Limit::per_key(ACCOUNT).rate(rate)).await;
    queue.enqueue_all(&jobs_of(&[("a", 10), ("b", 2)])).await;

    let burst = queue.turn("w", 20, &[]).await;
    let mut gaps = Vec::new();
    let mut next = burst.next;
    for _ in 0..5 {
        queue.pass(next as u64 - 1);
        let early = queue.turn("w", 20, &[]).await;
        assert!(early.leased.is_empty(), "{early:?}");
        queue.pass(1);
        let turn = queue.turn("w", 20, &[]).await;
        assert_eq!(turn.leased.len(), 1);
        gaps.push(next);
        next = turn.next;
    }

    let of = |name: &str| burst.leased.iter().filter(|job| job.id.starts_with(name)).count();
    assert_eq!((of("a"), of("b")), (3, 2));
    assert_eq!(gaps, [100; 5]);
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_limit_set_again_forgives_nothing_of_what_has_started() {
    let limit = Limit::per_key(ACCOUNT).rate(Rate::new(1, Duration::from_mins(1)));
    let (story, mut queue) = limited(limit.clone()).await;
    queue.enqueue_all(&jobs_of(&[("a", 3)])).await;
    queue.lease("w", 10).await;

    story.queue().set_limit(&limit).await.unwrap();
    let none = queue.lease("w", 10).await;
    let faster = Limit::per_key(ACCOUNT).rate(Rate::new(60, Duration::from_mins(1)));
    story.queue().set_limit(&faster).await.unwrap();
    let one = queue.lease("w", 10).await;

    assert!(none.is_empty());
    assert_eq!(ids(&one), ["a-1"]);
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
async fn a_waiting_job_that_is_cancelled_or_removed_or_put_off_leaves_its_lane() {
    let (story, mut queue) = limited(Limit::per_key(ACCOUNT).concurrency(1)).await;
    queue.enqueue_all(&jobs_of(&[("a", 5), ("b", 1)])).await;
    let first = queue.lease("w", 1).await;

    assert_eq!(queue.cancel("a-1", "no").await, "ok");
    assert_eq!(queue.remove("a-2").await, "ok");
    assert_eq!(queue.reschedule("a-3", "+1000").await, "ok");
    assert_eq!(queue.remove("b-0").await, "ok");
    let second = queue.turn("w", 10, &[first[0].complete("1")]).await;
    assert_eq!(queue.reschedule("a-3", "").await, "ok");
    let third = queue.turn("w", 10, &[second.leased[0].complete("1")]).await;

    assert_eq!((ids(&second.leased), ids(&third.leased)), (vec!["a-4"], vec!["a-3"]));
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_turn_that_is_not_used_goes_to_the_next_lane_that_waits_for_the_same_key() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    story.queue().set_limit(&Limit::per_key("org").concurrency(1)).await.unwrap();
    queue.join("w").await;
    let job = |id: &str, user| Entry::new(id).key("user", user).key("org", "x");
    queue.enqueue_all(&[job("1", 1), job("2", 2), job("3", 3)]).await;
    let first = queue.lease("w", 10).await;

    queue.settle("w", &[first[0].complete("1")]).await;
    queue.cancel("2", "no").await;
    let next = queue.lease("w", 10).await;

    assert_eq!(ids(&next), ["3"]);
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
async fn jobs_that_wait_in_lanes_are_counted_listed_and_purged_as_ready() {
    let (story, mut queue) = limited(Limit::per_key(ACCOUNT).concurrency(1)).await;
    queue.enqueue_all(&jobs_of(&[("a", 3), ("b", 2)])).await;
    let first = queue.lease("w", 1).await;

    let stats = story.queue().stats().await.unwrap();
    let listed = story.queue().list(JobState::Ready, None, 10).await.unwrap();
    let keys = story.queue().keys_in_use().await.unwrap();
    let purged = story.queue().purge(JobState::Ready, |_| {}).await.unwrap();

    assert_eq!((stats.ready, stats.ready_with_keys, stats.leased), (4, 4, 1));
    let listed: Vec<_> = listed.items.iter().map(|job| job.id.to_string()).collect();
    assert_eq!(listed, ["a-1", "a-2", "b-0", "b-1"]);
    let told: Vec<_> = keys.iter().map(|key| (key.key.to_string(), key.waiting, key.running)).collect();
    assert_eq!(told, [("account=a".to_owned(), 2, 1), ("account=b".to_owned(), 2, 0)]);
    assert_eq!(keys[0].waits_for, Some(WaitsFor::Concurrency));
    assert_eq!(purged, 4);
    queue.settle("w", &[first[0].complete("1")]).await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_count_that_somebody_spoilt_is_put_right_and_holds_up_nothing() {
    let (story, mut queue) = limited(Limit::per_key(ACCOUNT).concurrency(1)).await;
    let redis = story.client.redis();
    let mut spoil = redis::cmd("HSET");
    spoil.arg(queue.key(QueueKey::flow)).arg("account=a").arg("5 0 0 0 0");
    redis.command::<()>("HSET", &spoil).await.unwrap();
    queue.enqueue_all(&jobs_of(&[("a", 1)])).await;
    let none = queue.lease("w", 10).await;

    let repairs = ergate::reconcile(&story.queue()).await.unwrap();
    let one = queue.lease("w", 10).await;

    assert!(none.is_empty());
    assert_eq!(repairs.flow, 1, "{repairs:?}");
    assert_eq!(ids(&one), ["a-0"]);
    story.all_adds_up().await;
}

#[tokio::test]
async fn lanes_that_were_lost_are_set_up_anew() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.join("w").await;
    queue.enqueue_all(&jobs_of(&[("a", 2), ("b", 1)])).await;
    let redis = story.client.redis();
    for name in [QueueKey::ring, QueueKey::places] {
        redis.command::<()>("DEL", redis::cmd("DEL").arg(queue.key(name))).await.unwrap();
    }

    assert!(!story.queue().stats().await.unwrap().adds_up());
    let repairs = ergate::reconcile(&story.queue()).await.unwrap();
    let all = queue.lease("w", 10).await;

    assert!(repairs.flow > 0, "{repairs:?}");
    assert_eq!(all.len(), 3);
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_heartbeat_tells_other_workers_when_the_rate_of_a_key_opens() {
    let (story, mut queue) = limited(Limit::per_key(ACCOUNT).spacing(Duration::from_secs(5))).await;
    queue.enqueue_all(&jobs_of(&[("a", 2)])).await;
    queue.join("other").await;
    queue.lease("w", 10).await;
    queue.pass(2000);

    assert_eq!(queue.heartbeat("other").await.next, 3000);
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_sweep_lets_a_lane_go_on_that_was_forgotten_and_forgets_keys_that_bind_nobody() {
    let (story, mut queue) =
        limited(Limit::per_key(ACCOUNT).concurrency(1).spacing(Duration::from_secs(5))).await;
    queue.enqueue_all(&jobs_of(&[("a", 2)])).await;
    let first = queue.lease("w", 10).await;
    let redis = story.client.redis();
    let mut spoil = redis::cmd("HDEL");
    spoil.arg(queue.key(QueueKey::flow)).arg("account=a");
    redis.command::<()>("HDEL", &spoil).await.unwrap();
    let none = queue.lease("w", 10).await;

    queue.sweep().await;
    let forgotten = queue.lease("w", 10).await;
    queue.settle("w", &[first[0].complete("1"), forgotten[0].complete("1")]).await;
    queue.pass(5000);
    queue.sweep().await;

    assert!(none.is_empty());
    assert_eq!(ids(&forgotten), ["a-1"]);
    let left: u64 = redis.command("HLEN", redis::cmd("HLEN").arg(queue.key(QueueKey::flow))).await.unwrap();
    assert_eq!(left, 0);
    story.all_adds_up().await;
}

/// How often each command was called since the server started.
async fn commands(story: &Story) -> BTreeMap<String, u64> {
    let mut info = redis::cmd("INFO");
    info.arg("commandstats");
    let text: String = story.client.redis().command("INFO", &info).await.unwrap();
    let calls = |line: &str| {
        let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        Some((name.to_owned(), rest.split(',').next()?.parse().ok()?))
    };
    text.lines().filter_map(calls).filter(|(name, _)| name != "info").collect()
}

/// What the whole life of some plain jobs costs, by command.
async fn cost_of_plain_jobs(story: &Story, queue: &mut ByHand, batches: Range<u32>) -> BTreeMap<String, u64> {
    let before = commands(story).await;
    for batch in batches {
        queue.enqueue_all(&(0..50).map(|n| Entry::new(format!("{batch}-{n}"))).collect::<Vec<_>>()).await;
        let leased = queue.lease("w", 50).await;
        let settles: Vec<_> = leased.iter().map(|job| job.complete("1")).collect();
        queue.settle("w", &settles).await;
        queue.remove(&leased[0].id).await;
    }
    let after = commands(story).await;
    let spent = |(name, count): (String, u64)| {
        let count = count - before.get(&name).copied().unwrap_or(0);
        (count > 0).then_some((name, count))
    };
    after.into_iter().filter_map(spent).collect()
}

#[tokio::test]
async fn plain_jobs_cost_the_same_commands_whether_or_not_their_queue_ever_saw_a_key() {
    let story = Story::begin().await;
    let mut never = ByHand::on(story.client.queue("never").unwrap());
    let mut once = ByHand::on(story.client.queue("once").unwrap());
    never.join("w").await;
    once.join("w").await;
    once.queue().set_limit(&Limit::per_key(ACCOUNT).concurrency(1)).await.unwrap();
    once.enqueue_all(&jobs_of(&[("a", 2)])).await;
    let mut turn = once.turn("w", 10, &[]).await;
    while let Some(job) = turn.leased.first().cloned() {
        turn = once.turn("w", 10, &[job.complete("1")]).await;
    }
    once.turn("w", 10, &[]).await;

    // Scripts are loaded and markers left the first time.
    cost_of_plain_jobs(&story, &mut never, 0..1).await;
    cost_of_plain_jobs(&story, &mut once, 0..1).await;
    let expected = cost_of_plain_jobs(&story, &mut never, 1..5).await;
    let cost = cost_of_plain_jobs(&story, &mut once, 1..5).await;

    assert_eq!(cost, expected);
    assert!(!cost.contains_key("zrangebylex") && !cost.contains_key("zadd"), "{cost:?}");
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

// with real workers

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Call {
    account: u64,
}

impl Job for Call {
    const NAME: &str = "call";
    const QUEUE: &str = QUEUE;

    fn keys(&self) -> Vec<(&'static str, String)> {
        vec![(ACCOUNT, self.account.to_string())]
    }
}

/// What handlers wrote: which account began, and how many of it ran then, itself included.
#[derive(Debug, Clone, Default)]
struct Ledger(Arc<Mutex<Book>>);

#[derive(Debug, Default)]
struct Book {
    running: BTreeMap<u64, u32>,
    starts: Vec<(u64, u32, tokio::time::Instant)>,
    done: usize,
}

impl Ledger {
    fn with<T>(&self, change: impl FnOnce(&mut Book) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn begin(&self, account: u64) {
        self.with(|book| {
            let running = book.running.entry(account).or_default();
            *running += 1;
            let running = *running;
            book.starts.push((account, running, tokio::time::Instant::now()));
        });
    }

    fn end(&self, account: u64) {
        self.with(|book| {
            *book.running.entry(account).or_default() -= 1;
            book.done += 1;
        });
    }

    fn worker(
        &self,
        story: &Story,
        slots: usize,
        options: impl FnOnce(Worker<Self>) -> Worker<Self>,
    ) -> RunningWorker {
        let metrics = Metrics::new();
        let worker = Worker::new(story.client.clone(), self.clone())
            .queue(QUEUE, slots)
            .job(call)
            .metrics(metrics.clone());
        RunningWorker::start(options(worker), metrics)
    }
}

async fn call(job: Call, State(ledger): State<Ledger>) -> Result<()> {
    ledger.begin(job.account);
    // Long enough for others to run meanwhile, if they were let.
    tokio::time::sleep(Duration::from_millis(2)).await;
    ledger.end(job.account);
    Ok(())
}

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// Runs jobs of many accounts on several workers that have `slots` together, at most `most` of an account at once. Returns how many
/// jobs each account has, and which accounts began in which order, with how many of it running then.
async fn run_many(most: u32, slots: impl Fn(usize) -> usize) -> (usize, Vec<(u64, u32)>) {
    let (workers, accounts, jobs) = (
        setting("ERGATE_FLOW_WORKERS", 4),
        setting("ERGATE_FLOW_KEYS", 50),
        setting("ERGATE_FLOW_JOBS", 3000),
    );
    let story = Story::begin().await;
    let queue = story.queue();
    queue.set_limit(&Limit::per_key(ACCOUNT).concurrency(most)).await.unwrap();
    // Account by account: whoever is first in line must not go first.
    let each = jobs / accounts;
    let calls = (0..accounts).flat_map(|account| (0..each).map(move |_| Call { account: account as u64 }));
    story.client.enqueue_all(calls).await.unwrap();

    let ledger = Ledger::default();
    let slots = slots(accounts).div_ceil(workers);
    let running: Vec<_> = (0..workers).map(|_| ledger.worker(&story, slots, |worker| worker)).collect();
    for quarter in 1..=4 {
        let enough = accounts * each * quarter / 4;
        until(&format!("{enough} are done"), async || ledger.with(|book| book.done) >= enough).await;
    }
    for worker in running {
        worker.stop().await;
    }
    story.all_adds_up().await;
    let starts = ledger.with(|book| std::mem::take(&mut book.starts));
    (each, starts.into_iter().map(|(account, running, _)| (account, running)).collect())
}

/// With more slots than all keys may use, so that nothing but their limit keeps them back.
async fn most_at_once(most: u32) -> u32 {
    let (_, starts) = run_many(most, |accounts| accounts * most as usize + 20).await;
    starts.into_iter().map(|(_, running)| running).max().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_each_key_one_job_runs_at_a_time_over_all_workers() {
    assert_eq!(most_at_once(1).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_each_key_three_jobs_run_at_a_time_over_all_workers() {
    assert_eq!(most_at_once(3).await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_each_key_as_many_jobs_run_as_of_any_other_while_slots_are_few() {
    let (each, starts) = run_many(3, |accounts| accounts / 4).await;

    let mut shares: BTreeMap<u64, usize> = BTreeMap::new();
    for (account, _) in &starts[..starts.len() / 2] {
        *shares.entry(*account).or_default() += 1;
    }
    let fair = each as f64 / 2.0;
    let farthest = shares.values().map(|share| (*share as f64 - fair).abs() / fair).fold(0.0, f64::max);
    println!("shares of {} keys within {:.1} % of {fair}", shares.len(), farthest * 100.0);
    assert!(shares.len() * each == starts.len() && farthest <= 0.1, "{shares:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_keep_the_spacing_their_code_declares() {
    let story = Story::begin().await;
    let ledger = Ledger::default();
    let spacing = Duration::from_millis(200);
    let declare = |worker: Worker<Ledger>| worker.limit(QUEUE, Limit::per_key(ACCOUNT).spacing(spacing));
    let workers = [ledger.worker(&story, 4, declare), ledger.worker(&story, 4, declare)];
    let story_queue = story.queue();
    until("the limit is set", async || story_queue.limits().await.unwrap().len() == 1).await;
    story.client.enqueue_all((0..12).map(|n| Call { account: n % 2 })).await.unwrap();

    until("all are done", async || ledger.with(|book| book.done) == 12).await;

    let starts = ledger.with(|book| std::mem::take(&mut book.starts));
    for account in 0..2 {
        let times: Vec<_> = starts.iter().filter(|start| start.0 == account).map(|start| start.2).collect();
        let whole = times[5] - times[0];
        // A handler begins a moment after Redis has said so: sooner or later by as much.
        assert!(whole >= spacing * 5 - Duration::from_millis(20), "{whole:?}");
        println!("5 spacings of {spacing:?} took {whole:?}");
    }
    for worker in workers {
        worker.stop().await;
    }
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_key_that_no_limit_could_count_by_is_refused_before_anything_is_sent() {
    let story = Story::begin().await;
    let call = || story.client.enqueue(Call { account: 1 });

    let third = call().key("a", "1").key("b", "2").await.unwrap_err().to_string();
    let empty = call().key("a", "").await.unwrap_err().to_string();
    let replaced = call().key(ACCOUNT, "2").await.unwrap();

    assert!(third.contains("the most is 2"), "{third}");
    assert!(empty.contains("empty value"), "{empty}");
    let view = replaced.job(&story.client).get().await.unwrap();
    let keys: Vec<_> = view.record.unwrap().lane.unwrap().keys().map(|key| key.to_string()).collect();
    assert_eq!(keys, ["account=2"]);
    assert_eq!(story.queue().stats().await.unwrap().records, 1);
}

#[tokio::test]
async fn a_worker_with_a_limit_that_cannot_be_is_not_started() {
    let story = Story::begin().await;

    let worker = Worker::new(story.client.clone(), Ledger::default())
        .queue(QUEUE, 1)
        .job(call)
        .limit(QUEUE, Limit::per_key(ACCOUNT).concurrency(0))
        .limit("elsewhere", Limit::per_key(ACCOUNT).concurrency(1));
    let error = worker.run_until(std::future::pending()).await.unwrap_err().to_string();

    assert!(error.contains("would never run a job") && error.contains("queue elsewhere"), "{error}");
}

#[tokio::test]
async fn the_receipt_of_a_debounced_job_names_the_one_that_will_run() {
    let story = Story::begin().await;
    let enqueue = |account| {
        story
            .client
            .enqueue(Call { account })
            .debounce("doc-7", Duration::from_hours(1))
            .debounce_at_most(Duration::from_hours(2))
    };

    let first = enqueue(1).await.unwrap();
    let second = enqueue(2).await.unwrap();

    assert!(!first.duplicate && second.duplicate);
    assert_eq!(first.id, second.id);
    let view = first.job(&story.client).get().await.unwrap();
    assert_eq!(view.payload::<Call>().unwrap().account, 2);
    assert_eq!(story.queue().stats().await.unwrap().scheduled, 1);
}
