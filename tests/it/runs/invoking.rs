//! Runs that start other runs or jobs and wait for their results.

use ergate_shared::script;

use super::*;
use crate::support::Proxy;

#[derive(Debug, Serialize, Deserialize)]
struct Double {
    number: u64,
}

impl Job for Double {
    const NAME: &str = "double";
    const QUEUE: &str = "sums";
    const RETRIES: u32 = 0;
}

async fn double(job: Double, State(shared): State<Shared>) -> Result<u64> {
    shared.did.clone().note("double").await?;
    if job.number == 0 {
        return Err(Failure::fatal("nothing to double"));
    }
    Ok(job.number * 2)
}

async fn child(event: SignedUp, step: Step, State(shared): State<Shared>) -> Result<u64> {
    step.run("work", shared.did.clone().note("child")).await?;
    if event.user == 0 {
        return Err(Failure::fatal("nobody signed up"));
    }
    step.sleep("rest", Duration::from_millis(30)).await;
    Ok(event.user * 10)
}

async fn parent(event: SignedUp, step: Step, State(shared): State<Shared>) -> Result<String> {
    let child = step.invoke::<u64>("child", "child", &SignedUp { user: event.user });
    let doubled = step.invoke_job::<u64>("double", Double { number: event.user });
    // A sleep beside them, so that the code is called again while they are under way.
    let (child, doubled, ()) =
        tokio::join!(child, doubled, step.sleep("meanwhile", Duration::from_millis(5)));
    let told =
        |result: Result<u64, StepError>| result.map_or_else(|error| error.to_string(), |n| n.to_string());
    step.run("told", shared.did.clone().note("parent")).await?;
    Ok(format!("{} / {}", told(child), told(doubled)))
}

fn family(client: &Client, shared: &Shared) -> RunningWorker {
    let metrics = Metrics::new();
    let worker = Worker::new(client.clone(), shared.clone())
        .metrics(metrics.clone())
        .lease(Duration::from_secs(2))
        .queue("sums", 2)
        .job(double)
        .function(Function::new("child", child))
        .function(Function::new("parent", parent));
    RunningWorker::start(worker, metrics)
}

async fn run_parent(client: &Client, user: u64) -> ergate::RunHandle {
    let receipt = client.invoke("parent", &SignedUp { user }).await.unwrap();
    client.run("parent", receipt.id.as_str()).unwrap()
}

fn times(shared: &Shared, what: &str) -> usize {
    shared.did.all().iter().filter(|did| *did == what).count()
}

#[tokio::test]
async fn a_run_gets_the_results_of_a_function_and_of_a_job_it_started() {
    let story = Story::begin().await;
    let shared = Shared::default();
    let worker = family(&story.client, &shared);

    let run = run_parent(&story.client, 7).await;

    assert_eq!(run.result::<String>(DEADLINE).await.unwrap(), "70 / 14");
    assert_eq!((times(&shared, "child"), times(&shared, "double"), times(&shared, "parent")), (1, 1, 1));
    worker.stop().await;
}

#[tokio::test]
async fn what_fails_below_is_an_error_above_that_can_be_handled() {
    let story = Story::begin().await;
    let shared = Shared::default();
    let worker = family(&story.client, &shared);

    let run = run_parent(&story.client, 0).await;

    let result: String = run.result(DEADLINE).await.unwrap();
    assert!(result.contains("nobody signed up") && result.contains("nothing to double"), "{result}");
    worker.stop().await;
}

/// Doubles under a key that another job holds.
async fn held_off(event: SignedUp, step: Step, State(_): State<Shared>) -> Result<u64> {
    let doubled = step.invoke_job::<u64>("double", Double { number: event.user });
    Ok(doubled.with(|job| job.unique(Unique::until_finished("pair").ignore())).await?)
}

#[tokio::test]
async fn a_job_that_is_not_started_as_another_stands_for_it_is_an_error() {
    let story = Story::begin().await;
    let holder = story.client.enqueue(Double { number: 1 }).unique(Unique::until_finished("pair"));
    let holder = holder.delay(Duration::from_hours(1)).await.unwrap();
    let worker = worker(&story, &Shared::default(), Function::new("held-off", held_off));

    let receipt = story.client.invoke("held-off", &SignedUp { user: 7 }).await.unwrap();
    let run = story.client.run("held-off", receipt.id.as_str()).unwrap();
    let failed = run.result::<u64>(DEADLINE).await.unwrap_err().to_string();

    assert!(failed.contains(&format!("job {} holds its unique key", holder.id)), "{failed}");
    worker.stop().await;
}

