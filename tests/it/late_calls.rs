//! Calls that were held up on their way: they arrive when who sent them has gone on without an answer.

use ergate_shared::{key::QueueKey, script};

use crate::story::{
    Story,
    by_hand::{ByHand, Entry, LEASE, Leased, plain},
};

/// What `run/record` answers of a run: code, entries there were, those that were not known, numbers of those that were sent.
type Recorded = (String, u32, Vec<String>, Vec<u32>);

/// Answers the numbers of the entries.
async fn record(jobs: &ByHand, run: &Leased, text: &str) -> Vec<u32> {
    let call = script::RUN_RECORD.on(jobs.queue().keys()).arg(&run.id).arg(&run.token);
    let call = call.number(0).number(1).arg("").arg("").arg(text);
    let mut replies: Vec<Recorded> = jobs.run(&call).await;
    replies.remove(0).3
}

#[tokio::test]
async fn an_entry_whose_first_call_arrives_after_the_one_that_repeated_it_is_journalled_once() {
    let story = Story::begin().await;
    let mut jobs = story.by_hand();
    jobs.enqueue_all(&plain(&["run"])).await;
    jobs.join("w1").await;
    let run = jobs.lease("w1", 1).await.remove(0);

    let repeated = record(&jobs, &run, "entry").await;
    let late = record(&jobs, &run, "entry").await;

    assert_eq!((repeated, late), (vec![1], vec![1]));
    let count = redis::cmd("HLEN").arg(jobs.key(QueueKey::journal)).to_owned();
    assert_eq!(story.client.redis().command::<u64>("HLEN", &count).await.unwrap(), 1);
}

#[tokio::test]
async fn thousands_of_entries_are_journalled_once_too() {
    const ENTRIES: usize = 8100;
    let story = Story::begin().await;
    let mut jobs = story.by_hand();
    jobs.enqueue_all(&plain(&["run"])).await;
    jobs.join("w1").await;
    let run = jobs.lease("w1", 1).await.remove(0);
    let mut call = script::RUN_RECORD.on(jobs.queue().keys()).arg(&run.id).arg(&run.token);
    call = call.number(0).number(ENTRIES as u64);
    for number in 0..ENTRIES {
        call = call.arg("").arg("").arg(format!("entry {number}"));
    }

    let (mut first, mut again): (Vec<Recorded>, Vec<Recorded>) =
        (jobs.run(&call).await, jobs.run(&call).await);
    let ((code, before, ..), (code_again, known, ..)) = (first.remove(0), again.remove(0));

    assert_eq!((code.as_str(), before, code_again.as_str(), known), ("ok", 0, "ok", ENTRIES as u32));
    let count = redis::cmd("HLEN").arg(jobs.key(QueueKey::journal)).to_owned();
    assert_eq!(story.client.redis().command::<usize>("HLEN", &count).await.unwrap(), ENTRIES);
}

