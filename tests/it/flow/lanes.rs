//! Where jobs with keys wait: in lanes, which never lose their turn and are set up anew if they were lost.

use super::*;

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
