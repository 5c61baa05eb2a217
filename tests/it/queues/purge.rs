//! All jobs in one state of a queue are removed, and nothing else is.

use ergate::{Filter, prelude::*};
use ergate_shared::key::QueueKey;

use crate::{
    story::{
        Does, Story, act,
        by_hand::{ByHand, Entry, plain},
    },
    support::DEADLINE,
};

#[tokio::test]
async fn everything_in_a_state_is_purged_and_nothing_else() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.join("w").await;
    let fill = async |queue: &mut ByHand| {
        queue.enqueue_all(&plain(&["completed", "cancelled", "dead"])).await;
        let leased = queue.lease("w", 3).await;
        let ends = [leased[0].complete("1"), leased[1].cancel("why"), leased[2].bury()];
        queue.settle("w", &ends).await;
        queue.enqueue(Entry::new("scheduled").delay(60_000)).await;
        queue.enqueue_all(&[Entry::new("ready"), Entry::new("ranked").priority(1)]).await;
    };

    for state in JobState::ALL.into_iter().filter(|state| *state != JobState::Leased) {
        fill(&mut queue).await;
        let before = story.queue().counts().await.unwrap();

        let removed = story.queue().purge(state, |_| {}).await.unwrap();

        let mut expected = before.clone();
        assert_eq!(expected.insert(state, 0), Some(removed), "{state}");
        assert_eq!(story.queue().counts().await.unwrap(), expected);
        for other in JobState::ALL.into_iter().filter(|other| *other != JobState::Leased) {
            story.queue().purge(other, |_| {}).await.unwrap();
        }
        assert_eq!(story.queue().stats().await.unwrap().records, 0);
    }
    story.all_adds_up().await;
}

#[tokio::test]
async fn however_many_are_ready_all_are_purged() {
    let story = Story::begin().await;
    story.client.enqueue_all((0..2300).map(|number| act(number, Does::Succeed))).await.unwrap();
    let mut told = Vec::new();

    let removed = story.queue().purge(JobState::Ready, |so_far| told.push(so_far)).await.unwrap();

    assert_eq!(removed, 2300);
    assert!(told.is_sorted() && told.len() >= 5, "{told:?}");
    assert_eq!(story.queue().stats().await.unwrap().records, 0);
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_purge_ends_though_jobs_keep_coming() {
    let story = Story::begin().await;
    story.client.enqueue_all((0..600).map(|number| act(number, Does::Succeed))).await.unwrap();
    let (going_on, purging) = tokio::sync::oneshot::channel::<()>();
    let client = story.client.clone();
    let coming = tokio::spawn(async move {
        while !going_on.is_closed() {
            client.enqueue_all((0..600).map(|number| act(number, Does::Succeed))).await.unwrap();
        }
    });

    let queue = story.queue();
    let removed = tokio::time::timeout(DEADLINE, queue.purge(JobState::Ready, |_| {})).await;
    drop(purging);
    coming.await.unwrap();

    assert!(removed.expect("it ends").unwrap() >= 600);
    assert!(story.queue().stats().await.unwrap().ready > 0, "what came last is left");
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_purge_of_nothing_removes_nothing() {
    let story = Story::begin().await;
    let mut told = Vec::new();

    let removed = story.queue().purge(JobState::Ready, |so_far| told.push(so_far)).await.unwrap();

    assert_eq!((removed, told), (0, vec![]));
}

#[tokio::test]
async fn what_is_enqueued_after_a_purge_runs() {
    let story = Story::begin().await;
    for number in 0..50 {
        story.enqueue(number, Does::Succeed).await;
    }
    story.queue().purge(JobState::Ready, |_| {}).await.unwrap();

    let worker = story.worker(1);
    for number in 100..103 {
        story.enqueue(number, Does::Succeed).await;
    }
    story.until_finished(3).await;

    assert_eq!(story.trace.started(), [100, 101, 102]);
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn running_jobs_are_not_purged() {
    let story = Story::begin().await;

    let error = story.queue().purge(JobState::Leased, |_| {}).await.unwrap_err();

    assert_eq!(error.to_string(), "running jobs cannot be purged; cancel them, or drain the queue");
}

#[tokio::test]
async fn dead_letters_with_long_journals_are_purged_a_few_at_a_time() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.join("w").await;
    let (mut told, mut purged) = ([Vec::new(), Vec::new()], [0, 0]);
    for round in 0..2 {
        queue.enqueue_all(&plain(&["a", "b", "c", "d", "e"])).await;
        let leased = queue.lease("w", 5).await;
        for job in &leased {
            let _: i64 = story.redis.ask(&["HSET", queue.key(QueueKey::steps), &job.id, "2000"]).await;
        }
        queue.settle("w", &leased.iter().map(|job| job.bury()).collect::<Vec<_>>()).await;
        let told = |so_far| told[round].push(so_far);

        purged[round] = match round {
            0 => story.queue().purge(JobState::Dead, told).await.unwrap(),
            _ => story.queue().dead().purge(&Filter::default(), told).await.unwrap(),
        };
    }

    assert_eq!((purged, told), ([5, 5], [vec![3, 5], vec![3, 5]]));
    assert_eq!(story.queue().stats().await.unwrap().records, 0);
    story.all_adds_up().await;
}
