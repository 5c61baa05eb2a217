//! The first of several, steps that may fail, and events of several kinds.

use super::*;

#[derive(Debug, Serialize, Deserialize)]
struct Paid {
    user: u64,
}

impl Event for Paid {
    const NAME: &str = "order/paid";
}

async fn order(event: SignedUp, step: Step, State(shared): State<Shared>) -> Result<String> {
    let paid = step.wait_for::<Paid>("payment").on("user", event.user);
    let (notes, late) = (shared.clone(), step.clone());
    let patience = Duration::from_millis(if event.user == 7 { 40 } else { 60_000 });
    let outcome = step
        .race(
            "outcome",
            [
                Step::way(async { Ok(paid.await?.map_or("nothing", |_| "paid").to_owned()) }),
                Step::way(async move {
                    late.sleep("patience", patience).await;
                    late.run("note", notes.did.note("too late")).await?;
                    Ok("too late".to_owned())
                }),
            ],
        )
        .await?;
    // Called again after it, with an id that the one that lost may have used.
    step.sleep("patience", Duration::from_millis(5)).await;
    step.run("note", shared.did.clone().note(format!("after: {outcome}"))).await?;
    Ok(outcome)
}

#[tokio::test]
async fn the_first_of_several_counts_and_is_remembered() {
    let story = Story::begin().await;
    let shared = Shared::default();
    let worker = worker(&story, &shared, Function::new("order", order));

    let run = start(&story, "order").await;

    assert_eq!(run.result::<String>(DEADLINE).await.unwrap(), "too late");
    assert_eq!(shared.did.all(), ["too late", "after: too late"]);
    worker.stop().await;
}

#[tokio::test]
async fn what_lost_is_waited_for_no_more_and_keeps_its_names() {
    let story = Story::begin().await;
    let shared = Shared::default();
    let worker = worker(&story, &shared, Function::new("order", order));
    let receipt = story.client.invoke("order", &SignedUp { user: 8 }).await.unwrap();
    let run = story.client.run("order", receipt.id.as_str()).unwrap();
    until_state(&run, RunState::Suspended).await;

    story.client.send(Paid { user: 8 }).await.unwrap();

    assert_eq!(run.result::<String>(DEADLINE).await.unwrap(), "paid");
    assert_eq!(shared.did.all(), ["after: paid"]);
    let journal = run.journal().await.unwrap();
    assert!(journal.step("patience#2").is_some(), "the one that lost has the name without a number");
    worker.stop().await;
}

#[tokio::test]
async fn the_winner_keeps_its_names_when_the_others_are_not_replayed() {
    async fn mirrors(_: SignedUp, step: Step, State(shared): State<Shared>) -> Result<(u32, u32)> {
        let fetch = async |mirror: u32| {
            shared.did.clone().note(format!("fetch {mirror}")).await?;
            Ok::<_, Failure>(mirror)
        };
        let slow = async {
            let fetched = step.run("fetch", fetch(0)).await;
            step.sleep("line up", Duration::from_hours(1)).await;
            fetched
        };
        let quick = async { step.run("fetch", fetch(1)).await };
        let first = step.race("first", [Step::way(slow), Step::way(quick)]).await?;
        step.sleep("rest", Duration::from_millis(100)).await;
        Ok((first, step.run("fetch", fetch(2)).await?))
    }
    let story = Story::begin().await;
    let shared = Shared::default();
    let worker = worker(&story, &shared, Function::new("mirrors", mirrors));

    let run = start(&story, "mirrors").await;

    assert_eq!(run.result::<(u32, u32)>(DEADLINE).await.unwrap(), (1, 2));
    assert_eq!(shared.did.all(), ["fetch 0", "fetch 1", "fetch 2"]);
    worker.stop().await;
}

#[tokio::test]
async fn a_run_waits_for_the_first_of_two_kinds_of_events() {
    async fn either(_: SignedUp, step: Step) -> Result<(usize, String)> {
        let paid = step.wait_for_named("paid", "order/paid");
        let refused = step.wait_for_named("refused", "order/refused");
        let (place, event) = step.wait_any("answer", [paid, refused]).await?.unwrap();
        Ok((place, event.name.to_string()))
    }
    let story = Story::begin().await;
    let metrics = Metrics::new();
    let worker = Worker::new(story.client.clone(), ()).function(Function::new("either", either));
    let worker = RunningWorker::start(worker, metrics);
    let run = start(&story, "either").await;
    until_state(&run, RunState::Suspended).await;

    story.client.send_raw("order/refused", json!({})).await.unwrap();

    assert_eq!(run.result::<(usize, String)>(DEADLINE).await.unwrap(), (1, "order/refused".to_owned()));
    let journal = run.journal().await.unwrap();
    let lost = journal.step("paid").unwrap().1;
    assert!(matches!(lost.op, ergate::run::Op::Resolved { .. }), "nobody waits for it any more: {lost:?}");
    worker.stop().await;
}

#[tokio::test]
async fn a_run_goes_on_without_an_optional_step_that_failed() {
    async fn tolerant(_: SignedUp, step: Step) -> Result<Option<u32>> {
        let gone = async { Err::<u32, _>(Failure::fatal("the service is gone")) };
        Ok(step.run("extra", gone).optional().await)
    }
    let story = Story::begin().await;
    let metrics = Metrics::new();
    let worker = Worker::new(story.client.clone(), ()).function(Function::new("tolerant", tolerant));
    let worker = RunningWorker::start(worker, metrics);

    let run = start(&story, "tolerant").await;

    assert_eq!(run.result::<Option<u32>>(DEADLINE).await.unwrap(), None);
    worker.stop().await;
}
