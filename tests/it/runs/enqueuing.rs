//! Jobs that steps enqueue and do not wait for.

use ergate_shared::key::QueueKey;

use super::{let_go::hours_left, *};
use crate::story::{Does, act};

async fn enqueue_and_sleep(_: SignedUp, step: Step) -> Result<()> {
    step.enqueue("job", act(7, Does::Succeed)).await?;
    step.sleep("long", Duration::from_hours(1)).await;
    Ok(())
}

/// As a worker leaves it that dies after the job is enqueued and before that is written down.
#[tokio::test]
async fn a_job_that_has_ended_and_been_forgotten_is_not_enqueued_again_by_a_step_that_is_repeated() {
    let story = Story::begin().await;
    let jobs = story.worker(1);
    let worker = worker(&story, &Shared::default(), Function::new("enqueuing", enqueue_and_sleep));
    let run = start(&story, "enqueuing").await;
    let is_asleep =
        async || run.journal().await.unwrap().len() == 2 && run.state().await.unwrap() == RunState::Suspended;
    until("the run sleeps", is_asleep).await;
    let job = story.job(&format!("{}/job", run.id()).parse().unwrap());
    story.until_state(job.id(), JobState::Completed).await;

    job.remove().await.unwrap();
    let (keys, id) = (run.job().queue().keys().clone(), run.id().as_str());
    for number in ["1", "2"] {
        story.redis.ask::<u64>(&["HDEL", keys.get(QueueKey::journal), &format!("{id}.{number}")]).await;
    }
    story.redis.ask::<u64>(&["HDEL", keys.get(QueueKey::steps), id]).await;
    run.job().promote().await.unwrap();
    until("the run sleeps again", is_asleep).await;

    assert_eq!(story.state(job.id()).await, None, "it is not there");
    assert_eq!(story.trace.finished(), [7]);
    worker.stop().await;
    jobs.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn the_id_of_a_job_that_a_step_has_enqueued_is_kept_for_an_hour() {
    let story = Story::begin().await;
    let worker = worker(&story, &Shared::default(), Function::new("enqueuing", enqueue_and_sleep));

    start(&story, "enqueuing").await;

    // The score says since when it is kept, for a day.
    until("it is let go in an hour", async || {
        let left = hours_left(&story, "*:{story}:routed", 24.0).await;
        left.len() == 1 && left[0] > 0.9 && left[0] < 1.1
    })
    .await;
    worker.stop().await;
}

#[tokio::test]
async fn a_job_that_is_too_large_is_refused() {
    async fn too_large(_: SignedUp, step: Step) -> Result<String> {
        let result = step.enqueue("job", Large { text: "x".repeat(2_000_000) }).retries(0).await;
        Ok(result.unwrap_err().message().to_owned())
    }
    #[derive(Debug, Serialize, Deserialize)]
    struct Large {
        text: String,
    }
    impl Job for Large {
        const NAME: &str = "large";
    }
    let story = Story::begin().await;
    let worker = worker(&story, &Shared::default(), Function::new("too-large", too_large));

    let why: String = start(&story, "too-large").await.result(DEADLINE).await.unwrap();

    assert!(why.contains("2000011 bytes"), "{why}");
    worker.stop().await;
}
