//! What lies around attempts: middleware and hooks.

use super::*;

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
