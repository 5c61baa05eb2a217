//! Starting runs over: from their beginning, or from a step with copies of what came before it.

use ergate::{Error, prelude::*, run::RunState};
use serde_json::json;

use crate::{
    story::{
        Story,
        plan::{Board, Do, Go, PLAN, Plan, listen, long_sleep, step, until_run_is},
    },
    support::{DEADLINE, until},
};

#[tokio::test]
async fn a_run_started_over_from_a_step_does_not_do_again_what_came_before_it() {
    let story = Story::begin().await;
    let board = Board::default();
    let worker = story.planner(&board, &[]);
    let first = story.run("a", [step("mail"), step("charge"), step("ship")]).await;
    first.result::<Vec<String>>(DEADLINE).await.unwrap();
    let ended_at = first.get().await.unwrap().ended_at;

    let second = first.rerun().from("charge").await.unwrap();
    let result: Vec<String> = second.result(DEADLINE).await.unwrap();

    assert_eq!(board.did(), ["mail a", "charge a", "ship a", "charge a", "ship a"]);
    assert_eq!(result, ["a", "a", "a"]);
    let view = second.get().await.unwrap();
    let origin = view.rerun_of.unwrap();
    assert_eq!((&origin.run, origin.from.as_deref()), (first.id(), Some("charge")));
    let kept = first.get().await.unwrap();
    assert_eq!((kept.state, kept.ended_at, kept.entries), (RunState::Completed, ended_at, 3));
    worker.stop().await;
}

#[tokio::test]
async fn what_is_done_again_is_given_the_edited_input_and_what_is_copied_is_not() {
    let story = Story::begin().await;
    let board = Board::default();
    board.break_step("charge");
    let worker = story.planner(&board, &[]);
    let acts = vec![step("mail"), step("charge")];
    let first = story.run("wrong", acts.clone()).await;
    until_run_is(&first, RunState::Failed).await;
    board.mend_all();

    let edited = Plan { mark: "right".to_owned(), acts };
    let second = first.rerun().from("charge").data(&edited).await.unwrap();
    let result: Vec<String> = second.result(DEADLINE).await.unwrap();

    assert_eq!(result, ["wrong", "right"]);
    assert_eq!(board.did(), ["mail wrong", "charge wrong", "charge right"]);
    assert_eq!(first.state().await.unwrap(), RunState::Failed);
    worker.stop().await;
}

#[tokio::test]
async fn a_run_started_over_from_the_beginning_does_everything_again() {
    let story = Story::begin().await;
    let board = Board::default();
    let worker = story.planner(&board, &[]);
    let first = story.run("a", [step("mail"), step("charge")]).await;
    first.result::<Vec<String>>(DEADLINE).await.unwrap();

    let second = first.rerun().await.unwrap();
    second.result::<Vec<String>>(DEADLINE).await.unwrap();

    assert_ne!(first.id(), second.id());
    assert_eq!(board.did(), ["mail a", "charge a", "mail a", "charge a"]);
    worker.stop().await;
}

#[tokio::test]
async fn a_step_that_was_not_done_is_refused_with_those_that_were() {
    let story = Story::begin().await;
    let worker = story.planner(&Board::default(), &[]);
    let run = story.run("a", [step("mail"), step("charge")]).await;
    run.result::<Vec<String>>(DEADLINE).await.unwrap();

    let error = run.rerun().from("ship").await.unwrap_err();

    assert!(matches!(&error, Error::Option(why) if why.contains("known: mail, charge")), "{error}");
    let nobody = story.client.run(PLAN, "nobody").unwrap();
    assert!(nobody.rerun().await.unwrap_err().is_not_found());
    worker.stop().await;
}

#[tokio::test]
async fn a_run_that_executes_can_be_started_over_beside_it() {
    let story = Story::begin().await;
    let board = Board::default();
    board.close("ship");
    let worker = story.planner(&board, &[]);
    let first = story.run("a", [step("mail"), step("charge"), step("ship")]).await;
    until("it executes its last step", async || board.did().contains(&"ship a".to_owned())).await;

    let second = first.rerun().from("charge").await.unwrap();
    until("the second does too", async || board.did().len() == 5).await;
    assert_eq!(first.state().await.unwrap(), RunState::Running);
    board.open_all();

    first.result::<Vec<String>>(DEADLINE).await.unwrap();
    second.result::<Vec<String>>(DEADLINE).await.unwrap();
    assert_eq!(board.did(), ["mail a", "charge a", "ship a", "charge a", "ship a"]);
    worker.stop().await;
}

#[tokio::test]
async fn a_step_before_it_that_failed_is_done_again() {
    let story = Story::begin().await;
    let board = Board::default();
    board.break_step("coupon");
    let worker = story.planner(&board, &[]);
    let first = story.run("a", [Do::Try("coupon".to_owned()), step("charge")]).await;
    assert_eq!(first.result::<Vec<String>>(DEADLINE).await.unwrap(), ["failed", "a"]);
    board.mend_all();

    let second = first.rerun().from("charge").await.unwrap();

    assert_eq!(second.result::<Vec<String>>(DEADLINE).await.unwrap(), ["a", "a"]);
    assert_eq!(board.did(), ["coupon a", "charge a", "coupon a", "charge a"]);
    worker.stop().await;
}

