//! Finding runs, and changing the course of many at once.

use std::collections::BTreeSet;

use ergate::{
    Error, FunctionName, RunFilter, RunView,
    prelude::*,
    run::{Awaits, RunState},
};

use crate::{
    story::{
        Story,
        plan::{Board, Do, Go, PLAN, Plan, listen, long_sleep, step, until_run_is},
    },
    support::{DEADLINE, until},
};

async fn all(story: &Story, filter: RunFilter) -> Vec<RunView> {
    story.client.runs(filter).page(None, 1000).await.unwrap().items
}

fn states(states: &[RunState]) -> RunFilter {
    RunFilter { states: states.to_vec(), ..RunFilter::default() }
}

#[tokio::test]
async fn each_run_is_listed_with_its_state_its_last_step_and_what_it_waits_for() {
    let story = Story::begin().await;
    let board = Board::default();
    board.break_step("charge");
    board.close("busy");
    let worker = story.planner(&board, &[]);

    let asleep = story.run("a", [step("mail"), long_sleep("settle in")]).await;
    let listening = story.run("b", [listen("verification")]).await;
    let failed = story.run("c", [step("mail"), step("charge")]).await;
    let running = story.run("d", [step("mail"), step("busy")]).await;
    let completed = story.run("e", [step("mail")]).await;
    until_run_is(&asleep, RunState::Suspended).await;
    until_run_is(&listening, RunState::Suspended).await;
    until_run_is(&failed, RunState::Failed).await;
    until_run_is(&completed, RunState::Completed).await;
    until("the last has done its first step", async || board.did().contains(&"busy d".to_owned())).await;

    let runs = all(&story, RunFilter::default()).await;
    let of = |run: &ergate::RunHandle| runs.iter().find(|view| view.id == *run.id()).unwrap();
    let last = |view: &RunView| view.last_step.as_ref().map(|step| step.id.clone()).unwrap_or_default();

    assert_eq!(runs.len(), 5);
    let view = of(&asleep);
    assert_eq!((view.state, last(view).as_str()), (RunState::Suspended, "settle in"));
    let [pending] = &view.waits_for[..] else { panic!("{view:?}") };
    assert_eq!(pending.what, Awaits::Time);
    assert_eq!(view.due_at, Some(pending.until));
    let view = of(&listening);
    let [pending] = &view.waits_for[..] else { panic!("{view:?}") };
    assert_eq!(pending.what, Awaits::Event(Go::NAME.parse().unwrap()));
    let view = of(&failed);
    assert_eq!((view.state, last(view).as_str()), (RunState::Failed, "charge"));
    assert!(view.failure().unwrap().message.contains("charge is broken"));
    assert!(view.ended_at.is_some() && view.waits_for.is_empty());
    assert_eq!((of(&running).state, last(of(&running)).as_str()), (RunState::Running, "mail"));
    assert_eq!(of(&completed).state, RunState::Completed);
    board.open_all();
    worker.stop().await;
}

#[tokio::test]
async fn a_list_goes_on_where_the_page_before_ended() {
    let story = Story::begin().await;
    let board = Board::default();
    let worker = story.planner(&board, &["other"]);
    let mut started = BTreeSet::new();
    for number in 0..7 {
        let function = if number % 2 == 0 { PLAN } else { "other" };
        let acts = if number < 3 { vec![long_sleep("nap")] } else { vec![step("mail")] };
        let run = story.run_of(function, "a", acts).await;
        let state = if number < 3 { RunState::Suspended } else { RunState::Completed };
        until_run_is(&run, state).await;
        started.insert(run.id().clone());
    }

    let runs = story.client.runs(RunFilter::default());
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = runs.page(cursor.as_deref(), 2).await.unwrap();
        assert!(page.items.len() <= 2);
        seen.extend(page.items.into_iter().map(|run| run.id));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }

    assert_eq!(seen.len(), 7, "none is seen twice");
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), started);
    worker.stop().await;
}

