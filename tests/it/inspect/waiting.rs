//! Waiting for the end of a job.

use super::*;

#[tokio::test]
async fn waiting_for_a_result_ends_when_it_is_there() {
    let story = Story::begin().await;
    let id = story.enqueue(7, Does::Wait).await;
    let job = story.job(&id);
    let waiting = tokio::spawn(async move { job.result::<u64>(Duration::from_secs(15)).await });
    let worker = story.worker(1);
    story.until_started(7).await;

    story.trace.open(7);

    assert_eq!(waiting.await.unwrap().unwrap(), 7);
    worker.stop().await;
}

#[tokio::test]
async fn hundreds_may_wait_at_once() {
    let story = Story::begin().await;
    let receipts = story.client.enqueue_all((0..300).map(|number| act(number, Does::Succeed))).await.unwrap();
    let waiting: Vec<_> = receipts
        .iter()
        .map(|receipt| {
            let job = receipt.job(&story.client);
            tokio::spawn(async move { job.result::<u64>(Duration::from_secs(15)).await })
        })
        .collect();

    let worker = story.worker(50);

    for (number, waiting) in waiting.into_iter().enumerate() {
        assert_eq!(waiting.await.unwrap().unwrap(), number as u64);
    }
    let watched = story.by_hand().key(ergate_shared::key::QueueKey::watched).to_owned();
    assert!(!story.redis.ask::<bool>(&["EXISTS", &watched]).await);
    worker.stop().await;
}

#[tokio::test]
async fn waiting_too_short_says_in_which_state_the_job_is() {
    let story = Story::begin().await;
    let id = story.enqueue(1, Does::Succeed).await;

    let error = story.job(&id).result::<u64>(Duration::from_millis(20)).await.unwrap_err();

    assert_eq!(error.to_string(), format!("job {id} had not ended after 20ms; it is ready"));
}

#[tokio::test]
async fn one_may_wait_for_ever() {
    let story = Story::begin().await;
    let worker = story.worker(1);
    let id = story.enqueue(7, Does::Succeed).await;

    let result = story.job(&id).result::<u64>(Duration::MAX).await;

    assert_eq!(result.unwrap(), 7);
    worker.stop().await;
}

#[tokio::test]
async fn waiting_for_a_job_that_dies_ends_with_its_failure() {
    let story = Story::begin().await;
    let worker = story.worker(1);
    let id = story.enqueue(1, Does::FailForGood).await;

    let error = story.job(&id).result::<u64>(Duration::from_secs(15)).await.unwrap_err();

    assert_eq!(error.to_string(), format!("job {id} is dead: no use trying again"));
    worker.stop().await;
}

#[tokio::test]
async fn waiting_for_a_job_that_is_removed_ends() {
    let story = Story::begin().await;
    let id = story.enqueue(1, Does::Succeed).await;
    let job = story.job(&id);
    let waiting = tokio::spawn(async move { job.ended(Duration::from_secs(15)).await });

    story.job(&id).remove().await.unwrap();

    assert!(waiting.await.unwrap().unwrap_err().is_not_found());
}
