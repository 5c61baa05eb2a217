//! Events start runs, and end their waits.

use super::*;

#[derive(Debug, Serialize, Deserialize)]
struct Verified {
    user: u64,
    code: String,
}

impl Event for Verified {
    const NAME: &str = "user/verified";
}

fn verified(user: u64, code: &str) -> Verified {
    Verified { user, code: code.to_owned() }
}

async fn verify(event: SignedUp, step: Step, State(shared): State<Shared>) -> Result<String> {
    step.run("ask", shared.did.clone().note("ask")).await?;
    let verified = step
        .wait_for::<Verified>("verification")
        .on("user", event.user)
        .within(Duration::from_secs(60))
        .await?;
    let said = verified.map_or_else(|| "never".to_owned(), |verified| verified.code);
    step.run("done", shared.did.clone().note(said.clone())).await?;
    Ok(said)
}

async fn until_declared(story: &Story, function: &str) {
    until("the function is declared", async || {
        story.client.functions().await.unwrap().keys().any(|name| name.as_str() == function)
    })
    .await;
}

/// The run of a function that an event started.
async fn started(story: &Story, event: &ergate::EventId, function: &str) -> ergate::RunHandle {
    let mut id = None;
    until("the event has started a run", async || {
        let seen = story.client.event(event).await.unwrap().started;
        id = seen.and_then(|seen| seen.runs.into_iter().find(|run| run.function.as_str() == function));
        id.is_some()
    })
    .await;
    story.client.run(function, id.unwrap().run.as_str()).unwrap()
}

#[tokio::test]
async fn an_event_starts_the_functions_that_take_it_once_however_often_it_is_sent() {
    let story = Story::begin().await;
    let shared = Shared::default();
    let worker = worker(&story, &shared, Function::new("onboard", onboard));
    until_declared(&story, "onboard").await;

    let first = story.client.send(SignedUp { user: 7 }).id("user-7").await.unwrap();
    let second = story.client.send(SignedUp { user: 7 }).id("user-7").await.unwrap();
    let run = started(&story, &first.id, "onboard").await;

    assert_eq!(run.result::<u64>(DEADLINE).await.unwrap(), 14);
    assert!(second.duplicate);
    assert_eq!(shared.did.all(), ["welcome", "tips"]);
    worker.stop().await;
}

#[tokio::test]
async fn a_run_that_waits_goes_on_with_the_event_that_is_meant() {
    let story = Story::begin().await;
    let shared = Shared::default();
    let worker = worker(&story, &shared, Function::new("verify", verify));
    let run = start(&story, "verify").await;
    until_state(&run, RunState::Suspended).await;

    story.client.send(verified(8, "another user")).await.unwrap();
    story.client.send(verified(7, "it is me")).await.unwrap();

    assert_eq!(run.result::<String>(DEADLINE).await.unwrap(), "it is me");
    assert_eq!(shared.did.all(), ["ask", "it is me"]);
    worker.stop().await;
}

#[tokio::test]
async fn an_event_that_came_before_the_run_began_to_wait_is_found() {
    async fn hasty(event: SignedUp, step: Step, client: Client) -> Result<String> {
        step.run("verify", async { client.send(verified(event.user, "early")).await.map(drop) }).await?;
        let verified = step
            .wait_for::<Verified>("verification")
            .on("user", event.user)
            .within(Duration::from_secs(60))
            .await?;
        Ok(verified.map(|verified| verified.code).unwrap_or_default())
    }
    let story = Story::begin().await;
    let worker = worker(&story, &Shared::default(), Function::new("hasty", hasty));

    let run = start(&story, "hasty").await;

    assert_eq!(run.result::<String>(DEADLINE).await.unwrap(), "early");
    worker.stop().await;
}

#[tokio::test]
async fn a_wait_that_no_event_ends_runs_out() {
    async fn brief(_: SignedUp, step: Step) -> Result<bool> {
        let came = step.wait_for::<Verified>("verification").within(Duration::from_millis(50)).await?;
        Ok(came.is_some())
    }
    let story = Story::begin().await;
    let worker = worker(&story, &Shared::default(), Function::new("brief", brief));

    let run = start(&story, "brief").await;

    assert!(!run.result::<bool>(DEADLINE).await.unwrap());
    let journal = run.journal().await.unwrap();
    assert!(matches!(
        journal.entries()[1].op,
        ergate::run::Op::Resolved { entry: 1, with: ergate::run::Resolution::TimedOut }
    ));
    worker.stop().await;
}

#[tokio::test]
async fn the_event_a_step_sends_is_the_same_at_every_attempt() {
    async fn telling(event: SignedUp, step: Step, State(shared): State<Shared>) -> Result<String> {
        let id = step.send("tell", verified(event.user, "told")).await?;
        if shared.count.fetch_add(1, Ordering::Relaxed) == 0 {
            return Err(Failure::retry_in(Duration::from_millis(1), "once more"));
        }
        Ok(id.to_string())
    }
    let story = Story::begin().await;
    let worker = worker(&story, &Shared::default(), Function::new("telling", telling));

    let run = start(&story, "telling").await;

    assert_eq!(run.result::<String>(DEADLINE).await.unwrap(), format!("{}/tell", run.id()));
    worker.stop().await;
}