#[tokio::test]
async fn a_start_whose_reply_was_lost_is_not_made_twice() {
    let story = Story::begin().await;
    let proxy = Proxy::to(&story.redis);
    let shared = Shared::default();
    let client = Client::connect(proxy.url()).await.unwrap();
    let run = run_parent(&story.client, 7).await;
    let lost = proxy.lose_reply_of(&script::JOB_ENQUEUE.sha);
    let worker = family(&client, &shared);
    lost.await;

    assert_eq!(run.result::<String>(DEADLINE).await.unwrap(), "70 / 14");
    assert_eq!((times(&shared, "child"), times(&shared, "double")), (1, 1));
    worker.stop().await;
}

#[tokio::test]
async fn a_result_whose_delivery_was_lost_is_delivered_once() {
    let story = Story::begin().await;
    let proxy = Proxy::to(&story.redis);
    let shared = Shared::default();
    let client = Client::connect(proxy.url()).await.unwrap();
    let lost = proxy.lose_reply_of(&script::RUN_DELIVER.sha);
    let worker = family(&client, &shared);

    let run = run_parent(&story.client, 7).await;
    lost.await;

    assert_eq!(run.result::<String>(DEADLINE).await.unwrap(), "70 / 14");
    assert_eq!(times(&shared, "parent"), 1);
    worker.stop().await;
}

#[tokio::test]
async fn an_end_that_nobody_told_is_told_by_a_worker() {
    async fn waits_for_ever(_: SignedUp, step: Step) -> Result<()> {
        step.sleep("for ever", Duration::from_hours(24)).await;
        Ok(())
    }
    async fn above(_: SignedUp, step: Step) -> Result<String> {
        let result = step.invoke::<()>("below", "below", &SignedUp { user: 7 }).await;
        Ok(result.unwrap_err().message().to_owned())
    }
    let story = Story::begin().await;
    let metrics = Metrics::new();
    let worker = Worker::new(story.client.clone(), ())
        .lease(Duration::from_secs(1))
        .function(Function::new("below", waits_for_ever))
        .function(Function::new("above", above));
    let worker = RunningWorker::start(worker, metrics);
    let run = start(&story, "above").await;
    let below = story.client.queue("fn/below").unwrap();
    until("the one below sleeps", async || below.stats().await.unwrap().scheduled == 1).await;
    let asleep = below.list(ergate::JobState::Scheduled, None, 1).await.unwrap().items.remove(0);

    // The script alone, as if whoever called it had died with the reply.
    let call = script::JOB_CANCEL.on(below.keys()).arg("").arg(asleep.id.as_str()).arg("not needed");
    let (_, code, told): (u64, String, String) = story.client.redis().run(&call).await.unwrap();

    assert_eq!((code.as_str(), told.as_str()), ("ok", "told"));
    let said: String = run.result(DEADLINE).await.unwrap();
    assert_eq!(said, format!("below {} was cancelled: not needed", asleep.id));
    worker.stop().await;
}

#[tokio::test]
async fn a_result_that_does_not_come_in_time_is_an_error() {
    async fn hasty(_: SignedUp, step: Step) -> Result<String> {
        let slow = step.invoke::<()>("slow", "nobody-runs-this", &SignedUp { user: 7 });
        Ok(slow.within(Duration::from_millis(30)).await.unwrap_err().message().to_owned())
    }
    let story = Story::begin().await;
    let metrics = Metrics::new();
    let worker = Worker::new(story.client.clone(), ()).function(Function::new("hasty", hasty));
    let worker = RunningWorker::start(worker, metrics);

    let run = start(&story, "hasty").await;

    assert_eq!(run.result::<String>(DEADLINE).await.unwrap(), "what it started has not ended in time");
    worker.stop().await;
}

#[tokio::test]
async fn rerunning_a_run_whose_child_failed_starts_another_child() {
    async fn flaky(_: SignedUp, _: Step, State(shared): State<Shared>) -> Result<u32> {
        match shared.count.fetch_add(1, Ordering::Relaxed) {
            0 => Err(Failure::fatal("not yet")),
            times => Ok(times),
        }
    }
    async fn above(_: SignedUp, step: Step) -> Result<u32> {
        Ok(step.invoke("below", "flaky", &SignedUp { user: 7 }).await?)
    }
    let story = Story::begin().await;
    let metrics = Metrics::new();
    let worker = Worker::new(story.client.clone(), Shared::default())
        .function(Function::new("flaky", flaky))
        .function(Function::new("above", above));
    let worker = RunningWorker::start(worker, metrics);
    let run = start(&story, "above").await;
    until_state(&run, RunState::Failed).await;

    run.again().await.unwrap();

    assert_eq!(run.result::<u32>(DEADLINE).await.unwrap(), 1);
    worker.stop().await;
}
