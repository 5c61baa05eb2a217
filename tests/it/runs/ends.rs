//! How runs end, are cancelled and forgotten.

use super::*;

#[tokio::test]
async fn a_run_that_failed_goes_on_where_it_failed_when_it_is_started_again() {
    async fn halting(_: SignedUp, step: Step, State(shared): State<Shared>) -> Result<()> {
        step.run("first", shared.did.clone().note("first")).await?;
        step.run("second", async {
            shared.did.clone().note("second").await?;
            if shared.count.fetch_add(1, Ordering::Relaxed) == 0 {
                return Err(Failure::fatal("the service is down"));
            }
            Ok(())
        })
        .await?;
        Ok(())
    }
    let story = Story::begin().await;
    let shared = Shared::default();
    let worker = worker(&story, &shared, Function::new("halting", halting));
    let run = start(&story, "halting").await;
    until_state(&run, RunState::Failed).await;

    run.again().await.unwrap();
    run.result::<()>(DEADLINE).await.unwrap();

    assert_eq!(shared.did.all(), ["first", "second", "second"]);
    worker.stop().await;
}

#[tokio::test]
async fn a_run_that_sleeps_is_cancelled_at_once_and_one_that_executes_by_its_worker() {
    async fn patient(_: SignedUp, step: Step, State(shared): State<Shared>) -> Result<()> {
        step.sleep("long", Duration::from_hours(1)).await;
        step.run("never", shared.did.clone().note("never")).await?;
        Ok(())
    }
    async fn busy(_: SignedUp, step: Step, State(shared): State<Shared>) -> Result<()> {
        step.run("endless", async {
            shared.did.clone().note("endless").await?;
            std::future::pending::<Result<()>>().await
        })
        .await?;
        Ok(())
    }
    let story = Story::begin().await;
    let shared = Shared::default();
    let sleepers = worker(&story, &shared, Function::new("patient", patient));
    let workers = worker(&story, &shared, Function::new("busy", busy));
    let (asleep, awake) = (start(&story, "patient").await, start(&story, "busy").await);
    until_state(&asleep, RunState::Suspended).await;
    until("the body runs", async || shared.did.all() == ["endless"]).await;

    asleep.cancel("not needed").await.unwrap();
    awake.cancel("not needed").await.unwrap();

    assert_eq!(asleep.state().await.unwrap(), RunState::Cancelled);
    until_state(&awake, RunState::Cancelled).await;
    assert_eq!(shared.did.all(), ["endless"]);
    sleepers.stop().await;
    workers.stop().await;
}

#[tokio::test]
async fn a_step_that_was_something_else_when_the_run_began_is_named() {
    async fn before(_: SignedUp, step: Step) -> Result<()> {
        step.sleep("pause", Duration::from_millis(300)).await;
        Ok(())
    }
    async fn after(_: SignedUp, step: Step) -> Result<()> {
        step.run("pause", async { anyhow::Ok(()) }).await?;
        Ok(())
    }
    let story = Story::begin().await;
    let shared = Shared::default();
    let old = worker(&story, &shared, Function::new("changing", before));
    let run = start(&story, "changing").await;
    until_state(&run, RunState::Suspended).await;
    old.stop().await;

    let new = worker(&story, &shared, Function::new("changing", after));
    until_state(&run, RunState::Failed).await;

    let failure = run.job().get().await.unwrap().failure.unwrap();
    assert!(
        failure.message.starts_with("step pause is run in the code and something else in the journal"),
        "{failure:?}"
    );
    new.stop().await;
}

#[tokio::test]
async fn data_that_is_not_what_the_function_takes_fails_the_run_at_once() {
    let story = Story::begin().await;
    let worker = worker(&story, &Shared::default(), Function::new("onboard", onboard));

    let receipt = story.client.invoke("onboard", &json!({ "user": "seven" })).await.unwrap();
    let run = story.client.run("onboard", receipt.id.as_str()).unwrap();
    until_state(&run, RunState::Failed).await;

    let failure = run.job().get().await.unwrap().failure.unwrap();
    assert_eq!(failure.kind, FailureKind::Decode);
    assert!(failure.message.contains("is no user/signed-up: invalid type: string"), "{failure:?}");
    worker.stop().await;
}

#[tokio::test]
async fn a_run_that_is_forgotten_leaves_no_journal_behind() {
    let story = Story::begin().await;
    let shared = Shared::default();
    let worker = worker(&story, &shared, Function::new("onboard", onboard));
    let run = start(&story, "onboard").await;
    run.result::<u64>(DEADLINE).await.unwrap();

    run.job().remove().await.unwrap();

    let keys = run.job().queue().keys();
    for key in [ergate_shared::key::QueueKey::journal, ergate_shared::key::QueueKey::steps] {
        let mut exists = redis::cmd("EXISTS");
        exists.arg(keys.get(key));
        let left: u64 = story.client.redis().command("EXISTS", &exists).await.unwrap();
        assert_eq!(left, 0, "{}", key.name());
    }
    worker.stop().await;
}

#[tokio::test]
async fn a_function_and_a_job_of_one_name_do_not_meet() {
    let story = Story::begin().await;
    let worker = Worker::new(story.client.clone(), Shared::default())
        .function(Function::new("twice", onboard))
        .function(Function::new("twice", onboard));

    let error = worker.run_until(std::future::pending()).await.unwrap_err();

    assert_eq!(error.to_string(), "worker cannot start: function twice is given twice");
}