#[tokio::test]
async fn only_runs_of_the_function_state_and_period_are_meant() {
    let story = Story::begin().await;
    let board = Board::default();
    board.break_step("charge");
    let worker = story.planner(&board, &["other"]);
    let good = story.run("a", [step("mail")]).await;
    let bad = story.run("a", [step("charge")]).await;
    let other = story.run_of("other", "a", [step("charge")]).await;
    until_run_is(&good, RunState::Completed).await;
    until_run_is(&bad, RunState::Failed).await;
    until_run_is(&other, RunState::Failed).await;

    let failed = all(&story, states(&[RunState::Failed])).await;
    let of_plan = states(&[RunState::Failed]).function(FunctionName::new(PLAN).unwrap());
    let failed_at = bad.get().await.unwrap().ended_at.unwrap();
    let period =
        |since: u64, until: u64| RunFilter { since: Some(since), until: Some(until), ..of_plan.clone() };

    assert_eq!(failed.len(), 2);
    assert_eq!(all(&story, of_plan.clone()).await.len(), 1);
    assert_eq!(all(&story, period(failed_at, failed_at + 1)).await.len(), 1);
    assert!(all(&story, period(failed_at + 1, u64::MAX)).await.is_empty());
    assert!(all(&story, period(0, failed_at)).await.is_empty(), "the end of a period is not in it");
    assert_eq!(story.client.runs(period(failed_at, u64::MAX)).count().await.unwrap(), 1);
    worker.stop().await;
}

#[tokio::test]
async fn all_runs_that_are_meant_are_cancelled_and_no_others() {
    let story = Story::begin().await;
    let board = Board::default();
    board.close("busy");
    let worker = story.planner(&board, &["other"]);
    let mut asleep = Vec::new();
    for _ in 0..3 {
        asleep.push(story.run("a", [long_sleep("nap")]).await);
    }
    let spared = story.run_of("other", "a", [long_sleep("nap")]).await;
    let running = story.run("b", [step("busy")]).await;
    for run in asleep.iter().chain([&spared]) {
        until_run_is(run, RunState::Suspended).await;
    }
    until("the last one executes", async || board.did().contains(&"busy b".to_owned())).await;

    let runs = story.client.runs(RunFilter::default().function(FunctionName::new(PLAN).unwrap()));
    let mut told = 0;
    let done = runs.cancel("over", |done| told = done).await.unwrap();

    assert_eq!((done.cancelled, done.asked, done.left), (3, 1, 0));
    assert_eq!(told, 4);
    for run in asleep.iter().chain([&running]) {
        until_run_is(run, RunState::Cancelled).await;
    }
    assert_eq!(spared.state().await.unwrap(), RunState::Suspended);
    worker.stop().await;
}

#[tokio::test]
async fn runs_that_have_ended_cannot_be_meant_by_a_cancellation() {
    let story = Story::begin().await;

    let runs = story.client.runs(states(&[RunState::Completed]));
    let error = runs.cancel("over", |_| {}).await.unwrap_err();

    assert!(matches!(&error, Error::Option(why) if why.contains("completed cannot be cancelled")), "{error}");
}

#[tokio::test]
async fn failed_runs_of_a_period_go_on_where_they_failed() {
    let story = Story::begin().await;
    let board = Board::default();
    board.break_step("charge");
    let worker = story.planner(&board, &[]);
    let mut failed = Vec::new();
    for mark in ["a", "b", "c"] {
        let run = story.run(mark, [step("mail"), step("charge")]).await;
        until_run_is(&run, RunState::Failed).await;
        failed.push(run);
    }
    let since = failed[1].get().await.unwrap().ended_at.unwrap();
    board.mend_all();

    let runs = story.client.runs(RunFilter { since: Some(since), ..RunFilter::default() });
    let meant = runs.count().await.unwrap();
    let done = runs.again(None, |_| {}).await.unwrap();

    assert_eq!((done.redriven, done.left), (meant, 0));
    for run in &failed[1..] {
        run.result::<Vec<String>>(DEADLINE).await.unwrap();
    }
    let mails = board.did().iter().filter(|did| did.starts_with("mail")).count();
    assert_eq!(mails, 3, "what worked was not done again: {:?}", board.did());
    worker.stop().await;
}

#[tokio::test]
async fn failed_runs_are_started_over_once_however_often_that_is_asked() {
    let story = Story::begin().await;
    let board = Board::default();
    board.break_step("charge");
    let worker = story.planner(&board, &[]);
    for mark in ["a", "b"] {
        let run = story.run(mark, [step("mail"), step("charge")]).await;
        until_run_is(&run, RunState::Failed).await;
    }
    board.mend_all();

    let runs = story.client.runs(states(&[RunState::Failed]));
    assert_eq!(runs.anew(|_| {}).await.unwrap().redriven, 2);
    let completed = story.client.runs(states(&[RunState::Completed]));
    until("both new runs are done", async || completed.count().await.unwrap() == 2).await;
    let again = runs.anew(|_| {}).await.unwrap();

    assert_eq!((again.redriven, again.left), (0, 2));
    assert_eq!(all(&story, RunFilter::default()).await.len(), 4);
    let new = all(&story, states(&[RunState::Completed])).await;
    assert!(new.iter().all(|run| run.rerun_of.is_some()), "{new:?}");
    assert_eq!(board.did().iter().filter(|did| did.starts_with("mail")).count(), 4);
    worker.stop().await;
}

