//! Handlers that block their thread.

use super::*;

#[tokio::test]
async fn a_blocking_handler_blocks_nobody_else() {
    fn block(job: Plain, State(gate): State<Arc<std::sync::Barrier>>, attempt: Attempt) -> Result<u64> {
        gate.wait();
        Ok(job.number + u64::from(attempt.number))
    }
    let story = Story::begin().await;
    let gate = Arc::new(std::sync::Barrier::new(3));
    let worker = run(&story, Arc::clone(&gate), 4, |worker| worker.blocking(block));

    let mut receipts = Vec::new();
    for number in 0..3 {
        receipts.push(story.client.enqueue(Plain { number }).await.unwrap());
    }

    for (number, receipt) in receipts.iter().enumerate() {
        assert_eq!(result_of::<u64>(&story, &receipt.id).await, number as u64 + 1);
    }
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_blocking_handler_that_panics_has_failed() {
    fn panic(_: Plain) -> Result<()> {
        panic!("out of paper")
    }
    let story = Story::begin().await;
    let worker = run(&story, (), 1, |worker| worker.blocking(panic));

    let receipt = story.client.enqueue(Plain::default()).await.unwrap();
    story.until_state(&receipt.id, JobState::Dead).await;

    let failure = story.job(&receipt.id).get().await.unwrap().failure.unwrap();
    assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Panic, "panicked: out of paper"));
    worker.stop().await;
}

#[tokio::test]
async fn a_blocking_handler_that_runs_too_long_is_given_up() {
    fn block(_: Hasty, State(gate): State<Arc<std::sync::Barrier>>) -> Result<()> {
        gate.wait();
        Ok(())
    }
    let story = Story::begin().await;
    let gate = Arc::new(std::sync::Barrier::new(2));
    let worker = run(&story, Arc::clone(&gate), 1, |worker| worker.blocking(block));

    let receipt = story.client.enqueue(Hasty::default()).retries(0).await.unwrap();
    story.until_state(&receipt.id, JobState::Dead).await;
    gate.wait();

    assert_eq!(story.job(&receipt.id).get().await.unwrap().failure.unwrap().kind, FailureKind::Timeout);
    worker.stop().await;
    story.all_adds_up().await;
}
