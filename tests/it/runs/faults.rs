//! Runs whose worker dies, or whose calls are lost.

use ergate_shared::{key::QueueKey, script};

use super::*;
use crate::support::{Lost, Proxy};

async fn two_steps(_: SignedUp, step: Step, State(shared): State<Shared>) -> Result<()> {
    step.run("first", shared.did.clone().note("first")).await?;
    step.run("second", shared.did.clone().note("second")).await?;
    Ok(())
}

fn steps_of(journal: &ergate::run::Journal) -> Vec<&str> {
    journal.entries().iter().map(|entry| entry.step.as_str()).collect()
}

#[tokio::test]
async fn a_step_whose_record_was_written_and_its_reply_lost_is_written_once() {
    each_step_is_done_once(|proxy| proxy.lose_reply_of(&script::RUN_RECORD.sha)).await;
}

#[tokio::test]
async fn a_record_that_never_arrived_is_sent_again() {
    each_step_is_done_once(|proxy| proxy.lose_request_of(&script::RUN_RECORD.sha)).await;
}

/// Plays a run of two steps by a worker whose network loses what `lose` says.
async fn each_step_is_done_once(lose: impl FnOnce(&Proxy) -> Lost) {
    let story = Story::begin().await;
    let proxy = Proxy::to(&story.redis);
    let shared = Shared::default();
    let client = Client::connect(proxy.url()).await.unwrap();
    let worker = worker_on(&client, &shared, Function::new("two", two_steps));
    let lost = lose(&proxy);

    let run = start(&story, "two").await;
    lost.await;
    run.result::<()>(DEADLINE).await.unwrap();

    assert_eq!(shared.did.all(), ["first", "second"]);
    assert_eq!(steps_of(&run.journal().await.unwrap()), ["first", "second"]);
    worker.stop().await;
}

#[tokio::test]
async fn a_run_handed_over_by_a_stopping_worker_goes_on_after_its_last_step() {
    async fn gated(_: SignedUp, step: Step, State(shared): State<Shared>) -> Result<()> {
        step.run("first", shared.did.clone().note("first")).await?;
        step.run("second", async {
            shared.did.clone().note("second").await?;
            if shared.count.fetch_add(1, Ordering::Relaxed) == 0 {
                std::future::pending::<()>().await;
            }
            Ok::<_, Failure>(())
        })
        .await?;
        Ok(())
    }
    let story = Story::begin().await;
    let shared = Shared::default();
    let hasty = Worker::new(story.client.clone(), shared.clone())
        .function(Function::new("gated", gated))
        .shutdown_deadline(Duration::ZERO);
    let old = RunningWorker::start(hasty, Metrics::new());
    let run = start(&story, "gated").await;
    until("the second step has begun", async || shared.did.all().len() == 2).await;

    old.stop().await;
    let new = worker(&story, &shared, Function::new("gated", gated));
    run.result::<()>(DEADLINE).await.unwrap();

    assert_eq!(shared.did.all(), ["first", "second", "second"]);
    new.stop().await;
}

