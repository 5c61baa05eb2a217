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
async fn an_attempt_that_runs_too_long_is_dropped_and_counts_as_failed() {
    async fn sleep_in(_: Hasty) -> Result<()> {
        std::future::pending().await
    }
    let story = Story::begin().await;
    let worker = run(&story, (), 1, |worker| worker.job(sleep_in));

    let receipt = story.client.enqueue(Hasty::default()).await.unwrap();
    story.until_state(&receipt.id, JobState::Dead).await;

    let view = story.job(&receipt.id).get().await.unwrap();
    let failure = view.failure.unwrap();
    assert_eq!((failure.kind, failure.attempt, view.tries.failures), (FailureKind::Timeout, 2, 2));
    assert_eq!(failure.message, "ran longer than its time-out of 30ms");
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_producers_time_out_goes_before_the_types() {
    async fn left(_: Hasty, deadline: Deadline) -> Result<u64> {
        Ok(deadline.left().as_secs())
    }
    let story = Story::begin().await;
    let worker = run(&story, (), 1, |worker| worker.job(left));

    let receipt = story.client.enqueue(Hasty::default()).timeout(Duration::from_hours(1)).await.unwrap();

    assert!((3500..3600).contains(&result_of::<u64>(&story, &receipt.id).await));
    worker.stop().await;
}

#[tokio::test]
async fn a_type_without_any_time_out_runs() {
    async fn run_on(job: Patient) -> Result<u64> {
        Ok(job.number)
    }
    let story = Story::begin().await;
    let worker = run(&story, (), 1, |worker| worker.job(run_on));

    let receipt = story.client.enqueue(Patient { number: 7 }).await.unwrap();

    assert_eq!(result_of::<u64>(&story, &receipt.id).await, 7);
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_soft_time_out_lets_a_handler_end_in_order() {
    async fn polite(_: Polite, cancelled: Cancelled) -> Result<&'static str> {
        cancelled.token().cancelled().await;
        assert!(cancelled.is_cancelled() && !cancelled.is_lost());
        Ok("ended in order")
    }
    let story = Story::begin().await;
    let worker = run(&story, (), 1, |worker| worker.job(polite));

    let receipt = story.client.enqueue(Polite::default()).await.unwrap();

    assert_eq!(result_of::<String>(&story, &receipt.id).await, "ended in order");
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_failure_after_a_soft_time_out_is_a_failure() {
    async fn rude(_: Polite, cancelled: Cancelled) -> Result<()> {
        cancelled.wait().await;
        Err(Failure::retry("not done in time"))
    }
    let story = Story::begin().await;
    let worker = run(&story, (), 1, |worker| worker.job(rude));

    let receipt = story.client.enqueue(Polite::default()).await.unwrap();
    story.until_state(&receipt.id, JobState::Dead).await;

    let view = story.job(&receipt.id).get().await.unwrap();
    assert_eq!((view.tries.failures, view.failure.unwrap().message.as_str()), (2, "not done in time"));
    worker.stop().await;
}

#[tokio::test]
async fn a_soft_time_out_that_is_not_heeded_ends_at_the_hard_one() {
    async fn deaf(_: Polite) -> Result<()> {
        std::future::pending().await
    }
    let story = Story::begin().await;
    let worker = run(&story, (), 1, |worker| worker.job(deaf));

    let enqueue = story.client.enqueue(Polite::default()).timeout(Duration::from_millis(80)).retries(0);
    let receipt = enqueue.await.unwrap();
    story.until_state(&receipt.id, JobState::Dead).await;

    assert_eq!(story.job(&receipt.id).get().await.unwrap().failure.unwrap().kind, FailureKind::Timeout);
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
async fn a_blocking_handler_blocks_nobody_else() {
    fn block(job: Plain, State(gate): State<Arc<std::sync::Barrier>>, attempt: Attempt) -> Result<u64> {
        gate.wait();
        Ok(job.number + u64::from(attempt.number))
    }
    let story = Story::begin().await;
    let gate = Arc::new(std::sync::Barrier::new(3));
    let worker = run(&story, Arc::clone(&gate), 4, |worker| worker.blocking(block));

    let mut receipts = Vec::new();
    for number in 0..3 {
        receipts.push(story.client.enqueue(Plain { number }).await.unwrap());
    }

    for (number, receipt) in receipts.iter().enumerate() {
        assert_eq!(result_of::<u64>(&story, &receipt.id).await, number as u64 + 1);
    }
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_blocking_handler_that_panics_has_failed() {
    fn panic(_: Plain) -> Result<()> {
        panic!("out of paper")
    }
    let story = Story::begin().await;
    let worker = run(&story, (), 1, |worker| worker.blocking(panic));

    let receipt = story.client.enqueue(Plain::default()).await.unwrap();
    story.until_state(&receipt.id, JobState::Dead).await;

    let failure = story.job(&receipt.id).get().await.unwrap().failure.unwrap();
    assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Panic, "panicked: out of paper"));
    worker.stop().await;
}

#[tokio::test]
async fn a_blocking_handler_that_runs_too_long_is_given_up() {
    fn block(_: Hasty, State(gate): State<Arc<std::sync::Barrier>>) -> Result<()> {
        gate.wait();
        Ok(())
    }
    let story = Story::begin().await;
    let gate = Arc::new(std::sync::Barrier::new(2));
    let worker = run(&story, Arc::clone(&gate), 1, |worker| worker.blocking(block));

    let receipt = story.client.enqueue(Hasty::default()).retries(0).await.unwrap();
    story.until_state(&receipt.id, JobState::Dead).await;
    gate.wait();

    assert_eq!(story.job(&receipt.id).get().await.unwrap().failure.unwrap().kind, FailureKind::Timeout);
    worker.stop().await;
    story.all_adds_up().await;
}

#[derive(Debug, Clone)]
struct Noting {
    name: &'static str,
    notes: Arc<Mutex<Vec<String>>>,
}

impl Middleware for Noting {
    async fn around(&self, context: Context, next: Next) -> Result<String> {
        let note = |text: String| self.notes.lock().unwrap().push(text);
        note(format!("{} before {}", self.name, context.record().name));
        let result = next.run(context).await;
        note(format!("{} after {}", self.name, result.as_deref().unwrap_or("a failure")));
        result
    }
}

#[tokio::test]
async fn layers_lie_around_every_attempt_the_first_outermost() {
    async fn handle(job: Plain, attempt: Attempt) -> Result<u64> {
        if attempt.number == 1 { Err(Failure::retry("again")) } else { Ok(job.number) }
    }
    let story = Story::begin().await;
    let notes = Arc::new(Mutex::new(Vec::new()));
    let layer = |name| Noting { name, notes: Arc::clone(&notes) };
    let worker = run(&story, (), 1, |worker| worker.job(handle).layer(layer("outer")).layer(layer("inner")));

    let receipt = story.client.enqueue(Plain { number: 7 }).await.unwrap();
    result_of::<u64>(&story, &receipt.id).await;

    assert_eq!(
        *notes.lock().unwrap(),
        [
            "outer before plain",
            "inner before plain",
            "inner after a failure",
            "outer after a failure",
            "outer before plain",
            "inner before plain",
            "inner after 7",
            "outer after 7",
        ]
    );
    worker.stop().await;
}

#[tokio::test]
async fn a_layer_may_keep_a_handler_from_running() {
    struct Guard;
    impl Middleware for Guard {
        async fn around(&self, _: Context, _: Next) -> Result<String> {
            Err(Failure::fatal("not on my watch"))
        }
    }
    async fn count(_: Plain, State(runs): State<Arc<AtomicUsize>>) -> Result<()> {
        runs.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
    let story = Story::begin().await;
    let runs = Arc::new(AtomicUsize::new(0));
    let worker = run(&story, Arc::clone(&runs), 1, |worker| worker.job(count).layer(Guard));

    let receipt = story.client.enqueue(Plain::default()).await.unwrap();
    story.until_state(&receipt.id, JobState::Dead).await;

    assert_eq!(runs.load(Ordering::SeqCst), 0);
    let failure = story.job(&receipt.id).get().await.unwrap().failure.unwrap();
    assert_eq!(failure.message, "not on my watch");
    worker.stop().await;
}

#[tokio::test]
async fn a_layer_that_panics_fails_the_attempt_and_nothing_else() {
    struct Clumsy;
    impl Middleware for Clumsy {
        async fn around(&self, context: Context, next: Next) -> Result<String> {
            assert_ne!(context.record().name.as_str(), "plain", "clumsy");
            next.run(context).await
        }
    }
    let story = Story::begin().await;
    let worker = run(&story, (), 1, |worker| {
        worker.job(async |_: Plain| Ok(())).job(async |job: Other| Ok(job.number)).layer(Clumsy)
    });

    let broken = story.client.enqueue(Plain::default()).await.unwrap();
    story.until_state(&broken.id, JobState::Dead).await;
    let whole = story.client.enqueue(Other { number: 7 }).await.unwrap();

    assert_eq!(story.job(&broken.id).get().await.unwrap().failure.unwrap().kind, FailureKind::Panic);
    assert_eq!(result_of::<u64>(&story, &whole.id).await, 7);
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn an_alert_hook_that_panics_does_not_stop_the_worker() {
    let story = Story::begin().await;
    let worker =
        story.worker_with(&story.client, 1, |worker| worker.on_dead(|dead| panic!("{} is dead", dead.id)));

    let dead = story.enqueue(1, Does::FailForGood).await;
    story.until_state(&dead, JobState::Dead).await;
    let next = story.enqueue(2, Does::Succeed).await;
    story.until_state(&next, JobState::Completed).await;

    worker.stop().await;
    story.all_adds_up().await;
}

mod versions {
    use super::*;

    #[derive(Debug, Serialize, Deserialize)]
    pub(super) struct First {
        pub(super) name: String,
    }

    impl Job for First {
        const NAME: &str = "versioned";
        const QUEUE: &str = QUEUE;
    }

    #[derive(Debug, Serialize, Deserialize)]
    pub(super) struct Third {
        pub(super) first: String,
        pub(super) last: String,
    }

    impl Job for Third {
        const NAME: &str = "versioned";
        const QUEUE: &str = QUEUE;
        const VERSION: u16 = 3;

        fn upcast(version: u16, payload: serde_json::Value) -> Result<serde_json::Value, String> {
            match version {
                1 => {
                    let name = payload["name"].as_str().ok_or("a payload of version 1 has a name")?;
                    match name.split_once(' ') {
                        Some((first, last)) => Ok(serde_json::json!({ "first": first, "last": last })),
                        None => Ok(serde_json::json!({ "first": name })),
                    }
                }
                _ => Err(format!("version {version} was never released")),
            }
        }
    }

    pub(super) async fn full_name(job: Third) -> Result<String> {
        Ok(format!("{}, {}", job.last, job.first))
    }

    pub(super) async fn name(job: First) -> Result<String> {
        Ok(job.name)
    }
}

async fn failure_of(story: &Story, id: &JobId) -> ergate::FailureRecord {
    story.until_state(id, JobState::Dead).await;
    story.job(id).get().await.unwrap().failure.unwrap()
}

#[tokio::test]
async fn an_older_payload_is_brought_up_to_date_before_the_handler_sees_it() {
    let story = Story::begin().await;
    let worker = run(&story, (), 1, |worker| worker.job(versions::full_name));

    let old = story.client.enqueue(versions::First { name: "Ada Lovelace".to_owned() }).await.unwrap();
    let new = versions::Third { first: "Alan".to_owned(), last: "Turing".to_owned() };
    let new = story.client.enqueue(new).await.unwrap();

    assert_eq!(result_of::<String>(&story, &old.id).await, "Lovelace, Ada");
    assert_eq!(result_of::<String>(&story, &new.id).await, "Turing, Alan");
    worker.stop().await;
}

#[tokio::test]
async fn a_payload_that_cannot_be_brought_up_to_date_is_dead_at_once_and_kept() {
    let story = Story::begin().await;
    let worker = run(&story, (), 1, |worker| worker.job(versions::full_name));
    let (queue, name) = (QUEUE.parse().unwrap(), "versioned".parse().unwrap());

    let half = story.client.enqueue(versions::First { name: "Ada".to_owned() }).await.unwrap();
    let odd = story.client.enqueue_raw(queue, name, r#"{"nickname":"Ada"}"#).await.unwrap();

    let half = failure_of(&story, &half.id).await;
    assert_eq!(half.kind, FailureKind::Decode);
    assert_eq!(half.message, "payload brought from version 1 to 3 is no versioned");
    assert_eq!(half.chain, ["missing field `last`"]);
    let failure = failure_of(&story, &odd.id).await;
    assert_eq!(
        (failure.kind, failure.message.as_str()),
        (FailureKind::Decode, "a payload of version 1 has a name")
    );
    let record = story.job(&odd.id).get().await.unwrap().record.unwrap();
    assert_eq!(record.payload, br#"{"nickname":"Ada"}"#);
    worker.stop().await;
}

#[tokio::test]
async fn a_payload_of_a_later_version_is_a_dead_letter_that_names_both() {
    let story = Story::begin().await;
    let worker = run(&story, (), 1, |worker| worker.job(versions::name));
    let new = versions::Third { first: "Alan".to_owned(), last: "Turing".to_owned() };

    let receipt = story.client.enqueue(new).await.unwrap();

    let failure = failure_of(&story, &receipt.id).await;
    assert_eq!(failure.kind, FailureKind::Decode);
    assert_eq!(failure.message, "payload version 3 is not known to this worker, which has version 1");
    worker.stop().await;
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
