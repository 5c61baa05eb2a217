//! What a run was given ends no later wait of it.

use ergate::testing::TestRun;

use super::*;

#[derive(Debug, Serialize, Deserialize)]
struct Said {
    to: u64,
    what: String,
}

impl Event for Said {
    const NAME: &str = "chat/said";
}

fn said(to: u64, what: &str) -> Said {
    Said { to, what: what.to_owned() }
}

/// Returns once the run's journal has so many entries and nothing goes on in the run.
async fn until_waiting(run: &ergate::RunHandle, entries: u32) {
    until("the run waits", async || {
        run.journal().await.unwrap().len() >= entries && run.state().await.unwrap() == RunState::Suspended
    })
    .await;
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}

async fn chat(event: SignedUp, step: Step) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    while texts.len() < 3 {
        let next = step.wait_for::<Said>("next").on("to", event.user).within(Duration::from_secs(60));
        texts.extend(next.await?.map(|said| said.what));
    }
    Ok(texts)
}

#[tokio::test]
async fn a_wait_in_a_loop_gets_each_event_once_whether_it_came_before_or_after() {
    let story = Story::begin().await;
    let worker = worker(&story, &Shared::default(), Function::new("chat", chat));
    let run = start(&story, "chat").await;
    until_waiting(&run, 1).await;

    story.client.send(said(7, "one")).await.unwrap();
    until_waiting(&run, 3).await;
    story.client.send(said(7, "two")).await.unwrap();
    story.client.send(said(8, "to somebody else")).await.unwrap();
    story.client.send(said(7, "three")).await.unwrap();

    let texts = run.result::<Vec<String>>(DEADLINE).await.unwrap();
    assert_eq!(sorted(texts), ["one", "three", "two"]);
    worker.stop().await;
}

#[tokio::test]
async fn each_event_stands_in_one_wait_of_the_journal_however_long_the_loop() {
    let story = Story::begin().await;
    let worker = worker(&story, &Shared::default(), Function::new("chat", chat));
    let run = start(&story, "chat").await;
    for (what, entries) in [("one", 1), ("two", 3), ("three", 5)] {
        until_waiting(&run, entries).await;
        story.client.send(said(7, what)).await.unwrap();
    }
    run.result::<Vec<String>>(DEADLINE).await.unwrap();

    let journal = run.journal().await.unwrap();
    let left_out = journal.entries().iter().filter_map(|entry| match &entry.op {
        ergate::run::Op::Wait { condition, .. } => Some(condition.except.len()),
        _ => None,
    });
    assert_eq!(left_out.collect::<Vec<_>>(), [0, 1, 1]);
    worker.stop().await;
}

async fn second_of_its_kind(event: SignedUp, step: Step) -> Result<(u64, u64)> {
    let next = step.wait_for::<SignedUp>("next").within(Duration::from_secs(60)).await?;
    Ok((event.user, next.map_or(0, |next| next.user)))
}

#[tokio::test]
async fn the_event_that_started_a_run_ends_no_wait_of_it() {
    let story = Story::begin().await;
    let worker = worker(&story, &Shared::default(), Function::new("second", second_of_its_kind));
    until("the function is declared", async || {
        story.client.functions().await.unwrap().keys().any(|name| name.as_str() == "second")
    })
    .await;

    let first = story.client.send(SignedUp { user: 1 }).await.unwrap();
    let mut run = None;
    until("it has started a run", async || {
        run = story.client.event(&first.id).await.unwrap().started.and_then(|mut started| started.runs.pop());
        run.is_some()
    })
    .await;
    let run = story.client.run("second", run.unwrap().run.as_str()).unwrap();
    until_waiting(&run, 1).await;
    story.client.send(SignedUp { user: 2 }).await.unwrap();

    assert_eq!(run.result::<(u64, u64)>(DEADLINE).await.unwrap(), (1, 2));
    worker.stop().await;
}

async fn either(event: SignedUp, step: Step) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    for within in [Duration::from_secs(60), Duration::from_secs(60), Duration::from_millis(200)] {
        let ways = [("mine", event.user), ("theirs", event.user + 1)]
            .map(|(id, to)| step.wait_for::<Said>(id).on("to", to).within(within));
        texts.extend(step.wait_any("either", ways).await?.map(|(_, said)| said.what));
    }
    Ok(texts)
}

