//! Redis has no memory left: new work is refused, what runs goes on.

use ergate::FunctionFailed;

use super::*;

#[tokio::test]
async fn a_full_redis_refuses_new_jobs_and_lets_running_ones_finish() {
    let story = Story::begin().await;
    let worker = story.worker(4);
    let id = story.enqueue(1, Does::Wait).await;
    story.until_started(1).await;
    let _: String = story.redis.ask(&["CONFIG", "SET", "maxmemory", "1"]).await;

    let error = story.client.enqueue(act(2, Does::Succeed)).await.unwrap_err();
    story.trace.open(1);
    story.until_state(&id, JobState::Completed).await;

    assert!(error.is_out_of_memory(), "{error:?}");
    assert!(error.hint().unwrap().contains("maxmemory"));
    let _: String = story.redis.ask(&["CONFIG", "SET", "maxmemory", "0"]).await;
    story.enqueue(3, Does::Succeed).await;
    story.until_finished(2).await;
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn jobs_left_waiting_in_a_full_redis_are_still_run() {
    let story = Story::begin().await;
    for number in 0..10 {
        story.enqueue(number, Does::Succeed).await;
    }
    let _: String = story.redis.ask(&["CONFIG", "SET", "maxmemory", "1"]).await;

    let worker = story.worker(4);
    story.until_finished(10).await;

    worker.stop().await;
}

#[tokio::test]
async fn who_waits_for_the_end_of_a_job_hears_of_it_though_redis_is_full() {
    let story = Story::begin().await;
    let worker = story.worker(4);
    let id = story.enqueue(1, Does::Wait).await;
    story.until_started(1).await;
    let _: String = story.redis.ask(&["CONFIG", "SET", "maxmemory", "1"]).await;

    let job = story.queue().job(id.as_str()).unwrap();
    let (ended, ()) = tokio::join!(job.ended(DEADLINE), async { story.trace.open(1) });

    assert_eq!(ended.unwrap().state, JobState::Completed);
    worker.stop().await;
}

#[derive(Debug, Serialize, Deserialize)]
struct Signed {
    user: u64,
}

impl Event for Signed {
    const NAME: &str = "outages/signed";
}

#[derive(Debug, Serialize, Deserialize)]
struct Told {
    user: u64,
}

impl Event for Told {
    const NAME: &str = "outages/told";
}

/// A first step that waits until number 1 is let go on.
async fn past_the_gate(step: &Step, trace: &Trace) -> Result<()> {
    let gate = async {
        trace.pass(1).await;
        Ok::<_, Failure>(())
    };
    Ok(step.run("gate", gate).await?)
}

/// Comes past its gate, then waits for an event.
async fn wait_in_full_memory(event: Signed, step: Step, State(trace): State<Trace>) -> Result<bool> {
    past_the_gate(&step, &trace).await?;
    let signed =
        step.wait_for::<Signed>("again").on("user", event.user).within(Duration::from_mins(5)).await?;
    Ok(signed.is_some())
}

/// The same, then invokes a job.
async fn invoke_in_full_memory(_: Signed, step: Step, State(trace): State<Trace>) -> Result<u64> {
    past_the_gate(&step, &trace).await?;
    Ok(step.invoke_job::<u64>("act", act(7, Does::Succeed)).await?)
}

/// The same, then sends an event.
async fn send_in_full_memory(event: Signed, step: Step, State(trace): State<Trace>) -> Result<String> {
    past_the_gate(&step, &trace).await?;
    Ok(step.send("tell", Told { user: event.user }).await?.to_string())
}

/// The same, then enqueues a job.
async fn enqueue_in_full_memory(_: Signed, step: Step, State(trace): State<Trace>) -> Result<String> {
    past_the_gate(&step, &trace).await?;
    Ok(step.enqueue("act", act(7, Does::Succeed)).await?.to_string())
}

/// A run of `function` that has come past its gate when Redis is full, and was refused something.
async fn refused(story: &Story, function: Function<Trace>) -> (RunningWorker, ergate::RunHandle) {
    let name = "full";
    let worker = story.worker_with(&story.client, 4, |worker| worker.function(function));
    let receipt = story.client.invoke(name, &Signed { user: 7 }).await.unwrap();
    story.until_started(1).await;
    let _: String = story.redis.ask(&["CONFIG", "SET", "maxmemory", "1"]).await;
    story.redis.ask::<()>(&["CONFIG", "RESETSTAT"]).await;
    story.trace.open(1);
    until("something was refused", async || {
        story.redis.ask::<String>(&["INFO", "errorstats"]).await.contains("errorstat_OOM")
    })
    .await;
    (worker, story.client.run(name, receipt.id.as_str()).unwrap())
}

#[tokio::test]
async fn a_run_that_begins_to_wait_in_a_full_redis_waits_once_there_is_room() {
    let story = Story::begin().await;
    let (worker, run) = refused(&story, Function::new("full", wait_in_full_memory)).await;

    let _: String = story.redis.ask(&["CONFIG", "SET", "maxmemory", "0"]).await;
    story.client.send(Signed { user: 7 }).await.unwrap();

    assert!(run.result::<bool>(DEADLINE).await.unwrap());
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_run_that_invokes_a_job_in_a_full_redis_does_so_once_there_is_room() {
    let story = Story::begin().await;
    let (worker, run) = refused(&story, Function::new("full", invoke_in_full_memory)).await;

    let _: String = story.redis.ask(&["CONFIG", "SET", "maxmemory", "0"]).await;

    assert_eq!(run.result::<u64>(DEADLINE).await.unwrap(), 7);
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_run_that_sends_an_event_in_a_full_redis_does_so_once_there_is_room_and_uses_up_no_try() {
    let story = Story::begin().await;
    let (worker, run) = refused(&story, Function::new("full", send_in_full_memory).retries(0)).await;

    let _: String = story.redis.ask(&["CONFIG", "SET", "maxmemory", "0"]).await;

    let event: ergate::EventId = run.result::<String>(DEADLINE).await.unwrap().parse().unwrap();
    assert_eq!(story.client.event(&event).await.unwrap().record.data["user"], 7);
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_run_that_enqueues_a_job_in_a_full_redis_does_so_once_there_is_room_and_uses_up_no_try() {
    let story = Story::begin().await;
    let (worker, run) = refused(&story, Function::new("full", enqueue_in_full_memory).retries(0)).await;

    let _: String = story.redis.ask(&["CONFIG", "SET", "maxmemory", "0"]).await;

    let job: JobId = run.result::<String>(DEADLINE).await.unwrap().parse().unwrap();
    story.until_state(&job, JobState::Completed).await;
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn the_end_of_a_run_in_a_full_redis_is_told_once_there_is_room() {
    async fn fail(_: Signed, step: Step, State(trace): State<Trace>) -> Result<()> {
        past_the_gate(&step, &trace).await?;
        Err(Failure::fatal("it was not to be"))
    }
    async fn heard(failed: FunctionFailed, _: Step) -> Result<String> {
        Ok(failed.error.message)
    }
    let story = Story::begin().await;
    let (worker, run) = refused(&story, Function::new("full", fail).on_failure(heard)).await;

    let _: String = story.redis.ask(&["CONFIG", "SET", "maxmemory", "0"]).await;

    assert!(run.result::<()>(DEADLINE).await.unwrap_err().to_string().contains("it was not to be"));
    let failures = story.client.queue("fn/full-failure").unwrap();
    until("it was heard of", async || failures.stats().await.unwrap().completed == 1).await;
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_run_that_sends_an_event_while_redis_cannot_save_does_so_later_and_uses_up_no_try() {
    let story = Story::begin().await;
    let function = Function::new("full", send_in_full_memory).retries(0);
    let worker = story.worker_with(&story.client, 4, |worker| worker.function(function));
    let receipt = story.client.invoke("full", &Signed { user: 7 }).await.unwrap();
    story.until_started(1).await;
    // The snapshot cannot be put in its place: there is a folder of its name.
    std::fs::create_dir_all(story.redis.directory().join("dump.rdb/in-the-way")).unwrap();
    let _: String = story.redis.ask(&["CONFIG", "SET", "save", "3600 1000000"]).await;
    let _: String = story.redis.ask(&["BGSAVE"]).await;
    until("redis knows that it cannot save", async || {
        story.redis.ask::<String>(&["INFO", "persistence"]).await.contains("rdb_last_bgsave_status:err")
    })
    .await;
    story.redis.ask::<()>(&["CONFIG", "RESETSTAT"]).await;
    story.trace.open(1);
    until("something was refused", async || {
        story.redis.ask::<String>(&["INFO", "errorstats"]).await.contains("errorstat_MISCONF")
    })
    .await;
    let refused = story.client.enqueue(act(2, Does::Succeed)).await.unwrap_err();

    let _: String = story.redis.ask(&["CONFIG", "SET", "save", ""]).await;
    let run = story.client.run("full", receipt.id.as_str()).unwrap();
    run.result::<String>(DEADLINE).await.unwrap();

    assert!(refused.is_temporary() && refused.hint().unwrap().contains("disk"), "{refused:?}");
    worker.stop().await;
    story.all_adds_up().await;
}
