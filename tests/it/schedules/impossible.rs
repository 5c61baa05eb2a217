//! Schedules whose job is refused for what it is: found at the start where that can be, and mendable where not.

use ergate_shared::schedule::Origin;

use super::*;

fn too_large() -> Schedule {
    let payload = format!("{:?}", "x".repeat(600 * 1024));
    Schedule::every("tick", OFTEN).raw_job(QUEUE.parse().unwrap(), "act".parse().unwrap(), payload)
}

#[tokio::test]
async fn a_worker_whose_schedule_has_a_payload_over_the_limit_does_not_start() {
    let story = Story::begin().await;
    let worker = Worker::new(story.client.clone(), ()).queue(QUEUE, 1).schedule(too_large());

    let error = worker.run_until(async {}).await.unwrap_err().to_string();

    for said in ["schedule tick", "614402 bytes", "limit is 524288", "payload_limit"] {
        assert!(error.contains(said), "{error}");
    }
    assert!(story.client.schedules().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_schedule_whose_job_is_refused_can_be_paused_run_and_set_to_another() {
    let story = Story::begin().await;
    // As a client with a higher limit sets it.
    let (name, spec) = too_large().build(Origin::Hand).unwrap();
    story.client.set_schedule(&name, &spec).await.unwrap();
    let worker = ticking(&story, 1);
    let is_stuck = async || tick(&story).show().await.unwrap().state.plan.is_some();

    until("it is stuck", is_stuck).await;
    tick(&story).pause().await.unwrap();
    let paused = tick(&story).show().await.unwrap();
    assert_eq!((paused.condition(), &paused.state.plan), ("paused", &None));
    assert!(paused.state.counts.missed >= 1 && paused.state.counts.started == 0, "{paused:?}");

    tick(&story).resume().await.unwrap();
    until("it is stuck again", is_stuck).await;
    let refused = tick(&story).run_now().await;
    assert!(matches!(refused, Err(Error::TooLarge { .. })), "{refused:?}");

    until("and once more", is_stuck).await;
    often(&story, Does::Succeed, |schedule| schedule).await;
    until_started(&story, 2).await;
    worker.stop().await;
    story.all_adds_up().await;
}
