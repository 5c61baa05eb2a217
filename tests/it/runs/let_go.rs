//! Ids that are kept so that nothing is sent or started twice are let go once that is in the journal.

use super::*;
use crate::story::{Does, act};

const HOUR_MS: f64 = 3_600_000.0;

#[derive(Debug, Serialize, Deserialize)]
struct Greeted {
    user: u64,
}

impl Event for Greeted {
    const NAME: &str = "user/greeted";
}

/// In how many hours each member of the sorted sets of this name is over, by its score and `plus` hours.
pub(super) async fn hours_left(story: &Story, keys: &str, plus: f64) -> Vec<f64> {
    let now = story.client.redis().now_ms() as f64;
    let mut hours = Vec::new();
    for key in story.redis.ask::<Vec<String>>(&["KEYS", keys]).await {
        let scores: Vec<String> = story.redis.ask(&["ZRANGE", &key, "0", "-1", "WITHSCORES"]).await;
        let scores = scores.into_iter().skip(1).step_by(2).map(|score| score.parse::<f64>().unwrap());
        hours.extend(scores.map(|score| (score - now) / HOUR_MS + plus));
    }
    hours
}

#[tokio::test]
async fn the_id_of_an_event_that_a_step_has_sent_is_kept_for_an_hour() {
    async fn greet(event: SignedUp, step: Step) -> Result<()> {
        step.send("greet", Greeted { user: event.user }).await?;
        Ok(())
    }
    let story = Story::begin().await;
    let worker = worker(&story, &Shared::default(), Function::new("greet", greet));

    start(&story, "greet").await.result::<()>(DEADLINE).await.unwrap();

    until("its id is let go in an hour", async || {
        let left = hours_left(&story, "*:owned", 0.0).await;
        left.len() == 1 && left[0] > 0.9 && left[0] < 1.1
    })
    .await;
    worker.stop().await;
}

#[tokio::test]
async fn what_a_step_sends_and_enqueues_has_an_id_whatever_the_step_is_called() {
    async fn greet(event: SignedUp, step: Step) -> Result<(String, String)> {
        let sent = step.send("tell them all", Greeted { user: event.user }).await?;
        let name = "x".repeat(120);
        let enqueued = step.enqueue(name, act(7, Does::Succeed)).await?;
        Ok((sent.to_string(), enqueued.to_string()))
    }
    let story = Story::begin().await;
    let worker = worker(&story, &Shared::default(), Function::new("greet", greet).retries(0));

    let run = start(&story, "greet").await;
    let (sent, enqueued) = run.result::<(String, String)>(DEADLINE).await.unwrap();

    assert!(sent.starts_with('#') && enqueued.starts_with('#') && sent != enqueued);
    assert_eq!(story.client.event(&sent.parse().unwrap()).await.unwrap().record.data, json!({"user": 7}));
    assert_eq!(story.state(&enqueued.parse().unwrap()).await, Some(JobState::Ready));
    worker.stop().await;
}

#[tokio::test]
async fn the_id_of_an_event_that_somebody_else_has_sent_is_kept_for_a_day() {
    let story = Story::begin().await;

    story.client.send(Greeted { user: 7 }).id("greeting-7").await.unwrap();

    let left = hours_left(&story, "*:owned", 0.0).await;
    assert!(left.len() == 1 && left[0] > 23.9, "{left:?}");
}

#[tokio::test]
async fn the_id_of_a_run_whose_result_is_in_its_parents_journal_is_kept_for_an_hour() {
    async fn child(_: SignedUp, _: Step) -> Result<u64> {
        Ok(1)
    }
    async fn parent(event: SignedUp, step: Step) -> Result<u64> {
        Ok(step.invoke("child", "child", &event).await?)
    }
    let story = Story::begin().await;
    let metrics = Metrics::new();
    let family = Worker::new(story.client.clone(), ()).metrics(metrics.clone());
    let family = family.function(Function::new("child", child)).function(Function::new("parent", parent));
    let worker = RunningWorker::start(family, metrics);

    start(&story, "parent").await.result::<u64>(DEADLINE).await.unwrap();

    // The score says since when it is kept, for a day.
    until("it is let go in an hour", async || {
        let left = hours_left(&story, "*:{fn/child}:routed", 24.0).await;
        left.len() == 1 && left[0] > 0.9 && left[0] < 1.1
    })
    .await;
    worker.stop().await;
}
