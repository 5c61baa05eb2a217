//! What Redis did and nobody heard of: a proxy cuts the connection after Redis has answered, exactly there.

use ergate::{prelude::*, run::RunState};
use ergate_shared::script;

use crate::{
    story::{
        Does, QUEUE, RunningWorker, Story, act,
        plan::{Board, PLAN, Plan, step, until_run_is},
    },
    support::{Proxy, until},
};

async fn worker_behind(story: &Story, proxy: &Proxy, slots: usize) -> RunningWorker {
    let client = Client::connect(proxy.url()).await.unwrap();
    let worker = story.worker_with(&client, slots, |worker| worker);
    // It has joined and found nothing, so that the next turn is the one that matters.
    until("the worker has joined", async || story.queue().stats().await.unwrap().workers == 1).await;
    until("the worker waits", async || is_blocked(story).await).await;
    worker
}

async fn is_blocked(story: &Story) -> bool {
    let clients: String = story.redis.ask(&["INFO", "clients"]).await;
    clients.contains("blocked_clients:1")
}

#[tokio::test]
async fn a_job_leased_by_a_call_whose_reply_was_lost_runs_once_and_at_once() {
    let story = Story::begin().await;
    let proxy = Proxy::to(&story.redis);
    let worker = worker_behind(&story, &proxy, 4).await;
    let lost = proxy.lose_reply_of(&script::WORKER_TURN.sha);

    let id = story.enqueue(1, Does::Succeed).await;
    lost.await;
    story.until_state(&id, JobState::Completed).await;

    assert_eq!(story.trace.started(), [1]);
    let view = story.client.job(QUEUE, id.as_str()).unwrap().get().await.unwrap();
    assert_eq!(view.tries.crashes, 0, "it was not left to the reaper");
    assert_eq!(worker.count("ergate_lost_replies_total"), 1);
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_lease_call_that_never_arrived_is_made_again() {
    let story = Story::begin().await;
    let proxy = Proxy::to(&story.redis);
    let worker = worker_behind(&story, &proxy, 4).await;
    let lost = proxy.lose_request_of(&script::WORKER_TURN.sha);

    let id = story.enqueue(1, Does::Succeed).await;
    lost.await;
    story.until_state(&id, JobState::Completed).await;

    assert_eq!(story.trace.started(), [1]);
    assert_eq!(worker.count("ergate_lost_replies_total"), 0);
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn an_outcome_whose_reply_was_lost_is_settled_and_counted_once() {
    let story = Story::begin().await;
    let proxy = Proxy::to(&story.redis);
    let worker = worker_behind(&story, &proxy, 4).await;
    let id = story.enqueue(1, Does::Wait).await;
    story.until_started(1).await;
    until("the lease has been heard of", async || worker.count("ergate_jobs_leased_total") == 1).await;
    let lost = proxy.lose_reply_of(&script::WORKER_TURN.sha);

    story.trace.open(1);
    lost.await;
    until("the outcome is counted", async || worker.count("ergate_jobs_ended_total") == 1).await;

    assert_eq!(story.state(&id).await, Some(JobState::Completed));
    assert_eq!(worker.count("ergate_stale_settles_total"), 0);
    assert_eq!(story.trace.started(), [1]);
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_failure_whose_reply_was_lost_costs_one_attempt() {
    let story = Story::begin().await;
    let proxy = Proxy::to(&story.redis);
    let worker = worker_behind(&story, &proxy, 4).await;
    let mut turns = 0;
    // The first turn leases, the second settles the failure.
    let lost = proxy.lose_reply_when(move |words| {
        turns += u32::from(words.iter().any(|word| *word == script::WORKER_TURN.sha.as_bytes()));
        turns == 2
    });

    let id = story.enqueue(1, Does::Fail(1)).await;
    lost.await;
    story.until_state(&id, JobState::Completed).await;

    assert_eq!(story.trace.attempts(1), [1, 2]);
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn an_enqueue_whose_reply_was_lost_is_applied_once() {
    let story = Story::begin().await;
    let proxy = Proxy::to(&story.redis);
    let client = Client::connect(proxy.url()).await.unwrap();
    client.enqueue(act(0, Does::Succeed)).await.unwrap();
    let lost = proxy.lose_reply_of(&script::JOB_ENQUEUE.sha);

    let receipts = client.enqueue_all((1..=100).map(|number| act(number, Does::Succeed))).await.unwrap();
    lost.await;

    assert_eq!(receipts.len(), 100);
    assert_eq!(story.queue().stats().await.unwrap().ready, 101);
    story.all_adds_up().await;
}

#[tokio::test]
async fn an_enqueue_that_never_arrived_is_sent_again() {
    let story = Story::begin().await;
    let proxy = Proxy::to(&story.redis);
    let client = Client::connect(proxy.url()).await.unwrap();
    client.enqueue(act(0, Does::Succeed)).await.unwrap();
    let lost = proxy.lose_request_of(&script::JOB_ENQUEUE.sha);

    client.enqueue(act(1, Does::Succeed)).id("mine").await.unwrap();
    lost.await;

    assert_eq!(story.queue().stats().await.unwrap().ready, 2);
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_function_is_looked_up_again_when_the_connection_breaks_meanwhile() {
    let story = Story::begin().await;
    let planner = story.planner(&Board::default(), &[]);
    let proxy = Proxy::to(&story.redis);
    let client = Client::connect(proxy.url()).await.unwrap();
    let lost = proxy.lose_request_of("HGETALL");

    let plan = Plan { mark: "a".to_owned(), acts: vec![step("s")] };
    let receipt = client.invoke(PLAN, &plan).await.unwrap();
    lost.await;

    until_run_is(&story.client.run(PLAN, receipt.id.as_str()).unwrap(), RunState::Completed).await;
    planner.stop().await;
}

#[tokio::test]
async fn a_job_with_its_own_id_is_no_duplicate_of_itself_when_the_reply_was_lost() {
    let story = Story::begin().await;
    let proxy = Proxy::to(&story.redis);
    let client = Client::connect(proxy.url()).await.unwrap();
    client.enqueue(act(0, Does::Succeed)).await.unwrap();
    let lost = proxy.lose_reply_of(&script::JOB_ENQUEUE.sha);

    let receipt =
        client.enqueue(act(1, Does::Succeed)).id("mine").unique(Unique::until_finished("key")).await.unwrap();
    lost.await;

    assert!(!receipt.duplicate);
    assert_eq!(story.queue().stats().await.unwrap().ready, 2);
}

#[tokio::test]
async fn a_heartbeat_whose_reply_was_lost_costs_no_lease() {
    let story = Story::begin().await;
    let proxy = Proxy::to(&story.redis);
    let client = Client::connect(proxy.url()).await.unwrap();
    let lost = proxy.lose_reply_of(&script::WORKER_HEARTBEAT.sha);
    let worker = story.worker_with(&client, 4, |worker| worker.lease(Duration::from_secs(2)));

    let id = story.enqueue(1, Does::Wait).await;
    lost.await;
    let again = proxy.lose_reply_of(&script::WORKER_HEARTBEAT.sha);
    again.await;
    story.trace.open(1);
    story.until_state(&id, JobState::Completed).await;

    assert_eq!(story.trace.started(), [1]);
    assert_eq!(worker.count("ergate_leases_lost_total"), 0);
    worker.stop().await;
    story.all_adds_up().await;
}
