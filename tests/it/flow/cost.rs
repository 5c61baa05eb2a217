//! What keys cost those who have none.

use super::*;

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
