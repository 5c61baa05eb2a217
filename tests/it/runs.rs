//! Durable functions: steps, sleeps, and what is remembered of them.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering},
};

use ergate::{FailureKind, Metrics, StepError, prelude::*, run::RunState};
use serde_json::json;

use crate::{
    story::{RunningWorker, Story},
    support::{DEADLINE, until},
};

mod beside;
mod ends;
mod enqueuing;
mod faults;
mod given;
mod invoking;
mod let_go;
mod racing;
mod recording;
mod rolled_back;
mod ticks;
mod told;
mod unneeded;
mod waiting;

/// What bodies of steps did, in order.
#[derive(Debug, Clone, Default)]
struct Did(Arc<Mutex<Vec<String>>>);

impl Did {
    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    async fn note(self, what: impl Into<String>) -> Result<()> {
        self.0.lock().unwrap().push(what.into());
        Ok(())
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct SignedUp {
    user: u64,
}

impl Event for SignedUp {
    const NAME: &str = "user/signed-up";
}

/// Functions of a test share this: what they did, and a number to count with.
#[derive(Debug, Clone, Default)]
struct Shared {
    did: Did,
    count: Arc<AtomicU32>,
}

fn worker(story: &Story, shared: &Shared, function: Function<Shared>) -> RunningWorker {
    worker_on(&story.client, shared, function)
}

fn worker_on(client: &Client, shared: &Shared, function: Function<Shared>) -> RunningWorker {
    let metrics = Metrics::new();
    let worker = Worker::new(client.clone(), shared.clone()).metrics(metrics.clone());
    RunningWorker::start(worker.function(function.backoff(Backoff::fixed(Duration::from_millis(5)))), metrics)
}

async fn start(story: &Story, function: &str) -> ergate::RunHandle {
    let receipt = story.client.invoke(function, &SignedUp { user: 7 }).await.unwrap();
    story.client.run(function, receipt.id.as_str()).unwrap()
}

async fn until_state(run: &ergate::RunHandle, state: RunState) {
    until(&format!("the run is {state}"), async || run.state().await.unwrap() == state).await;
}

async fn onboard(event: SignedUp, step: Step, State(shared): State<Shared>) -> Result<u64> {
    let doubled = step
        .run("welcome", async {
            shared.did.clone().note("welcome").await?;
            Ok::<_, Failure>(event.user * 2)
        })
        .await?;
    step.sleep("settle in", Duration::from_millis(50)).await;
    step.run("tips", shared.did.clone().note("tips")).await?;
    Ok(doubled)
}

#[tokio::test]
async fn a_run_goes_on_after_a_sleep_without_doing_its_steps_again() {
    let story = Story::begin().await;
    let shared = Shared::default();
    let worker = worker(&story, &shared, Function::new("onboard", onboard));

    let run = start(&story, "onboard").await;
    let result: u64 = run.result(DEADLINE).await.unwrap();

    assert_eq!(result, 14);
    assert_eq!(shared.did.all(), ["welcome", "tips"]);
    let journal = run.journal().await.unwrap();
    let steps: Vec<_> = journal.entries().iter().map(|entry| entry.step.as_str()).collect();
    assert_eq!(steps, ["welcome", "settle in", "tips"]);
    worker.stop().await;
}

#[tokio::test]
async fn a_run_that_sleeps_is_leased_by_nobody() {
    async fn nap(_: SignedUp, step: Step) -> Result<()> {
        step.sleep("long", Duration::from_hours(24 * 300)).await;
        Ok(())
    }
    let story = Story::begin().await;
    let worker = worker(&story, &Shared::default(), Function::new("nap", nap));

    let run = start(&story, "nap").await;
    until_state(&run, RunState::Suspended).await;

    let stats = run.job().queue().stats().await.unwrap();
    assert_eq!((stats.scheduled, stats.leased, stats.held), (1, 0, 0));
    assert!(stats.adds_up());
    worker.stop().await;
}

#[tokio::test]
async fn a_step_that_fails_is_tried_again_and_those_before_it_are_not() {
    async fn flaky(_: SignedUp, step: Step, State(shared): State<Shared>) -> Result<u32> {
        step.run("first", shared.did.clone().note("first")).await?;
        let attempt = step
            .run_with("second", async |attempt| {
                shared.did.clone().note(format!("second {} of {}", attempt.number, attempt.of)).await?;
                if attempt.number < 3 { Err(Failure::retry("not yet")) } else { Ok(attempt.number) }
            })
            .await?;
        Ok(attempt)
    }
    let story = Story::begin().await;
    let shared = Shared::default();
    let worker = worker(&story, &shared, Function::new("flaky", flaky));

    let run = start(&story, "flaky").await;

    assert_eq!(run.result::<u32>(DEADLINE).await.unwrap(), 3);
    assert_eq!(shared.did.all(), ["first", "second 1 of 4", "second 2 of 4", "second 3 of 4"]);
    worker.stop().await;
}

#[tokio::test]
async fn a_step_out_of_attempts_is_an_error_the_function_may_handle() {
    async fn careful(_: SignedUp, step: Step, State(shared): State<Shared>) -> Result<String> {
        let charged: Result<(), StepError> =
            step.run("charge", async { anyhow::bail!("card declined") }).retries(1).await;
        let error = charged.unwrap_err();
        step.run("apologise", shared.did.clone().note("apologise")).await?;
        Ok(error.to_string())
    }
    let story = Story::begin().await;
    let shared = Shared::default();
    let worker = worker(&story, &shared, Function::new("careful", careful));

    let run = start(&story, "careful").await;
    let said: String = run.result(DEADLINE).await.unwrap();

    assert_eq!(said, "step charge failed at attempt 2: card declined");
    assert_eq!(shared.did.all(), ["apologise"]);
    worker.stop().await;
}

#[tokio::test]
async fn a_step_error_handed_on_fails_the_run_without_trying_it_again() {
    async fn doomed(_: SignedUp, step: Step, State(shared): State<Shared>) -> Result<()> {
        shared.count.fetch_add(1, Ordering::Relaxed);
        step.run("charge", async { Err::<(), _>(Failure::fatal("no such card")) }).await?;
        Ok(())
    }
    let story = Story::begin().await;
    let shared = Shared::default();
    let worker = worker(&story, &shared, Function::new("doomed", doomed));

    let run = start(&story, "doomed").await;
    until_state(&run, RunState::Failed).await;

    let failure = run.job().get().await.unwrap().failure.unwrap();
    assert_eq!(failure.message, "step charge failed at attempt 1: no such card");
    assert_eq!(shared.count.load(Ordering::Relaxed), 1, "the code ran once, as nothing had to wait");
    worker.stop().await;
}

#[tokio::test]
async fn code_between_steps_that_fails_is_tried_again_over_the_journal() {
    async fn clumsy(_: SignedUp, step: Step, State(shared): State<Shared>) -> Result<()> {
        step.run("first", shared.did.clone().note("first")).await?;
        if shared.count.fetch_add(1, Ordering::Relaxed) < 2 {
            return Err(Failure::retry_in(Duration::from_millis(1), "stumbled"));
        }
        Ok(())
    }
    let story = Story::begin().await;
    let shared = Shared::default();
    let worker = worker(&story, &shared, Function::new("clumsy", clumsy));

    let run = start(&story, "clumsy").await;
    run.result::<()>(DEADLINE).await.unwrap();

    assert_eq!(shared.did.all(), ["first"]);
    assert_eq!(shared.count.load(Ordering::Relaxed), 3);
    worker.stop().await;
}

#[tokio::test]
async fn a_step_id_in_a_loop_is_numbered() {
    async fn campaign(_: SignedUp, step: Step, State(shared): State<Shared>) -> Result<()> {
        for user in 0..3 {
            if user > 0 {
                step.sleep("spacing", Duration::from_millis(10)).await;
            }
            step.run("mail", shared.did.clone().note(format!("mail {user}"))).await?;
        }
        Ok(())
    }
    let story = Story::begin().await;
    let shared = Shared::default();
    let worker = worker(&story, &shared, Function::new("campaign", campaign));

    let run = start(&story, "campaign").await;
    run.result::<()>(DEADLINE).await.unwrap();

    assert_eq!(shared.did.all(), ["mail 0", "mail 1", "mail 2"]);
    let journal = run.journal().await.unwrap();
    let steps: Vec<_> = journal.entries().iter().map(|entry| entry.step.as_str()).collect();
    assert_eq!(steps, ["mail", "spacing", "mail#2", "spacing#2", "mail#3"]);
    worker.stop().await;
}

#[tokio::test]
async fn steps_side_by_side_run_at_the_same_time_and_sleep_together() {
    async fn wide(_: SignedUp, step: Step, State(shared): State<Shared>) -> Result<()> {
        // Neither gets past it alone.
        let meeting = tokio::sync::Barrier::new(2);
        let meet = async |who: &str| {
            meeting.wait().await;
            shared.did.clone().note(who).await
        };
        let (left, right) = tokio::join!(step.run("left", meet("met")), step.run("right", meet("met")));
        left?;
        right?;
        tokio::join!(
            step.sleep("short", Duration::from_millis(20)),
            step.sleep("long", Duration::from_millis(60)),
        );
        step.run("last", shared.did.clone().note("last")).await?;
        Ok(())
    }
    let story = Story::begin().await;
    let shared = Shared::default();
    let worker = worker(&story, &shared, Function::new("wide", wide));

    let run = start(&story, "wide").await;
    run.result::<()>(DEADLINE).await.unwrap();

    assert_eq!(shared.did.all(), ["met", "met", "last"]);
    worker.stop().await;
}

#[tokio::test]
async fn what_comes_out_differently_each_time_is_remembered() {
    async fn lottery(_: SignedUp, step: Step, State(shared): State<Shared>) -> Result<()> {
        let drawn = (step.now().await?, step.uuid().await?, step.random().await?);
        shared.did.clone().note(format!("{drawn:?}")).await?;
        // Long enough that it is not over by the time that it is written down.
        step.sleep("a while", Duration::from_millis(300)).await;
        Ok(())
    }
    let story = Story::begin().await;
    let shared = Shared::default();
    let worker = worker(&story, &shared, Function::new("lottery", lottery));

    let run = start(&story, "lottery").await;
    run.result::<()>(DEADLINE).await.unwrap();

    let seen = shared.did.all();
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert_eq!(seen[0], seen[1]);
    worker.stop().await;
}

#[tokio::test]
async fn a_panic_in_a_step_is_a_failed_attempt_of_that_step() {
    async fn jumpy(_: SignedUp, step: Step, State(shared): State<Shared>) -> Result<()> {
        let first = shared.count.fetch_add(1, Ordering::Relaxed) == 0;
        step.run("jump", async {
            assert!(!first, "a mouse");
            anyhow::Ok(())
        })
        .await?;
        Ok(())
    }
    let story = Story::begin().await;
    let shared = Shared::default();
    let worker = worker(&story, &shared, Function::new("jumpy", jumpy));

    let run = start(&story, "jumpy").await;
    run.result::<()>(DEADLINE).await.unwrap();

    let journal = run.journal().await.unwrap();
    let ergate::run::Op::Retry { failure, attempt: 1, .. } = &journal.entries()[0].op else {
        panic!("{journal:?}")
    };
    assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Panic, "panicked: a mouse"));
    worker.stop().await;
}

#[tokio::test]
async fn a_step_over_its_time_is_dropped_and_tried_again() {
    async fn slow(_: SignedUp, step: Step, State(shared): State<Shared>) -> Result<u32> {
        let took = step.run_with("hang", async |attempt| {
            if shared.count.fetch_add(1, Ordering::Relaxed) == 0 {
                std::future::pending::<()>().await;
            }
            anyhow::Ok(attempt.number)
        });
        Ok(took.timeout(Duration::from_millis(20)).await?)
    }
    let story = Story::begin().await;
    let worker = worker(&story, &Shared::default(), Function::new("slow", slow));

    let run = start(&story, "slow").await;

    assert_eq!(run.result::<u32>(DEADLINE).await.unwrap(), 2);
    worker.stop().await;
}