#[tokio::test]
async fn a_failed_run_whose_id_leaves_no_room_for_more_is_started_over_too() {
    let story = Story::begin().await;
    let board = Board::default();
    board.break_step("charge");
    let worker = story.planner(&board, &[]);
    let plan = Plan { mark: "a".to_owned(), acts: vec![step("charge")] };
    let id = "x".repeat(128);
    story.client.invoke(PLAN, &plan).id(&id).await.unwrap();
    until_run_is(&story.client.run(PLAN, &id).unwrap(), RunState::Failed).await;
    board.mend_all();

    let done = story.client.runs(states(&[RunState::Failed])).anew(|_| {}).await.unwrap();

    assert_eq!((done.redriven, done.left), (1, 0));
    let completed = story.client.runs(states(&[RunState::Completed]));
    until("the new run is done", async || completed.count().await.unwrap() == 1).await;
    worker.stop().await;
}

#[tokio::test]
async fn a_trace_tells_each_attempt_at_a_step_and_what_it_returned() {
    let story = Story::begin().await;
    let worker = story.planner(&Board::default(), &[]);
    let acts = [step("first"), Do::Stumble("second".to_owned(), 2), listen("answer")];
    let run = story.run("a", acts).await;
    until("it listens", async || run.get().await.unwrap().last_step.is_some_and(|step| step.id == "answer"))
        .await;
    story.client.send(Go { word: "go".to_owned() }).await.unwrap();
    run.result::<Vec<String>>(DEADLINE).await.unwrap();

    let trace = run.trace().await.unwrap();

    let json = serde_json::to_value(&trace).unwrap();
    let steps: Vec<_> = json["steps"].as_array().unwrap().iter().map(|step| step["id"].clone()).collect();
    assert_eq!(steps, ["first", "second", "answer"]);
    let second = &json["steps"][1];
    let attempts: Vec<_> =
        second["attempts"].as_array().unwrap().iter().map(|attempt| attempt["number"].clone()).collect();
    assert_eq!(attempts, [1, 2, 3]);
    assert_eq!(second["attempts"][1]["failure"]["message"], "stumbled 2");
    assert_eq!((&second["state"], &second["output"]), (&"done".into(), &"a".into()));
    assert_eq!(json["steps"][2]["output"]["data"]["word"], "go");
    assert_eq!(json["result"], serde_json::json!(["a", "a", "go"]));
    worker.stop().await;
}

#[tokio::test]
async fn a_function_is_shown_with_what_starts_it_who_serves_it_and_its_last_run() {
    let story = Story::begin().await;
    let worker = story.planner(&Board::default(), &["other"]);
    let run = story.run("a", [step("mail")]).await;
    until_run_is(&run, RunState::Completed).await;
    story.client.schedule("nightly").unwrap().cron("0 3 * * *").function(PLAN).await.unwrap();
    let name = FunctionName::new(PLAN).unwrap();
    let view = async || story.client.function_view(&name).await.unwrap().unwrap();
    until("the worker has told what it serves", async || view().await.workers == 1).await;
    story.client.queue("fn/plan").unwrap().pause().await.unwrap();

    let view = view().await;

    assert_eq!(view.spec.as_ref().unwrap().triggers.len(), 1);
    assert_eq!(view.schedules.iter().map(ToString::to_string).collect::<Vec<_>>(), ["nightly"]);
    assert_eq!(view.last_run.as_ref().unwrap().id, *run.id());
    assert!(view.is_paused());
    assert_eq!(view.stats.completed, 1);
    let all = story.client.function_views().await.unwrap();
    assert_eq!(all.iter().map(|view| view.name.as_str()).collect::<Vec<_>>(), ["other", PLAN]);
    assert!(story.client.function_view(&FunctionName::new("nobody").unwrap()).await.unwrap().is_none());
    worker.stop().await;
}
