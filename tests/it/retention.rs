//! How long ended jobs are kept: by age and by count.

use ergate::{JobState, Retention, prelude::*};
use ergate_shared::key::QueueKey;

use crate::{
    story::{
        Does, Story,
        by_hand::{ByHand, Entry, Leased},
    },
    support::until,
};

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// One job of each end, at the same moment.
async fn end_one_of_each(queue: &mut ByHand, round: &str) -> [String; 3] {
    let names = ["completed", "cancelled", "dead"].map(|end| format!("{end}-{round}"));
    let entries: Vec<_> = names.iter().map(Entry::new).collect();
    queue.enqueue_all(&entries).await;
    queue.join(round).await;
    let leased = queue.lease(round, 3).await;
    queue.settle(round, &[leased[0].complete("1"), leased[1].cancel("why"), leased[2].bury()]).await;
    queue.leave(round).await;
    names
}

async fn kept(queue: &ByHand, names: &[String; 3]) -> [bool; 3] {
    let mut kept = [false; 3];
    for (kept, known) in kept.iter_mut().zip(queue.inspect(names).await) {
        *kept = known.is_some();
    }
    kept
}

#[tokio::test]
async fn completed_and_cancelled_jobs_are_kept_an_hour_and_dead_letters_a_fortnight() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    let names = end_one_of_each(&mut queue, "r").await;

    queue.pass(HOUR_MS - 1);
    queue.sweep().await;
    let before_an_hour = kept(&queue, &names).await;
    queue.pass(1);
    queue.sweep().await;
    let after_an_hour = kept(&queue, &names).await;
    queue.pass(13 * DAY_MS);
    queue.sweep().await;
    let after_thirteen_days = kept(&queue, &names).await;
    queue.pass(DAY_MS);
    queue.sweep().await;
    let after_fourteen_days = kept(&queue, &names).await;

    assert_eq!(before_an_hour, [true, true, true]);
    assert_eq!(after_an_hour, [false, false, true]);
    assert_eq!(after_thirteen_days, [false, false, true]);
    assert_eq!(after_fourteen_days, [false, false, false]);
    story.all_adds_up().await;
}

#[tokio::test]
async fn ages_can_be_set_for_each_end() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    let retention = Retention {
        completed_for: Some(Duration::from_secs(3)),
        cancelled_for: Some(Duration::from_secs(2)),
        dead_for: Some(Duration::from_secs(1)),
        ..Retention::default()
    };
    story.queue().set_retention(retention).await.unwrap();
    let names = end_one_of_each(&mut queue, "r").await;

    let mut seen = Vec::new();
    for _ in 0..3 {
        queue.pass(1000);
        queue.sweep().await;
        seen.push(kept(&queue, &names).await);
    }

    assert_eq!(seen, [[true, true, false], [true, false, false], [false, false, false]]);
    story.all_adds_up().await;
}

#[tokio::test]
async fn only_what_is_old_goes() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    let old = end_one_of_each(&mut queue, "old").await;
    queue.pass(HOUR_MS / 2);
    let young = end_one_of_each(&mut queue, "young").await;

    queue.pass(HOUR_MS / 2);
    let (trimmed, _) = queue.sweep().await;

    assert_eq!(trimmed, 2);
    assert_eq!(kept(&queue, &old).await, [false, false, true]);
    assert_eq!(kept(&queue, &young).await, [true, true, true]);
    story.all_adds_up().await;
}

