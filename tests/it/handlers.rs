//! Handlers are plain functions: what they may ask for, and what becomes of what they do.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use ergate::{Context, FailureKind, Metrics, Middleware, Next, WorkerError, prelude::*};
use tokio::sync::Semaphore;

use crate::{
    story::{Does, QUEUE, RunningWorker, Story, act},
    support::until,
};

mod blocking;
mod layers;
mod timeouts;
mod versions;

/// Starts a worker of these handlers on the story's queue.
fn run<S: Send + Sync + 'static>(
    story: &Story,
    state: S,
    slots: usize,
    handlers: impl FnOnce(Worker<S>) -> Worker<S>,
) -> RunningWorker {
    let metrics = Metrics::new();
    let worker = Worker::new(story.client.clone(), state).queue(QUEUE, slots).metrics(metrics.clone());
    RunningWorker::start(handlers(worker), metrics)
}

/// Job types that differ in nothing but what is said here.
macro_rules! job {
    ($type:ident, $name:literal $(, $item:ident : $of:ty = $value:expr)*) => {
        #[derive(Debug, Clone, Default, Serialize, Deserialize)]
        struct $type {
            number: u64,
        }

        impl Job for $type {
            const NAME: &str = $name;
            const QUEUE: &str = QUEUE;
            const RETRIES: u32 = 1;
            $(const $item: $of = $value;)*

            fn backoff() -> Backoff {
                Backoff::none()
            }
        }
    };
}

job!(Plain, "plain");
job!(Other, "other");
job!(Hasty, "hasty", TIMEOUT: Duration = Duration::from_millis(30));
job!(Patient, "patient", TIMEOUT: Duration = Duration::MAX);
job!(Polite, "polite", SOFT_TIMEOUT: Option<Duration> = Some(Duration::from_millis(30)));

async fn result_of<T: serde::de::DeserializeOwned>(story: &Story, id: &JobId) -> T {
    story.job(id).result(Duration::from_secs(15)).await.unwrap()
}