#[tokio::test]
async fn an_enqueue_sent_again_is_told_who_was_in_the_way_though_that_has_ended_since() {
    let story = Story::begin().await;
    let mut jobs = story.by_hand();
    let unique = |id: &str| Entry::new(id).unique(ergate::UniqueScope::Finished, "key");
    jobs.enqueue(unique("holder")).await;
    let call = [unique("other"), Entry::new("free").delay(10)];
    let answered = jobs.enqueue_all(&call).await;
    jobs.cancel("holder", "gone").await;

    let again = jobs.enqueue_again(&call).await;

    assert_eq!(answered, ["held holder", ""]);
    assert_eq!(again, answered);
    assert_eq!(jobs.state("other").await, None);
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_job_leased_after_a_reaper_looked_is_found_by_the_next_one() {
    let story = Story::begin().await;
    let mut jobs = story.by_hand();
    jobs.enqueue_all(&plain(&["a", "b"])).await;
    jobs.join("w1").await;
    jobs.lease("w1", 1).await;
    let seen = jobs.leases_of("w1").await;
    jobs.lease("w1", 1).await;
    jobs.pass(LEASE);

    assert_eq!(jobs.reap_these("w1", 3, &seen).await, ("ok".to_owned(), 1, 0));
    assert!(story.queue().stats().await.unwrap().adds_up());
    assert_eq!(jobs.reap("w1", 3).await, ("ok".to_owned(), 1, 0));
    assert!(story.queue().stats().await.unwrap().adds_up());
    let count = redis::cmd("ZCARD").arg(jobs.key(QueueKey::workers)).to_owned();
    assert_eq!(story.client.redis().command::<u64>("ZCARD", &count).await.unwrap(), 0);
}

#[tokio::test]
async fn a_job_that_keeps_its_newer_record_does_not_take_over_the_expiry_of_an_older_one() {
    let story = Story::begin().await;
    let mut jobs = story.by_hand();
    jobs.enqueue(Entry::new("job").unique(ergate::UniqueScope::Started, "key").delay(100)).await;
    let mut older = Entry::new("other").unique(ergate::UniqueScope::Started, "key").expires_in(1000);
    older.on_conflict = "put_off newer";
    let written_at = jobs.now - 5000;
    jobs.enqueue_as("late", 1, written_at, &[older]).await;
    jobs.join("w1").await;
    jobs.pass(200);
    let job = jobs.lease("w1", 1).await.remove(0);
    jobs.settle("w1", &[job.retry(10_000)]).await;
    jobs.pass(5000);

    assert_eq!(jobs.sweep().await, (0, 0));
    assert_eq!(jobs.state("job").await, Some(ergate::JobState::Scheduled));
}

#[tokio::test]
async fn a_result_that_comes_while_its_run_is_dead_is_there_when_the_run_is_started_again() {
    let story = Story::begin().await;
    let mut jobs = story.by_hand();
    jobs.enqueue_all(&plain(&["run"])).await;
    jobs.join("w1").await;
    let run = jobs.lease("w1", 1).await.remove(0);
    let call = script::RUN_RECORD.on(jobs.queue().keys()).arg(&run.id).arg(&run.token);
    let call = call.number(0).number(1).arg("").arg("1").arg("invoked");
    let _: Vec<Recorded> = jobs.run(&call).await;
    jobs.settle("w1", &[run.bury()]).await;

    let deliver = jobs.call(&script::RUN_DELIVER).arg("run").number(1).arg("result");
    let (_, codes): (u64, Vec<String>) = jobs.run(&deliver).await;
    assert_eq!((codes[0].as_str(), jobs.state("run").await), ("gone", Some(ergate::JobState::Dead)));
    jobs.retry("run").await;

    let read = redis::cmd("HGET").arg(jobs.key(QueueKey::journal)).arg("run.2").to_owned();
    let entry: Option<String> = story.client.redis().command("HGET", &read).await.unwrap();
    assert_eq!(entry.as_deref(), Some("result"));
}

#[tokio::test]
async fn a_lease_ends_in_time_though_redis_clock_has_gone_back_by_an_hour() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    for worker in ["dead", "alive", "other"] {
        queue.join(worker).await;
    }
    queue.enqueue(Entry::new("a")).await;
    queue.lease("dead", 1).await;
    queue.pass(LEASE / 3);
    queue.heartbeat("alive").await;
    queue.heartbeat("other").await;

    queue.now -= 3_600_000;
    queue.join("new").await;
    let first_end = queue.heartbeat("alive").await.first_end as u64;
    queue.heartbeat("other").await;
    queue.pass(LEASE * 2 / 3 - 1);
    let early = queue.reap("dead", 3).await;
    queue.pass(1);
    let reaped = queue.reap("dead", 3).await;

    assert_eq!(first_end, LEASE * 2 / 3);
    assert_eq!((early.0.as_str(), reaped), ("alive", ("ok".to_owned(), 1, 0)));
    for worker in ["alive", "other", "new"] {
        assert_eq!(queue.heartbeat(worker).await.code, "ok", "{worker}");
    }
    story.all_adds_up().await;
}
