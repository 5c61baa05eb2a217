//! Functions that times start.

use super::*;

#[tokio::test]
async fn a_function_is_started_by_its_schedule_and_by_its_event() {
    async fn sync(trigger: EventOrTick<SignedUp>, step: Step, State(shared): State<Shared>) -> Result<()> {
        let by = match trigger {
            EventOrTick::Event(event) => format!("user {}", event.user),
            EventOrTick::Tick(tick) => format!("schedule {}", tick.schedule.unwrap()),
        };
        step.run("sync", shared.did.clone().note(by)).await?;
        Ok(())
    }
    let story = Story::begin().await;
    let shared = Shared::default();
    let worker = worker(&story, &shared, Function::new("sync", sync).cron("TZ=Europe/Berlin 0 */6 * * *"));
    let schedule = story.client.schedule("sync").unwrap();
    until("the schedule is declared", async || schedule.show().await.is_ok()).await;

    story.client.send(SignedUp { user: 7 }).await.unwrap();
    until("the event has started it", async || shared.did.all() == ["user 7"]).await;
    schedule.run_now().await.unwrap();
    until("the schedule has started it", async || shared.did.all().len() == 2).await;

    assert_eq!(shared.did.all()[1], "schedule sync");
    let declared = schedule.show().await.unwrap().to_json();
    assert!(declared.to_string().contains("Europe/Berlin"), "{declared}");
    worker.stop().await;
}

#[tokio::test]
async fn a_function_with_a_wrong_cron_expression_keeps_its_worker_from_starting() {
    async fn nightly(_: Tick, _: Step) -> Result<()> {
        Ok(())
    }
    let story = Story::begin().await;
    let worker =
        Worker::new(story.client.clone(), ()).function(Function::new("nightly", nightly).cron("0 3 *"));

    let error = worker.run_until(std::future::pending()).await.unwrap_err().to_string();

    assert!(error.contains("has 3 fields"), "{error}");
}