#[tokio::test]
async fn of_each_end_only_the_newest_are_kept() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    let retention =
        Retention { completed: Some(2), cancelled: Some(1), dead: Some(3), ..Retention::default() };
    story.queue().set_retention(retention).await.unwrap();

    for round in 0..5 {
        end_one_of_each(&mut queue, &round.to_string()).await;
        queue.pass(1000);
    }

    let stats = story.queue().stats().await.unwrap();
    assert_eq!((stats.completed, stats.cancelled, stats.dead), (2, 1, 3));
    for (end, oldest_kept) in [("completed", 3), ("cancelled", 4), ("dead", 2)] {
        for round in 0..5 {
            let there = queue.state(&format!("{end}-{round}")).await.is_some();
            assert_eq!(there, round >= oldest_kept, "{end} {round}");
        }
    }
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_thousand_completed_jobs_are_kept_by_default() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.join("w").await;

    for batch in 0..3 {
        let entries: Vec<_> = (0..500).map(|n| Entry::new(format!("{batch}-{n}"))).collect();
        queue.enqueue_all(&entries).await;
        let leased = queue.lease("w", 500).await;
        let done: Vec<_> = leased.iter().map(|job| job.complete("1")).collect();
        queue.settle("w", &done).await;
    }

    assert_eq!(story.queue().stats().await.unwrap().completed, 1000);
    assert_eq!(queue.state("0-499").await, None);
    assert_eq!(queue.state("1-0").await, Some(JobState::Completed));
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_queue_may_keep_nothing_of_completed_jobs() {
    let story = Story::begin().await;
    let retention = Retention { completed: Some(0), ..Retention::default() };
    story.queue().set_retention(retention).await.unwrap();
    let worker = story.worker(4);

    for number in 0..10 {
        story.enqueue(number, Does::Fail(number as u32 % 2)).await;
    }
    story.until_finished(10).await;
    until("nothing is kept", async || story.queue().stats().await.unwrap().records == 0).await;

    let queue = story.by_hand();
    for key in [QueueKey::ended, QueueKey::tries] {
        assert!(!story.redis.ask::<bool>(&["EXISTS", queue.key(key)]).await, "{key:?}");
    }
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_lowered_count_is_worked_off() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    for round in 0..5 {
        end_one_of_each(&mut queue, &round.to_string()).await;
    }

    let retention =
        Retention { completed: Some(1), cancelled: Some(1), dead: Some(1), ..Retention::default() };
    story.queue().set_retention(retention).await.unwrap();
    end_one_of_each(&mut queue, "last").await;

    let stats = story.queue().stats().await.unwrap();
    assert_eq!((stats.completed, stats.cancelled, stats.dead), (1, 1, 1));
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_setting_left_out_stays_as_it_is() {
    let story = Story::begin().await;
    let queue = story.queue();
    queue.set_retention(Retention { completed: Some(5), ..Retention::default() }).await.unwrap();

    queue.set_retention(Retention { dead: Some(7), ..Retention::default() }).await.unwrap();
    queue.set_retention(Retention::default()).await.unwrap();

    let settings = queue.stats().await.unwrap().settings;
    assert_eq!(settings.get("keep_completed").map(String::as_str), Some("5"));
    assert_eq!(settings.get("keep_dead").map(String::as_str), Some("7"));
}

#[tokio::test]
async fn nobody_sweeps_again_right_after_another() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    end_one_of_each(&mut queue, "r").await;
    queue.sweep().await;

    queue.pass(HOUR_MS);
    let call = ergate_shared::script::QUEUE_SWEEP
        .on(story.queue().keys())
        .arg(queue.now.to_string())
        .number(500)
        .number(HOUR_MS + 1);
    let (_, code, trimmed, ..): (u64, String, u64, u64, u64) = story.client.redis().run(&call).await.unwrap();

    assert_eq!((code.as_str(), trimmed), ("recent", 0));
}

#[tokio::test]
async fn a_sweep_says_whether_there_is_more() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    for name in ["r", "s", "t"] {
        end_one_of_each(&mut queue, name).await;
    }
    queue.pass(HOUR_MS + 1);
    let sweep = async || {
        let call = ergate_shared::script::QUEUE_SWEEP.on(story.queue().keys());
        let call = call.arg(queue.now.to_string()).number(2).number(0);
        let (.., trimmed, _, more): (u64, String, u64, u64, u64) =
            story.client.redis().run(&call).await.unwrap();
        (trimmed, more)
    };

    let (first, second) = (sweep().await, sweep().await);

    // Two kinds are old by now, and three of each.
    assert_eq!((first, second), ((4, 1), (2, 0)));
}

