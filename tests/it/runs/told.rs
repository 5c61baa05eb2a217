//! Events that tell of the end of runs, and the functions they start.

use ergate::{Batch, FunctionCancelled, FunctionFailed, FunctionFinished};

use super::*;

async fn fails(event: SignedUp, _: Step) -> Result<u64> {
    if event.user == 0 { Err(Failure::fatal("nobody signed up")) } else { Ok(event.user) }
}

fn on(
    story: &Story,
    shared: &Shared,
    functions: impl IntoIterator<Item = Function<Shared>>,
) -> RunningWorker {
    let metrics = Metrics::new();
    let worker = Worker::new(story.client.clone(), shared.clone()).metrics(metrics.clone());
    RunningWorker::start(functions.into_iter().fold(worker, Worker::function), metrics)
}

#[tokio::test]
async fn a_function_hears_of_its_runs_that_failed_and_of_no_others() {
    async fn alert(failed: FunctionFailed, step: Step, State(shared): State<Shared>) -> Result<()> {
        let what = format!("{} failed: {}", failed.run.function, failed.error.message);
        step.run("note", shared.did.clone().note(what)).await?;
        // It fails too, and nobody is told of that: it would go round in a circle.
        Err(Failure::fatal("the alarm is broken"))
    }
    let story = Story::begin().await;
    let shared = Shared::default();
    let watched = Function::new("watched", fails).on_failure(alert);
    let worker = on(&story, &shared, [watched, Function::new("other", fails)]);

    for function in ["other", "watched"] {
        story.client.invoke(function, &SignedUp { user: 0 }).await.unwrap();
    }
    story.client.invoke("watched", &SignedUp { user: 1 }).await.unwrap();
    let failures = story.client.queue("fn/watched-failure").unwrap();
    until("the alarm has failed", async || failures.stats().await.unwrap().dead == 1).await;

    assert_eq!(shared.did.all(), ["watched failed: nobody signed up"]);
    let told = story.client.events().list(None, 100).await.unwrap();
    let failed = told.items.iter().filter(|view| view.record.name.as_str() == FunctionFailed::NAME).count();
    assert_eq!(failed, 2, "of the other one and of the watched one");
    worker.stop().await;
}

#[tokio::test]
async fn a_failure_with_a_message_longer_than_an_event_is_told_of_with_its_beginning() {
    async fn rant(_: SignedUp, _: Step) -> Result<()> {
        Err(Failure::fatal("é".repeat(300 * 1024)))
    }
    async fn heard(failed: FunctionFailed, step: Step, State(shared): State<Shared>) -> Result<()> {
        let user = failed.run.event.unwrap().data["user"].clone();
        step.run("note", shared.did.clone().note(format!("{user}: {}", failed.error.message))).await?;
        Ok(())
    }
    let story = Story::begin().await;
    let shared = Shared::default();
    let worker = on(&story, &shared, [Function::new("rant", rant).on_failure(heard)]);

    let run = start(&story, "rant").await;
    until("it was heard of", async || shared.did.all().len() == 1).await;

    assert_eq!(shared.did.all(), [format!("7: {}… [610304 bytes more]", "é".repeat(2048))]);
    let kept = run.get().await.unwrap().failure().unwrap().message.len();
    assert_eq!(kept, 600 * 1024, "the run itself has all of it");
    worker.stop().await;
}

#[tokio::test]
async fn a_failed_batch_whose_events_say_much_of_their_users_is_told_of_without_them() {
    async fn all_fail(_: Batch<SignedUp>, _: Step) -> Result<()> {
        Err(Failure::fatal("nobody signed up"))
    }
    async fn heard(failed: FunctionFailed, step: Step, State(shared): State<Shared>) -> Result<()> {
        let events = failed.run.events.len() + usize::from(failed.run.event.is_some());
        step.run("note", shared.did.clone().note(format!("{events}: {}", failed.error.message))).await?;
        Ok(())
    }
    let story = Story::begin().await;
    let shared = Shared::default();
    let batched = Function::new("all-fail", all_fail).batch(2, Duration::from_secs(60)).on_failure(heard);
    let worker = on(&story, &shared, [batched]);
    until("both are declared", async || story.client.functions().await.unwrap().len() == 2).await;

    for user in [1, 2] {
        story.client.send(SignedUp { user }).user(json!("x".repeat(300 * 1024))).await.unwrap();
    }
    until("it was heard of", async || shared.did.all().len() == 1).await;

    assert_eq!(shared.did.all(), ["0: nobody signed up"]);
    worker.stop().await;
}

