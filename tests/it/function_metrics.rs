//! What is counted of functions, their steps and events.

use ergate::{prelude::*, run::RunState};

use crate::{
    story::{
        Story,
        plan::{Board, Do, PLAN, Plan, step, until_run_is},
    },
    support::{DEADLINE, until},
};

#[tokio::test]
async fn steps_and_runs_are_counted_by_what_became_of_them() {
    let story = Story::begin().await;
    let board = Board::default();
    board.break_step("coupon");
    let worker = story.planner(&board, &[]);
    let acts = [
        step("mail"),
        Do::Stumble("ship".to_owned(), 2),
        Do::Sleep("nap".to_owned(), Duration::from_millis(5)),
        Do::Try("coupon".to_owned()),
    ];

    story.run("a", acts).await.result::<Vec<String>>(DEADLINE).await.unwrap();
    let failed = story.run("b", [step("coupon")]).await;
    until_run_is(&failed, RunState::Failed).await;

    let steps = |outcome: &str| {
        worker.count(&format!("ergate_steps_total{{function=\"plan\",outcome=\"{outcome}\"}}"))
    };
    let runs = |outcome: &str| {
        worker.count(&format!("ergate_runs_total{{function=\"plan\",outcome=\"{outcome}\"}}"))
    };
    until("both ends are counted", async || (runs("completed"), runs("failed")) == (1, 1)).await;
    assert_eq!((steps("done"), steps("retried"), steps("failed")), (2, 2, 2));
    assert_eq!(worker.count("ergate_step_run_seconds_count{function=\"plan\"}"), 6);
    assert_eq!(runs("started"), 2);
    assert!(runs("suspended") >= 1);
    worker.stop().await;
}

#[tokio::test]
async fn events_are_counted_where_they_are_sent_routed_and_started_by() {
    let story = Story::begin().await;
    let worker = story.planner(&Board::default(), &[]);
    let declared = async || story.client.functions().await.unwrap().keys().any(|name| name.as_str() == PLAN);
    until("the function is declared", declared).await;
    let plan = Plan { mark: "a".to_owned(), acts: vec![step("mail")] };

    story.client.send(plan.clone()).await.unwrap();
    story.client.send(plan.clone()).id("own").await.unwrap();
    story.client.send(plan).id("own").await.unwrap();

    until("both runs are done", async || {
        worker.count("ergate_runs_total{function=\"plan\",outcome=\"completed\"}") == 2
    })
    .await;
    until("both events are acknowledged", async || worker.count("ergate_events_routed_total") == 2).await;
    assert_eq!(worker.count("ergate_event_routing_seconds_count"), 2);
    assert_eq!(worker.count("ergate_events_sent_total{outcome=\"kept\"}"), 2);
    assert_eq!(worker.count("ergate_events_sent_total{outcome=\"duplicate\"}"), 1);
    assert_eq!(
        worker.count("ergate_event_to_start_seconds_count{function=\"plan\"}"),
        1,
        "an id of the user's own does not tell when it was sent"
    );
    worker.stop().await;
}
