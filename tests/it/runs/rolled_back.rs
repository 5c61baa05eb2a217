//! Redis that came back without the last it had acknowledged, while the worker lived on.

use ergate_shared::key::QueueKey;
use tokio::sync::Semaphore;

use super::*;
use crate::support::Proxy;

#[derive(Debug, Serialize, Deserialize)]
struct Sum {
    of: u64,
}

impl Job for Sum {
    const NAME: &str = "sum";
    const QUEUE: &str = "sums";
}

/// What bodies did, and what holds one of them until the test lets it go.
#[derive(Debug, Clone)]
struct Hold {
    did: Did,
    gate: Arc<Semaphore>,
}

impl Hold {
    fn new() -> Self {
        Self { did: Did::default(), gate: Arc::new(Semaphore::new(0)) }
    }

    async fn held(self) -> Result<()> {
        self.did.note("held").await?;
        let _passed = self.gate.acquire().await?;
        Ok(())
    }

    fn let_go(&self) {
        self.gate.add_permits(1);
    }
}

async fn two_steps(_: SignedUp, step: Step, State(hold): State<Hold>) -> Result<()> {
    step.run("first", hold.did.clone().note("first")).await?;
    step.run("held", hold.clone().held()).await?;
    Ok(())
}

async fn summing(event: SignedUp, step: Step, State(hold): State<Hold>) -> Result<u64> {
    let sum = step.invoke_job::<u64>("sum", Sum { of: event.user });
    let (sum, held) = tokio::join!(sum, step.run("held", hold.clone().held()));
    held?;
    Ok(sum?)
}

fn worker_of(client: &Client, hold: &Hold, function: Function<Hold>) -> RunningWorker {
    let metrics = Metrics::new();
    let worker = Worker::new(client.clone(), hold.clone()).lease(Duration::from_secs(2));
    RunningWorker::start(worker.metrics(metrics.clone()).function(function), metrics)
}

/// A run that has started a job nobody performs, and whose other step is held.
struct Summing {
    story: Story,
    hold: Hold,
    /// The worker's way to Redis.
    proxy: Proxy,
    worker: RunningWorker,
    run: ergate::RunHandle,
}

impl Summing {
    async fn held() -> Self {
        let story = Story::begin().await;
        let hold = Hold::new();
        let proxy = Proxy::to(&story.redis);
        let client = Client::connect(proxy.url()).await.unwrap();
        let worker = worker_of(&client, &hold, Function::new("summing", summing));
        let run = start(&story, "summing").await;
        until_there(&story).await;
        until_held(&hold).await;
        Self { story, hold, proxy, worker, run }
    }
}

async fn until_there(story: &Story) {
    let sums = story.client.queue("sums").unwrap();
    until("the job is there", async || sums.stats().await.unwrap().ready == 1).await;
}

/// Deletes all that Redis has of the queue.
async fn forget_sums(story: &Story) {
    let keys: Vec<String> = story.redis.ask(&["KEYS", "ergate:{sums}:*"]).await;
    let mut words = vec!["DEL"];
    words.extend(keys.iter().map(String::as_str));
    story.redis.ask::<u64>(&words).await;
}

async fn until_held(hold: &Hold) {
    until("the body is held", async || hold.did.all().last().is_some_and(|did| did == "held")).await;
}

#[tokio::test]
async fn a_run_of_whose_journal_entries_were_lost_goes_on_from_those_that_are_left() {
    let story = Story::begin().await;
    let hold = Hold::new();
    let worker = worker_of(&story.client, &hold, Function::new("two", two_steps));
    let run = start(&story, "two").await;
    until_held(&hold).await;
    until("the first step is journalled", async || run.journal().await.unwrap().len() == 1).await;

    let (keys, id) = (run.job().queue().keys().clone(), run.id().to_string());
    story.redis.ask::<u64>(&["HDEL", keys.get(QueueKey::journal), &format!("{id}.1")]).await;
    story.redis.ask::<u64>(&["HDEL", keys.get(QueueKey::steps), &id]).await;
    hold.let_go();
    run.result::<()>(DEADLINE).await.unwrap();

    assert_eq!(hold.did.all(), ["first", "held", "first", "held"]);
    let journal = run.journal().await.unwrap();
    let steps: Vec<_> = journal.entries().iter().map(|entry| entry.step.as_str()).collect();
    assert_eq!(steps, ["first", "held"]);
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_run_whose_start_of_a_job_was_lost_with_the_connection_starts_it_again() {
    let Summing { story, hold, proxy, worker, run } = Summing::held().await;

    forget_sums(&story).await;
    proxy.reset();
    hold.let_go();

    until_there(&story).await;
    until_state(&run, RunState::Suspended).await;
    assert_eq!(hold.did.all(), ["held"]);
    worker.stop().await;
}

#[tokio::test]
async fn a_run_that_was_suspended_by_a_call_over_a_new_connection_starts_its_job_again_too() {
    let Summing { story, hold, proxy, worker, run } = Summing::held().await;
    let suspends = |words: &[&[u8]]| words.contains(&b"suspend".as_slice());
    let lost = proxy.lose_request_when(suspends);

    forget_sums(&story).await;
    hold.let_go();
    lost.await;

    until_there(&story).await;
    until_state(&run, RunState::Suspended).await;
    worker.stop().await;
}
