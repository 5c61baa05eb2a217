//! Jobs that are edited and removed.

use super::*;

#[tokio::test]
async fn the_payload_of_a_waiting_job_can_be_replaced() {
    let story = Story::begin().await;
    let ready = story.enqueue(1, Does::Succeed).await;
    let delayed =
        story.client.enqueue(act(2, Does::Succeed)).delay(Duration::from_hours(1)).await.unwrap().id;

    story.job(&ready).update_payload(&act(11, Does::Succeed)).await.unwrap();
    story.job(&delayed).update_payload(&act(12, Does::Succeed)).await.unwrap();
    story.job(&delayed).promote().await.unwrap();
    let worker = story.worker(1);
    story.until_finished(2).await;

    assert_eq!(story.trace.started(), [11, 12]);
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn an_edit_keeps_everything_but_the_payload() {
    let story = Story::begin().await;
    let receipt = story
        .client
        .enqueue(act(1, Does::Succeed))
        .priority(Priority::Low)
        .retries(9)
        .tags(["red"])
        .unique(Unique::until_finished("org-7"))
        .await
        .unwrap();
    let job = story.job(&receipt.id);
    let before = job.get().await.unwrap().record.unwrap();

    job.update_payload(&act(2, Does::Succeed)).await.unwrap();

    let after = job.get().await.unwrap().record.unwrap();
    assert_eq!(after.payload, serde_json::to_vec(&act(2, Does::Succeed)).unwrap());
    assert_eq!(ergate::JobRecord { payload: before.payload.clone(), ..after }, before);
}

#[tokio::test]
async fn a_job_that_runs_or_has_completed_cannot_be_edited() {
    let story = Story::begin().await;
    let worker = story.worker(2);
    let completed = story.enqueue(1, Does::Succeed).await;
    story.until_state(&completed, JobState::Completed).await;
    let runs = story.enqueue(2, Does::Wait).await;
    story.until_started(2).await;

    for (id, expected) in [(&completed, JobState::Completed), (&runs, JobState::Leased)] {
        let error = story.job(id).update_payload(&act(9, Does::Succeed)).await.unwrap_err();
        assert!(matches!(error, Error::WrongState { state, .. } if state == expected), "{error}");
    }
    story.trace.open(2);
    story.until_state(&runs, JobState::Completed).await;
    worker.stop().await;
}

#[tokio::test]
async fn of_two_edits_at_once_none_is_lost_unseen() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.enqueue(Entry::new("a")).await;
    let read = story.queue().job("a").unwrap().get().await.unwrap().record_bytes;
    let [first, second] = [b" one", b" two"].map(|end| [read.as_slice(), end].concat());

    let outcomes = [queue.update("a", &read, &first).await, queue.update("a", &read, &second).await];

    assert_eq!(outcomes, ["ok", "changed"]);
    assert_eq!(story.queue().job("a").unwrap().get().await.unwrap().record_bytes, first);
}

#[tokio::test]
async fn a_removed_job_leaves_nothing_behind() {
    let story = Story::begin().await;
    let worker = story.worker(2);
    let completed = story.enqueue(1, Does::Fail(1)).await;
    let dead = story.enqueue(2, Does::FailForGood).await;
    story.until_state(&completed, JobState::Completed).await;
    story.until_state(&dead, JobState::Dead).await;
    let ready = {
        worker.stop().await;
        story.enqueue(3, Does::Succeed).await
    };

    for id in [&completed, &dead, &ready] {
        story.job(id).remove().await.unwrap();
    }

    use ergate_shared::key::QueueKey;
    let queue = story.by_hand();
    for key in [
        QueueKey::jobs,
        QueueKey::tries,
        QueueKey::failures,
        QueueKey::ended,
        QueueKey::completed,
        QueueKey::dead,
        QueueKey::unique,
    ] {
        assert!(!story.redis.ask::<bool>(&["EXISTS", queue.key(key)]).await, "{key:?}");
    }
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_running_job_is_not_removed_under_its_handler() {
    let story = Story::begin().await;
    let worker = story.worker(1);
    let id = story.enqueue(1, Does::Wait).await;
    story.until_started(1).await;

    let error = story.job(&id).remove().await.unwrap_err();

    assert_eq!(error.to_string(), format!("job {id} is leased and cannot be removed"));
    story.trace.open(1);
    story.until_state(&id, JobState::Completed).await;
    worker.stop().await;
    story.all_adds_up().await;
}