#[tokio::test]
async fn a_handler_needs_no_more_than_its_payload() {
    async fn double(job: Plain) -> Result<u64> {
        Ok(job.number * 2)
    }
    let story = Story::begin().await;
    let worker = run(&story, (), 1, |worker| worker.job(double));

    let receipt = story.client.enqueue(Plain { number: 21 }).await.unwrap();

    assert_eq!(result_of::<u64>(&story, &receipt.id).await, 42);
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_closure_is_a_handler_too() {
    let story = Story::begin().await;
    let worker = run(&story, (), 1, |worker| worker.job(async |job: Plain| Ok(job.number + 1)));

    let receipt = story.client.enqueue(Plain { number: 1 }).await.unwrap();

    assert_eq!(result_of::<u64>(&story, &receipt.id).await, 2);
    worker.stop().await;
}

#[tokio::test]
async fn a_handler_may_ask_for_eight_things() {
    #[derive(Clone)]
    struct App {
        greeting: Greeting,
        factor: u64,
    }
    #[derive(Clone)]
    struct Greeting(String);
    impl FromRef<App> for Greeting {
        fn from_ref(app: &App) -> Self {
            app.greeting.clone()
        }
    }
    #[allow(clippy::too_many_arguments, reason = "that is what is tested")]
    async fn everything(
        job: Plain,
        State(app): State<App>,
        State(greeting): State<Greeting>,
        id: JobId,
        attempt: Attempt,
        deadline: Deadline,
        cancelled: Cancelled,
        client: Client,
        context: Context,
    ) -> Result<(String, u64, JobId, u32, u32, bool, bool)> {
        assert!(deadline.left() > Duration::from_mins(29) && deadline.left() <= Duration::from_mins(30));
        assert_eq!(context.id(), &id);
        assert_eq!(context.queue().as_str(), QUEUE);
        assert_eq!(context.record().name.as_str(), "plain");
        client.enqueue(Other { number: job.number }).await?;
        let last = attempt.is_last();
        Ok((greeting.0, app.factor, id, attempt.number, attempt.of, last, cancelled.is_cancelled()))
    }
    async fn other(_: Other) -> Result<()> {
        Ok(())
    }
    let story = Story::begin().await;
    let app = App { greeting: Greeting("hello".to_owned()), factor: 3 };
    let worker = run(&story, app, 1, |worker| worker.job(everything).job(other));

    let receipt = story.client.enqueue(Plain { number: 7 }).await.unwrap();
    let answer: (String, u64, JobId, u32, u32, bool, bool) = result_of(&story, &receipt.id).await;

    assert_eq!(answer, ("hello".to_owned(), 3, receipt.id.clone(), 1, 2, false, false));
    until("the job enqueued by the handler is done too", async || {
        story.queue().stats().await.unwrap().completed == 2
    })
    .await;
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn the_last_attempt_knows_that_it_is_the_last() {
    async fn fail(_: Plain, attempt: Attempt, State(seen): State<Arc<Mutex<Vec<bool>>>>) -> Result<()> {
        seen.lock().unwrap().push(attempt.is_last());
        Err(Failure::retry("again"))
    }
    let story = Story::begin().await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let worker = run(&story, Arc::clone(&seen), 1, |worker| worker.job(fail));

    let receipt = story.client.enqueue(Plain::default()).retries(2).await.unwrap();
    story.until_state(&receipt.id, JobState::Dead).await;

    assert_eq!(*seen.lock().unwrap(), [false, false, true]);
    worker.stop().await;
}

#[tokio::test]
async fn jobs_that_return_nothing_have_null_as_result() {
    async fn nothing(_: Plain) -> Result<()> {
        Ok(())
    }
    let story = Story::begin().await;
    let worker = run(&story, (), 1, |worker| worker.job(nothing));

    let receipt = story.client.enqueue(Plain::default()).await.unwrap();
    let view = story.job(&receipt.id).ended(Duration::from_secs(10)).await.unwrap();

    assert_eq!(view.outcome.unwrap().detail, "null");
    worker.stop().await;
}

#[tokio::test]
async fn a_result_that_is_no_json_is_a_dead_letter_that_says_so() {
    async fn odd(_: Plain) -> Result<BTreeMap<(u8, u8), u8>> {
        Ok(BTreeMap::from([((1, 2), 3)]))
    }
    let story = Story::begin().await;
    let worker = run(&story, (), 1, |worker| worker.job(odd));

    let receipt = story.client.enqueue(Plain::default()).await.unwrap();
    story.until_state(&receipt.id, JobState::Dead).await;

    let failure = story.job(&receipt.id).get().await.unwrap().failure.unwrap();
    assert_eq!(failure.message, "result cannot be written as JSON: key must be a string");
    worker.stop().await;
}

#[tokio::test]
async fn a_result_of_another_type_than_asked_for_is_an_error_and_stays_readable() {
    let story = Story::begin().await;
    let worker = story.worker(1);
    let id = story.enqueue(7, Does::Succeed).await;

    let error = story.job(&id).result::<String>(Duration::from_secs(10)).await.unwrap_err();

    assert_eq!(error.to_string(), "payload of job act (its result) is not valid JSON");
    assert_eq!(result_of::<u64>(&story, &id).await, 7);
    worker.stop().await;
}

#[tokio::test]
async fn each_queue_has_slots_of_its_own() {
    let story = Story::begin().await;
    let worker = story.worker_with(&story.client, 2, |worker| worker.queue("other", 1));
    for number in 0..4 {
        story.enqueue(number, Does::Wait).await;
    }
    until("two run", async || story.trace.started().len() == 2).await;

    story.client.enqueue(act(9, Does::Succeed)).queue("other").await.unwrap();
    story.until_finished(1).await;

    assert_eq!(story.trace.started(), [0, 1, 9]);
    let stats = story.queue().stats().await.unwrap();
    assert_eq!((stats.leased, stats.ready), (2, 2));
    for number in 0..4 {
        story.trace.open(number);
    }
    story.until_finished(5).await;
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_worker_with_thousands_of_slots_fills_them() {
    async fn wait(_: Plain, State(gate): State<Arc<Semaphore>>) -> Result<()> {
        gate.acquire().await?.forget();
        Ok(())
    }
    let story = Story::begin().await;
    let gate = Arc::new(Semaphore::new(0));
    story.client.enqueue_all((0..9000).map(|number| Plain { number })).await.unwrap();

    let worker = run(&story, Arc::clone(&gate), 9000, |worker| worker.job(wait));
    until("all run", async || story.queue().stats().await.unwrap().leased == 9000).await;
    gate.add_permits(9000);
    until("all are done", async || story.queue().stats().await.unwrap().leased == 0).await;

    assert_eq!(worker.count("ergate_jobs_ended_total"), 9000);
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_worker_put_together_badly_says_all_that_is_wrong_at_once() {
    let story = Story::begin().await;
    let worker = Worker::new(story.client.clone(), ())
        .queue("a b", 1)
        .queue("none", 0)
        .queue("twice", 1)
        .queue("twice", 2)
        .job(async |_: Plain| Ok(()))
        .job(async |_: Plain| Ok(1))
        .lease(Duration::from_millis(5))
        .crash_limit(0);

    let error = worker.run_until(std::future::pending()).await.unwrap_err();

    let WorkerError::Setup(problems) = &error else { panic!("{error}") };
    for expected in [
        "queue none has 0 slots",
        "queue twice is named twice",
        "job plain has two handlers",
        "lease 5ms is not within 1s to 1h",
        "crash limit 0",
        "queue name \"a b\" has the character ' '",
    ] {
        assert!(problems.iter().any(|problem| problem.contains(expected)), "{expected}: {problems:?}");
    }
    assert_eq!(problems.len(), 6, "{problems:?}");
    assert!(story.client.queues().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_worker_without_a_queue_says_how_to_add_one() {
    let story = Story::begin().await;

    let error = Worker::new(story.client.clone(), ()).run_until(std::future::pending()).await.unwrap_err();

    assert_eq!(
        error.to_string(),
        "worker cannot start: it has no queue; add one with .queue(name, slots), or a function"
    );
}
