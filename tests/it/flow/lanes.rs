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

#[tokio::test]
async fn windows_of_functions_are_not_taken_for_counts_however_many_there_are() {
    let (story, queue) = limited(Limit::per_key(ACCOUNT).concurrency(1)).await;
    let mut windows = redis::cmd("HSET");
    windows.arg(queue.key(QueueKey::flow)).arg("account=a").arg("5 0 0 0 0");
    for number in 0..3000 {
        windows.arg(format!("@once={number}")).arg(format!("0 {} 1 0 0", queue.now + 1000));
    }
    story.client.redis().command::<()>("HSET", &windows).await.unwrap();

    let repairs = ergate::reconcile(&story.queue()).await.unwrap();
    let again = ergate::reconcile(&story.queue()).await.unwrap();

    assert_eq!((repairs.flow, repairs.total(), again.total()), (1, 1, 0));
}

#[tokio::test]
async fn a_thousand_runs_with_four_keys_each_start_with_one_call() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.join("w").await;
    let run = |number: usize| {
        ["a", "b", "c", "d"]
            .into_iter()
            .fold(Entry::new(format!("r{number}")), |run, name| run.key(name, number))
    };
    queue.enqueue_all(&(0..1000).map(run).collect::<Vec<_>>()).await;

    let leased = queue.lease("w", 1000).await;

    assert_eq!(leased.len(), 1000);
    story.all_adds_up().await;
    queue.settle("w", &leased.iter().map(|run| run.complete("1")).collect::<Vec<_>>()).await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn runs_that_are_ordered_by_a_time_go_behind_those_of_their_lane_that_are_not() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.join("w").await;
    let ordered = |id: &str, at| {
        let mut entry = keyed(id, "a");
        entry.order_at = Some(at);
        entry
    };
    queue
        .enqueue_all(&[
            ordered("late", 2000),
            keyed("first", "a"),
            ordered("early", 1000),
            keyed("second", "a"),
        ])
        .await;

    let leased = queue.lease("w", 10).await;

    assert_eq!(ids(&leased), ["first", "second", "early", "late"]);
}

#[tokio::test]
async fn a_limit_whose_change_was_cut_off_half_way_is_changed_to_the_end() {
    let (story, mut queue) = limited(Limit::per_key(ACCOUNT).concurrency(1)).await;
    for half in 0..2 {
        queue.enqueue_all(&(0..600).map(|n| keyed(format!("{half}-{n}"), n)).collect::<Vec<_>>()).await;
    }
    queue.lease("w", 600).await;
    while !queue.lease("w", 600).await.is_empty() {}
    let parked = async || {
        let count = redis::cmd("ZCARD").arg(queue.key(QueueKey::parked)).to_owned();
        story.client.redis().command::<u64>("ZCARD", &count).await.unwrap()
    };
    assert_eq!(parked().await, 600);
    let proxy = Proxy::to(&story.redis);
    let client = Client::connect(proxy.url()).await.unwrap();
    let lost = proxy.lose_reply_of(&script::QUEUE_LIMIT.sha);
    let twice = Limit::per_key(ACCOUNT).concurrency(2);

    let cut_off = client.queue(QUEUE).unwrap().set_limit(&twice).await;
    lost.await;
    let left = parked().await;
    story.queue().set_limit(&twice).await.unwrap();

    assert!(cut_off.unwrap_err().is_connection());
    assert_eq!((left, parked().await), (100, 0));
}