#[tokio::test]
async fn a_function_is_started_by_the_success_of_another() {
    async fn after(finished: FunctionFinished, step: Step, State(shared): State<Shared>) -> Result<()> {
        let user = finished.run.event.unwrap().data["user"].clone();
        step.run("note", shared.did.clone().note(format!("{} of {user}", finished.result))).await?;
        Ok(())
    }
    let story = Story::begin().await;
    let shared = Shared::default();
    let after = Function::new("after", after).when("event.data.function_id == 'first'");
    let worker = on(&story, &shared, [Function::new("first", fails), after]);
    until("both are declared", async || story.client.functions().await.unwrap().len() == 2).await;

    // Whether anybody listens is looked at now and then.
    until("one is told", async || {
        story.client.invoke("first", &SignedUp { user: 7 }).await.unwrap();
        !shared.did.all().is_empty()
    })
    .await;

    assert_eq!(shared.did.all()[0], "7 of 7");
    worker.stop().await;
}

#[tokio::test]
async fn completed_runs_that_nobody_listens_to_leave_no_events() {
    let story = Story::begin().await;
    let shared = Shared::default();
    let worker = on(&story, &shared, [Function::new("first", fails)]);

    let receipt = story.client.invoke("first", &SignedUp { user: 7 }).await.unwrap();
    receipt.job(&story.client).result::<u64>(DEADLINE).await.unwrap();

    assert_eq!(story.client.events().list(None, 10).await.unwrap().items.len(), 0);
    worker.stop().await;
}

#[tokio::test]
async fn a_cancelled_run_is_told_of_at_once() {
    async fn sleeper(_: SignedUp, step: Step) -> Result<()> {
        step.sleep("long", Duration::from_hours(24)).await;
        Ok(())
    }
    async fn heard(gone: FunctionCancelled, step: Step, State(shared): State<Shared>) -> Result<()> {
        step.run("note", shared.did.clone().note(gone.error.message)).await?;
        Ok(())
    }
    let story = Story::begin().await;
    let shared = Shared::default();
    let worker = on(&story, &shared, [Function::new("sleeper", sleeper), Function::new("heard", heard)]);
    let run = start(&story, "sleeper").await;
    until_state(&run, RunState::Suspended).await;

    run.cancel("not needed").await.unwrap();
    until("it was heard", async || shared.did.all().len() == 1).await;

    assert_eq!(shared.did.all(), [format!("sleeper {} was cancelled: not needed", run.id())]);
    worker.stop().await;
}

#[tokio::test]
async fn an_end_that_no_event_can_tell_of_holds_up_no_other() {
    let story = Story::begin().await;
    let shared = Shared::default();
    for shard in 0..ergate_shared::event::SHARDS {
        let keys = ergate_shared::key::ShardKeys::new(&ergate::Namespace::default(), shard);
        let _: () = story.redis.ask(&["SET", &keys.stream, "not a stream"]).await;
    }
    let worker = on(&story, &shared, [Function::new("first", fails)]);

    story.client.invoke("first", &SignedUp { user: 0 }).await.unwrap();

    let queue = story.client.queue("fn/first").unwrap();
    until("it has failed", async || queue.stats().await.unwrap().dead == 1).await;
    let queue = ergate::QueueName::new("fn/first").unwrap();
    let keys = ergate_shared::key::QueueKeys::new(&ergate::Namespace::default(), &queue);
    let outbox = keys.get(ergate_shared::key::QueueKey::outbox);
    until("nothing is left to tell", async || story.redis.ask::<u64>(&["XLEN", outbox]).await == 0).await;
    worker.stop().await;
}