#[tokio::test]
async fn a_queue_is_swept_though_redis_clock_has_gone_back() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.sweep().await;
    queue.now -= HOUR_MS;

    assert_eq!(queue.sweep().await, (0, 0));
}

#[tokio::test]
async fn producers_that_said_nothing_for_an_hour_are_forgotten() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.enqueue(Entry::new("a")).await;
    let producers = queue.key(QueueKey::producers).to_owned();

    queue.pass(HOUR_MS);
    queue.sweep().await;
    let after_an_hour: u64 = story.redis.ask(&["HLEN", &producers]).await;
    queue.pass(1);
    queue.sweep().await;
    let later: u64 = story.redis.ask(&["HLEN", &producers]).await;

    assert_eq!((after_an_hour, later), (1, 0));
}

/// Runs with these ids that have ended, with journals of so many entries that two of them go at once, and another begins to.
async fn end_long_runs(story: &Story, queue: &mut ByHand, ends: &[(String, &str)]) {
    const ENTRIES: usize = 2000;
    queue.enqueue_all(&ends.iter().map(|(id, _)| Entry::new(id)).collect::<Vec<_>>()).await;
    let leased = queue.lease("w", ends.len()).await;
    for (id, _) in ends {
        let fields: Vec<String> = (1..=ENTRIES).map(|number| format!("{id}.{number}")).collect();
        let mut write = vec!["HSET", queue.key(QueueKey::journal)];
        write.extend(fields.iter().flat_map(|field| [field.as_str(), "{}"]));
        let _: u64 = story.redis.ask(&write).await;
        let _: u64 = story.redis.ask(&["HSET", queue.key(QueueKey::steps), id, &ENTRIES.to_string()]).await;
    }
    let settle = |(job, (_, end)): (&Leased, &(String, &str))| match *end {
        "dead" => job.bury(),
        _ => job.complete("1"),
    };
    queue.settle("w", &leased.iter().zip(ends).map(settle).collect::<Vec<_>>()).await;
}

/// Five that end like this.
fn five(end: &'static str) -> Vec<(String, &'static str)> {
    (0..5).map(|n| (format!("{end}-{n}"), end)).collect()
}

async fn no_journal_is_left(story: &Story, queue: &ByHand) {
    for key in [QueueKey::journal, QueueKey::steps] {
        assert!(!story.redis.ask::<bool>(&["EXISTS", queue.key(key)]).await, "{key:?}");
    }
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_sweep_leaves_long_journals_to_the_next_one_and_says_so() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.join("w").await;
    end_long_runs(&story, &mut queue, &five("completed")).await;
    end_long_runs(&story, &mut queue, &five("dead")).await;
    queue.pass(15 * DAY_MS);

    let mut sweeps = Vec::new();
    for _ in 0..4 {
        let call = queue.call(&ergate_shared::script::QUEUE_SWEEP).number(500).number(0);
        let (.., trimmed, _, more): (u64, String, u64, u64, u64) = queue.run(&call).await;
        sweeps.push((trimmed, more));
    }

    assert_eq!(sweeps, [(3, 1), (3, 1), (3, 1), (1, 0)]);
    no_journal_is_left(&story, &queue).await;
}

#[tokio::test]
async fn few_long_journals_go_with_each_end_that_is_over_the_count() {
    for (end, lowered) in [
        ("completed", Retention { completed: Some(0), ..Retention::default() }),
        ("dead", Retention { dead: Some(0), ..Retention::default() }),
    ] {
        let story = Story::begin().await;
        let mut queue = story.by_hand();
        queue.join("w").await;
        story.queue().set_retention(lowered).await.unwrap();
        let kept = async || story.queue().stats().await.map(|stats| stats.completed + stats.dead).unwrap();

        end_long_runs(&story, &mut queue, &five(end)).await;
        let first = kept().await;
        end_long_runs(&story, &mut queue, &[("another".to_owned(), end)]).await;

        assert_eq!((first, kept().await), (2, 0), "{end}");
        no_journal_is_left(&story, &queue).await;
    }
}
