//! How often jobs of a key start: rates and spacings, at a time that is set.

use super::*;

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

#[tokio::test]
async fn the_pace_of_a_key_goes_on_though_redis_clock_has_gone_back() {
    let rate = Rate::new(1, Duration::from_secs(2));
    let limit = Limit::per_key(ACCOUNT).rate(rate).spacing(Duration::from_secs(1));
    let (story, mut queue) = limited(limit).await;
    queue.enqueue_all(&jobs_of(&[("a", 3)])).await;
    queue.lease("w", 10).await;

    queue.now -= 3_600_000;
    queue.sweep().await;
    let leased = queue.turn("w", 10, &[]).await;

    assert_eq!(ids(&leased.leased), ["a-1"]);
    assert_eq!(leased.next, 2000);
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
async fn a_start_that_comes_a_little_late_does_not_slow_the_pace() {
    let rate = Rate::new(20, Duration::from_secs(1));
    let (story, mut queue) = limited(Limit::per_key(ACCOUNT).rate(rate)).await;
    queue.enqueue_all(&jobs_of(&[("a", 40)])).await;
    let began = queue.now;
    let mut started = queue.lease("w", 10).await.len();

    // Somebody comes 5, 30 or 90 ms after each time a start is due.
    for late in [5, 30, 90].into_iter().cycle().take(12) {
        let next = queue.turn("w", 0, &[]).await.next;
        queue.pass(next as u64 + late);
        started += queue.lease("w", 10).await.len();
        let due = 1 + (queue.now - began) as usize / 50;
        assert!((due - 1..=due).contains(&started), "{started} after {} ms", queue.now - began);
    }
    story.all_adds_up().await;
}

#[tokio::test]
async fn after_an_outage_the_pace_begins_anew_and_nothing_comes_in_a_burst() {
    let rate = Rate::new(20, Duration::from_secs(1));
    let (story, mut queue) = limited(Limit::per_key(ACCOUNT).rate(rate)).await;
    queue.enqueue_all(&jobs_of(&[("a", 10)])).await;
    queue.lease("w", 10).await;

    queue.pass(9_000);
    let back = queue.lease("w", 10).await;

    assert_eq!(back.len(), 3, "what was due in the last 100 ms, and not 180 of them");
    story.all_adds_up().await;
}
