//! What goes on beside a body that runs long: the run cannot leave memory, and time passes all the same.

use std::task::{Context, Poll, Wake, Waker};

use tokio::sync::Notify;

use super::*;

/// Functions of a test share this: lets a body that waits for it go on.
type Gate = Arc<Notify>;

fn worker(story: &Story, function: Function<Gate>) -> RunningWorker {
    let metrics = Metrics::new();
    let worker = Worker::new(story.client.clone(), Gate::default()).metrics(metrics.clone());
    RunningWorker::start(worker.function(function), metrics)
}

#[tokio::test]
async fn a_sleep_that_races_a_body_is_over_at_its_time() {
    async fn impatient(_: SignedUp, step: Step) -> Result<String> {
        let slow = step.run("slow", std::future::pending::<Result<String>>());
        let patience = step.sleep("patience", Duration::from_millis(50));
        let ways = [
            Step::way(slow),
            Step::way(async {
                patience.await;
                Ok("enough".to_owned())
            }),
        ];
        Ok(step.race("first", ways).await?)
    }
    let story = Story::begin().await;
    let worker = worker(&story, Function::new("impatient", impatient));

    let run = start(&story, "impatient").await;

    assert_eq!(run.result::<String>(DEADLINE).await.unwrap(), "enough");
    worker.stop().await;
}

#[tokio::test]
async fn a_wait_runs_out_beside_a_body() {
    async fn patient(_: SignedUp, step: Step, State(gate): State<Gate>) -> Result<bool> {
        let answer = async {
            let answer =
                step.wait_for_named("answer", "user/answered").within(Duration::from_millis(50)).await;
            gate.notify_one();
            answer
        };
        let body = async {
            gate.notified().await;
            anyhow::Ok(())
        };
        let (answer, body) = tokio::join!(answer, step.run("body", body));
        body?;
        Ok(answer?.is_none())
    }
    let story = Story::begin().await;
    let worker = worker(&story, Function::new("patient", patient));

    let run = start(&story, "patient").await;

    assert!(run.result::<bool>(DEADLINE).await.unwrap());
    worker.stop().await;
}

/// Whether a future was woken, and whom to tell.
struct Bell {
    rung: Mutex<bool>,
    outer: Waker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        *self.rung.lock().unwrap() = true;
        self.outer.wake_by_ref();
    }
}

/// Polls a future only after it was woken, as those that hold many futures do.
async fn sparingly<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut bell = None;
    std::future::poll_fn(|cx| {
        let bell =
            bell.get_or_insert_with(|| Arc::new(Bell { rung: true.into(), outer: cx.waker().clone() }));
        if std::mem::take(&mut *bell.rung.lock().unwrap()) {
            let waker = Waker::from(Arc::clone(bell));
            return future.as_mut().poll(&mut Context::from_waker(&waker));
        }
        Poll::Pending
    })
    .await
}

#[tokio::test]
async fn a_sleep_that_is_polled_only_when_it_was_woken_is_over_beside_a_body() {
    async fn sparing(_: SignedUp, step: Step, State(gate): State<Gate>) -> Result<()> {
        let nap = async {
            sparingly(step.sleep("nap", Duration::from_millis(50))).await;
            gate.notify_one();
        };
        let body = async {
            gate.notified().await;
            anyhow::Ok(())
        };
        tokio::join!(nap, step.run("body", body)).1?;
        Ok(())
    }
    let story = Story::begin().await;
    let worker = worker(&story, Function::new("sparing", sparing));

    let run = start(&story, "sparing").await;

    run.result::<()>(DEADLINE).await.unwrap();
    worker.stop().await;
}

#[tokio::test]
async fn a_step_that_failed_before_the_run_went_on_is_tried_again_beside_a_body() {
    async fn stubborn(_: SignedUp, step: Step, State(gate): State<Gate>) -> Result<u32> {
        let flaky = step.run_with("flaky", async |attempt| {
            if attempt.number == 1 {
                return Err(Failure::retry_in(Duration::from_millis(500), "not yet"));
            }
            gate.notify_one();
            Ok(attempt.number)
        });
        let body = async {
            // The run leaves memory here, and comes back before the step is due.
            step.sleep("nap", Duration::from_millis(50)).await;
            let body = async {
                gate.notified().await;
                anyhow::Ok(())
            };
            step.run("body", body).await
        };
        let (attempts, body) = tokio::join!(flaky, body);
        body?;
        Ok(attempts?)
    }
    let story = Story::begin().await;
    let worker = worker(&story, Function::new("stubborn", stubborn));

    let run = start(&story, "stubborn").await;

    assert_eq!(run.result::<u32>(DEADLINE).await.unwrap(), 2);
    worker.stop().await;
}

#[tokio::test]
async fn what_a_body_did_is_remembered_though_the_code_returned_before_it_was_written() {
    async fn hasty(_: SignedUp, step: Step, State(shared): State<Shared>) -> Result<()> {
        let doomed = shared.count.fetch_add(1, Ordering::Relaxed) == 0;
        let charge = async { if doomed { Err(Failure::fatal("no such card")) } else { Ok(()) } };
        let mail = async {
            // The other one's failure is on its way to Redis by now, and the code returns as soon as it is there.
            tokio::task::yield_now().await;
            shared.did.clone().note("mail").await
        };
        tokio::try_join!(step.run("charge", charge), step.run("mail", mail))?;
        Ok(())
    }
    let story = Story::begin().await;
    let shared = Shared::default();
    let worker = super::worker(&story, &shared, Function::new("hasty", hasty));

    let run = start(&story, "hasty").await;
    until_state(&run, RunState::Failed).await;
    run.again().await.unwrap();
    run.result::<()>(DEADLINE).await.unwrap();

    assert_eq!(shared.did.all(), ["mail"]);
    worker.stop().await;
}