/// The failed step before the wait is not copied, so that the wait has another number in the copy.
#[tokio::test]
async fn a_wait_that_was_answered_stays_so_in_the_copy() {
    let story = Story::begin().await;
    let board = Board::default();
    board.break_step("coupon");
    let worker = story.planner(&board, &[]);
    let acts = [Do::Try("coupon".to_owned()), listen("answer"), step("charge")];
    let first = story.run("a", acts).await;
    until("it listens", async || {
        first.get().await.unwrap().last_step.is_some_and(|step| step.id == "answer")
    })
    .await;
    story.client.send(Go { word: "yes".to_owned() }).await.unwrap();
    first.result::<Vec<String>>(DEADLINE).await.unwrap();
    board.mend_all();

    let second = first.rerun().from("charge").await.unwrap();

    assert_eq!(second.result::<Vec<String>>(DEADLINE).await.unwrap(), ["a", "yes", "a"]);
    worker.stop().await;
}

#[tokio::test]
async fn a_sleep_before_it_goes_on_until_the_same_time() {
    let story = Story::begin().await;
    let board = Board::default();
    let worker = story.planner(&board, &[]);
    let nap = Do::Sleep("nap".to_owned(), Duration::from_millis(20));
    let first = story.run("a", [nap, step("mail"), long_sleep("settle in")]).await;
    until("the run has settled in", async || {
        first.get().await.unwrap().last_step.is_some_and(|step| step.id == "settle in")
    })
    .await;
    until_run_is(&first, RunState::Suspended).await;

    let second = first.rerun().from("mail").await.unwrap();
    until_run_is(&second, RunState::Suspended).await;
    until("the second has settled in too", async || {
        second.get().await.unwrap().last_step.is_some_and(|step| step.id == "settle in")
    })
    .await;

    let naps = async |run: &ergate::RunHandle| run.trace().await.unwrap().steps[0].ended_at;
    assert_eq!(naps(&first).await, naps(&second).await);
    worker.stop().await;
}

#[tokio::test]
async fn a_start_over_that_is_sent_twice_starts_one_run() {
    let story = Story::begin().await;
    let board = Board::default();
    let worker = story.planner(&board, &[]);
    let first = story.run("a", [step("mail"), step("charge")]).await;
    first.result::<Vec<String>>(DEADLINE).await.unwrap();

    let second = first.rerun().from("charge").id("again").await.unwrap();
    second.result::<Vec<String>>(DEADLINE).await.unwrap();
    let third = first.rerun().from("charge").id("again").await.unwrap();

    assert_eq!((second.id().as_str(), third.id().as_str()), ("again", "again"));
    assert_eq!(third.state().await.unwrap(), RunState::Completed);
    assert_eq!(third.get().await.unwrap().entries, 2);
    assert_eq!(board.did(), ["mail a", "charge a", "charge a"]);
    story.all_adds_up().await;
    worker.stop().await;
}

#[tokio::test]
async fn whoever_asks_hears_that_a_run_of_that_id_is_there_already() {
    let story = Story::begin().await;
    let worker = story.planner(&Board::default(), &[]);
    let first = story.run("a", [step("mail")]).await;
    first.result::<Vec<String>>(DEADLINE).await.unwrap();

    let second = first.rerun().id("again").unless_there().await.unwrap();
    let third = first.rerun().id("again").unless_there().await.unwrap();

    assert_eq!((second.is_some(), third.is_some()), (true, false));
    assert!(first.rerun().unless_there().await.unwrap().is_some());
    worker.stop().await;
}

#[tokio::test]
async fn a_run_started_over_counts_by_the_keys_of_its_own_input() {
    let story = Story::begin().await;
    let board = Board::default();
    let worker = story.planner_with(&board, &[], |function| function.concurrency_per(1, "event.data.mark"));
    until("the function is declared", async || {
        story.client.functions().await.unwrap().keys().any(|name| name.as_str() == PLAN)
    })
    .await;
    let acts = vec![step("mail")];
    let first = story.run("acme", acts.clone()).await;
    first.result::<Vec<String>>(DEADLINE).await.unwrap();

    let second = first.rerun().data(&Plan { mark: "globex".to_owned(), acts }).await.unwrap();
    second.result::<Vec<String>>(DEADLINE).await.unwrap();

    let keys = async |run: &ergate::RunHandle| {
        let record = run.job().get().await.unwrap().record.unwrap();
        record.lane.unwrap().keys().map(|key| key.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(keys(&first).await, ["fn/concurrency=acme"]);
    assert_eq!(keys(&second).await, ["fn/concurrency=globex"]);
    worker.stop().await;
}

#[tokio::test]
async fn other_data_for_a_run_of_several_events_is_refused() {
    let story = Story::begin().await;
    let event =
        |id: &str| json!({"id": id, "name": "story/plan", "data": {"mark": "a", "acts": []}, "ts": 1});
    let input = json!({"events": [event("one"), event("two")]});
    let queue = "fn/plan".parse().unwrap();
    let receipt = story.client.enqueue_raw(queue, PLAN.parse().unwrap(), input.to_string()).await.unwrap();
    let run = story.client.run(PLAN, receipt.id.as_str()).unwrap();

    let error = run.rerun().data(&json!({})).await.unwrap_err();

    assert!(matches!(&error, Error::Option(why) if why.contains("2 events")), "{error}");
}