/// Both come while nobody performs the run, so that its journal has both when it goes on with the first.
#[tokio::test]
async fn an_event_that_came_to_a_wait_which_lost_its_race_is_there_for_the_next() {
    let story = Story::begin().await;
    let worker = worker(&story, &Shared::default(), Function::new("either", either));
    let run = start(&story, "either").await;
    until_waiting(&run, 2).await;
    let queue = story.client.queue("fn/either").unwrap();

    queue.pause().await.unwrap();
    story.client.send(said(7, "mine")).await.unwrap();
    story.client.send(said(8, "theirs")).await.unwrap();
    until("both have come", async || run.journal().await.unwrap().len() == 4).await;
    queue.resume().await.unwrap();

    let texts = run.result::<Vec<String>>(DEADLINE).await.unwrap();
    assert_eq!(sorted(texts), ["mine", "theirs"]);
    worker.stop().await;
}

async fn listen(step: &Step, user: u64, did: &Did) -> Result<(), StepError> {
    loop {
        let said = step.wait_for::<Said>("next").on("to", user).await?;
        did.clone().note(said.map_or_else(String::new, |said| said.what)).await.expect("it is noted");
    }
}

async fn shift(event: SignedUp, step: Step, State(shared): State<Shared>) -> Result<Option<String>> {
    let over = async { step.wait_for_named("over", "shift/over").await.map(drop) };
    step.race("shift", [Step::way(listen(&step, event.user, &shared.did)), Step::way(over)]).await?;
    // The code is called again after this, and does not go the way that lost.
    step.sleep("pause", Duration::from_millis(20)).await;
    let late = step.wait_for::<Said>("late").on("to", event.user).within(Duration::from_millis(200)).await?;
    Ok(late.map(|said| said.what))
}

#[tokio::test]
async fn an_event_that_was_taken_on_a_way_that_lost_its_race_later_does_not_come_again() {
    let story = Story::begin().await;
    let shared = Shared::default();
    let worker = worker(&story, &shared, Function::new("shift", shift));
    let run = start(&story, "shift").await;
    until_waiting(&run, 2).await;

    story.client.send(said(7, "help")).await.unwrap();
    until_waiting(&run, 4).await;
    story.client.send_raw("shift/over", json!({})).await.unwrap();

    assert_eq!(run.result::<Option<String>>(DEADLINE).await.unwrap(), None);
    assert!(shared.did.all().contains(&"help".to_owned()));
    worker.stop().await;
}

#[tokio::test]
async fn a_run_in_memory_is_given_what_a_real_one_is() {
    async fn beside(event: SignedUp, step: Step) -> Result<Vec<String>> {
        let wait = |id: &str| step.wait_for::<Said>(id).on("to", event.user).within(Duration::from_secs(60));
        let (one, other) = tokio::try_join!(wait("one"), wait("other"))?;
        let later = wait("later").await?;
        Ok([one, other, later]
            .into_iter()
            .map(|said| said.map_or_else(String::new, |said| said.what))
            .collect())
    }
    let story = Story::begin().await;
    let worker = worker(&story, &Shared::default(), Function::new("beside", beside));
    let run = start(&story, "beside").await;
    until_waiting(&run, 2).await;
    story.client.send(said(7, "hello")).await.unwrap();
    until_waiting(&run, 5).await;
    story.client.send(said(7, "bye")).await.unwrap();

    let of =
        |function: Function<Shared>| TestRun::of(function, Shared::default()).event(SignedUp { user: 7 });
    let made_up = of(Function::new("beside", beside)).deliver(said(7, "hello")).deliver(said(7, "bye"));
    let raced = of(Function::new("either", either)).deliver(said(7, "mine")).deliver(said(8, "theirs"));

    let texts = run.result::<Vec<String>>(DEADLINE).await.unwrap();
    assert_eq!(texts, ["hello", "hello", "bye"]);
    assert_eq!(made_up.finish().await.result::<Vec<String>>(), texts);
    assert_eq!(raced.finish().await.result::<Vec<String>>(), ["mine", "theirs"]);
    worker.stop().await;
}
