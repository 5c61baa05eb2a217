//! Runs that started others, of whose functions newer versions come meanwhile.

use super::*;

#[derive(Debug, Serialize, Deserialize)]
struct Nudge {}

impl Event for Nudge {
    const NAME: &str = "shop/nudge";
}

/// Waits for a child and, beside it, for an event that has the code called again.
async fn above(_: EventRecord, step: Step, State(ledger): State<Ledger>) -> Result<u32> {
    let nudged = async {
        step.wait_for::<Nudge>("nudge").await?;
        step.run("nudged", ledger.record("nudged")).await
    };
    let (result, ()) = tokio::try_join!(step.invoke::<u32>("child", "child", &json!({})), nudged)?;
    Ok(result)
}

async fn below(_: EventRecord, step: Step, State(ledger): State<Ledger>) -> Result<u32> {
    step.run("begin", ledger.record("began")).await?;
    step.wait_for_named("go", "shop/go").await?;
    Ok(1)
}

fn family(client: &Client, ledger: &Ledger, newest: u32) -> RunningWorker {
    let metrics = Metrics::new();
    let mut worker = Worker::new(client.clone(), ledger.clone()).metrics(metrics.clone());
    for version in 1..=newest {
        worker = worker.function(Function::new("child", below).version(version));
    }
    RunningWorker::start(worker.function(Function::new("above", above)), metrics)
}

/// The queue of what the parent started, as its journal says.
async fn queue_of_child(run: &RunHandle) -> Option<String> {
    let journal = run.journal().await.unwrap();
    journal.entries().iter().find_map(|entry| match &entry.op {
        ergate::run::Op::Invoke { queue, .. } => Some(queue.to_string()),
        _ => None,
    })
}

async fn start_above(story: &Story) -> RunHandle {
    until_declared(story, "above").await;
    let receipt = story.client.invoke("above", &json!({})).await.unwrap();
    story.client.run("above", receipt.id.as_str()).unwrap()
}

#[tokio::test]
async fn a_version_that_comes_while_a_run_waits_for_a_child_starts_no_second_child() {
    let story = Story::begin().await;
    let ledger = Ledger::default();
    let old = family(&story.client, &ledger, 1);
    let run = start_above(&story).await;
    until("the child has begun", async || ledger.all() == ["began"]).await;
    until("the parent waits", async || run.state().await.unwrap() == RunState::Suspended).await;
    old.stop().await;

    // What was read of the registry is taken for granted for a second, so this is another client.
    let new = family(&Client::connect(&story.redis.url()).await.unwrap(), &ledger, 2);
    until_declared(&story, "child@2").await;
    story.client.send(Nudge {}).await.unwrap();
    until("the parent goes on", async || ledger.all().contains(&"nudged".to_owned())).await;
    until("it waits again", async || run.state().await.unwrap() == RunState::Suspended).await;
    let of_the_newest = story.client.queue("fn/child@2").unwrap().stats().await.unwrap().records;
    story.client.send_raw("shop/go", json!({})).await.unwrap();

    assert_eq!(run.result::<u32>(DEADLINE).await.unwrap(), 1);
    assert_eq!((of_the_newest, ledger.all()), (0, vec!["began".to_owned(), "nudged".to_owned()]));
    assert_eq!(queue_of_child(&run).await.as_deref(), Some("fn/child"));
    new.stop().await;
}

#[tokio::test]
async fn a_journal_names_the_queue_of_the_version_that_was_started() {
    let story = Story::begin().await;
    let ledger = Ledger::default();
    let worker = family(&story.client, &ledger, 2);
    until_declared(&story, "child@2").await;

    let run = start_above(&story).await;
    until("the child has begun", async || ledger.all() == ["began"]).await;

    assert_eq!(queue_of_child(&run).await.as_deref(), Some("fn/child@2"));
    assert_eq!(story.client.queue("fn/child@2").unwrap().stats().await.unwrap().records, 1);
    worker.stop().await;
}