#[tokio::test]
async fn a_worker_that_lost_a_run_cannot_write_into_its_journal() {
    let story = Story::begin().await;
    let run = start(&story, "two").await;
    let keys = run.job().queue().keys();
    let mut lease = redis::cmd("HSET");
    lease.arg(keys.get(QueueKey::leased)).arg(run.id().as_str()).arg("NEW.1");
    let _: u64 = story.client.redis().command("HSET", &lease).await.unwrap();

    let call = script::RUN_RECORD
        .on(keys)
        .arg(run.id().as_str())
        .arg("OLD.9")
        .number(0)
        .number(1)
        .arg("")
        .arg("")
        .arg(r#"{"step":"first","at":1,"op":"again"}"#);
    let replies: Vec<(String, u32, Vec<String>, Vec<u32>)> = story.client.redis().run(&call).await.unwrap();

    assert_eq!(replies[0].0, "lost");
    assert!(run.journal().await.unwrap().is_empty());
}

#[tokio::test]
async fn what_arrives_while_a_run_is_about_to_be_suspended_keeps_it_ready() {
    let story = Story::begin().await;
    let run = start(&story, "two").await;
    let hand = Hand::lease(&story, &run).await;
    assert_eq!(hand.record(0, "", "1", "wait").await, [1]);

    assert_eq!(hand.deliver(1).await, "ok");
    hand.suspend(1).await;

    assert_eq!(run.job().status().await.unwrap(), JobState::Ready);
}

#[tokio::test]
async fn what_arrives_for_a_suspended_run_makes_it_ready_and_a_second_time_nothing() {
    let story = Story::begin().await;
    let run = start(&story, "two").await;
    let hand = Hand::lease(&story, &run).await;
    hand.record(0, "", "1", "wait").await;
    hand.suspend(1).await;
    assert_eq!(run.state().await.unwrap(), RunState::Suspended);

    assert_eq!(hand.deliver(1).await, "ok");
    assert_eq!(hand.deliver(1).await, "closed");

    assert_eq!(run.job().status().await.unwrap(), JobState::Ready);
    assert_eq!(run.journal().await.unwrap().len(), 2);
    assert!(run.job().queue().stats().await.unwrap().adds_up());
}

#[tokio::test]
async fn a_run_learns_of_what_arrived_with_its_next_record_and_cannot_resolve_it_a_second_time() {
    let story = Story::begin().await;
    let run = start(&story, "two").await;
    let hand = Hand::lease(&story, &run).await;
    hand.record(0, "", "1", "wait").await;
    hand.deliver(1).await;

    assert_eq!(hand.record(1, "1", "", "timed out").await, [0]);
    assert_eq!(hand.record(1, "", "", "later").await, [3]);

    assert_eq!(steps_of(&run.journal().await.unwrap()), ["wait", "delivered", "later"]);
}

/// A worker of flesh and blood.
struct Hand<'a> {
    story: &'a Story,
    run: &'a ergate::RunHandle,
    token: String,
}

fn entry(step: &str) -> String {
    json!({ "step": step, "at": 1, "op": "again" }).to_string()
}

impl<'a> Hand<'a> {
    async fn lease(story: &'a Story, run: &'a ergate::RunHandle) -> Self {
        let worker = ergate::WorkerId::generate();
        let keys = run.job().queue().keys();
        let join = script::WORKER_JOIN.on(keys).arg("").arg(worker.as_str()).number(60_000);
        let _: redis::Value = story.client.redis().run(&join).await.unwrap();
        let token = worker.token(1);
        let turn = script::WORKER_TURN.on(keys).arg("").arg(worker.as_str()).arg(&token).number(1).number(0);
        let _: redis::Value = story.client.redis().run(&turn).await.unwrap();
        assert_eq!(run.state().await.unwrap(), RunState::Running);
        Self { story, run, token }
    }

    /// Returns the numbers of what was written.
    async fn record(&self, known: u32, closes: &str, opens: &str, step: &str) -> Vec<u32> {
        let call = script::RUN_RECORD
            .on(self.run.job().queue().keys())
            .arg(self.run.id().as_str())
            .arg(&self.token)
            .number(known)
            .number(1)
            .arg(closes)
            .arg(opens)
            .arg(entry(step));
        let replies: Vec<(String, u32, Vec<String>, Vec<u32>)> =
            self.story.client.redis().run(&call).await.unwrap();
        assert_eq!(replies[0].0, "ok");
        replies[0].3.clone()
    }

    async fn deliver(&self, number: u32) -> String {
        let call = script::RUN_DELIVER
            .on(self.run.job().queue().keys())
            .arg("")
            .arg(self.run.id().as_str())
            .number(number)
            .arg(entry("delivered"));
        let (_, outcomes): (u64, Vec<String>) = self.story.client.redis().run(&call).await.unwrap();
        outcomes[0].clone()
    }

    async fn suspend(&self, known: u32) {
        let worker = ergate::WorkerId::of_token(&self.token);
        let due = self.story.client.redis().now_ms() + 3_600_000;
        let turn = script::WORKER_TURN
            .on(self.run.job().queue().keys())
            .arg("")
            .arg(worker.as_str())
            .arg(worker.token(2))
            .number(0)
            .number(0)
            .arg("suspend")
            .arg(self.run.id().as_str())
            .arg(&self.token)
            .number(due)
            .arg("")
            .number(known);
        let _: redis::Value = self.story.client.redis().run(&turn).await.unwrap();
    }
}
