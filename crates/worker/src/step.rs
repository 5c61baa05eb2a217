//! What a function does in steps: their results are remembered, so that a run goes on where it was.

use std::{fmt, future::Future, pin::Pin, sync::Arc, task::Poll, time::Duration};

use ergate_client::Client;
use ergate_shared::{Event, EventId, EventRecord, Job, JobId, QueueName, RunInput, id::own_id};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Failure,
    run::{Shared, Standing},
};

mod attempt;
mod error;
mod given;
mod invoke;
mod open;
mod race;
mod run_step;
mod sleep;
mod wait;

pub use attempt::StepAttempt;
pub use error::StepError;
pub use invoke::Invoke;
pub use run_step::RunStep;
pub use sleep::Sleep;
pub use wait::WaitFor;

use given::Given;

/// A run's steps. Cheap to clone.
///
/// When a run goes on after a sleep, a wait, a failed step or a crash, its function is called again from the top. A step
/// whose result is remembered returns it at once, and what it was given to do is dropped without having begun. So a
/// function's own code must be cheap and always take the same way: everything that has an effect, takes long, or may come
/// out differently the next time belongs into a step.
///
/// A step runs at least once and is remembered exactly once: a worker that dies after the effect and before it is
/// remembered does it again. Steps that must not happen twice hand a key to the service they call, see
/// [`run_with`](Self::run_with).
///
/// Steps side by side are ordinary: `tokio::join!(step.run("a", a()), step.run("b", b()))`.
#[derive(Clone)]
pub struct Step {
    shared: Arc<Shared>,
    given: Arc<Given>,
    client: Client,
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Step").field(&self.shared.id).finish()
    }
}

impl Step {
    pub(crate) fn new(shared: Arc<Shared>, input: &RunInput, client: Client) -> Self {
        Self { shared, given: Arc::new(Given::at_the_start(&input.events)), client }
    }

    /// The run's id.
    pub fn run_id(&self) -> &JobId {
        &self.shared.id
    }

    /// Does something once, and remembers what it returned.
    ///
    /// The future must not have begun its work when it is handed over: an `async fn`'s call and an `async` block have not,
    /// a spawned task has. If it fails or panics it is tried again as the function declares, by calling the function again;
    /// when its attempts are used up, the function gets the error and may handle it.
    ///
    /// The id is the step's name in the run's journal. Used again in the same run, as in a loop, it becomes `id#2`, `id#3`
    /// and so on.
    pub fn run<'a, T, E, F>(&self, id: impl Into<String>, body: F) -> RunStep<'a, T>
    where
        T: Serialize + DeserializeOwned + Send + 'a,
        E: Into<Failure>,
        F: Future<Output = Result<T, E>> + Send + 'a,
    {
        self.run_with(id, |_| body)
    }

    /// As [`run`](Self::run), with a closure that is told which attempt it is, and a key that is the same at every attempt.
    pub fn run_with<'a, T, E, F>(
        &self,
        id: impl Into<String>,
        body: impl FnOnce(StepAttempt) -> F + Send + 'a,
    ) -> RunStep<'a, T>
    where
        T: Serialize + DeserializeOwned + Send + 'a,
        E: Into<Failure>,
        F: Future<Output = Result<T, E>> + Send + 'a,
    {
        RunStep::new(&self.shared, self.shared.name(id.into()), attempt::body(body))
    }

    /// Sleeps; the run costs nothing but memory in Redis meanwhile. At most 366 days.
    ///
    /// The time counts from when the run first came here.
    pub fn sleep(&self, id: impl Into<String>, duration: Duration) -> Sleep {
        Sleep::lasting(&self.shared, self.shared.name(id.into()), duration)
    }

    /// Sleeps until then; not at all if the time is past. At most 366 days.
    pub fn sleep_until(&self, id: impl Into<String>, time: jiff::Timestamp) -> Sleep {
        Sleep::until(&self.shared, self.shared.name(id.into()), time)
    }

    /// Waits for an event: say what it must be like and for how long, then await it.
    ///
    /// One that came since the run was started will do, unless the run was given it before: the event that started it, and those
    /// that ended its waits before, end no later one.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use ergate_shared::Event;
    /// # use ergate_worker::{Result, Step};
    /// # #[derive(serde::Serialize, serde::Deserialize)] struct Verified { user: u64 }
    /// # impl Event for Verified { const NAME: &str = "user/verified"; }
    /// # async fn example(step: Step) -> Result<()> {
    /// let verified = step
    ///     .wait_for::<Verified>("verification")
    ///     .on("user", 7)
    ///     .within(Duration::from_hours(72))
    ///     .await?;
    ///
    /// if verified.is_none() {
    ///     // three days are over
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn wait_for<E: Event>(&self, id: impl Into<String>) -> WaitFor<E> {
        WaitFor::typed(&self.shared, &self.given, self.shared.name(id.into()))
    }

    /// Waits for an event whose type is not known here, as [`wait_for`](Self::wait_for) does.
    pub fn wait_for_named(&self, id: impl Into<String>, event: &str) -> WaitFor<EventRecord> {
        WaitFor::named(&self.shared, &self.given, self.shared.name(id.into()), event)
    }

    /// Goes on with the first event that comes of several waits, and says which wait it was, counted from 0. `None` once the
    /// time of one of them is over: give them all the same.
    ///
    /// # Errors
    /// If the event's data is not what the type in the code says.
    pub async fn wait_any<E: Send>(
        &self,
        id: impl Into<String>,
        waits: impl IntoIterator<Item = WaitFor<E>>,
    ) -> Result<Option<(usize, E)>, StepError> {
        let ways = waits.into_iter().enumerate();
        let ways =
            ways.map(|(place, wait)| Self::way(async move { Ok(wait.await?.map(|event| (place, event))) }));
        self.race(id, ways.collect::<Vec<_>>()).await
    }

    /// Sends an event, once: its id is made of the run's id and the step's name, so that a repetition starts nothing twice. While
    /// Redis is away or full it is sent again, and that counts as no failure.
    pub fn send<E: Event + Sync>(&self, id: impl Into<String>, event: E) -> RunStep<'static, EventId> {
        let (client, remembers) = (self.client.clone(), self.client.clone());
        let mut step = self.run_with(id, async move |attempt: StepAttempt| {
            client.send(event).id(own_id(attempt.key)).insist().await
        });
        let sent = EventId::new(own_id(attempt::key(&self.shared.id, &step.id))).ok();
        step.remembered = sent
            .map(|sent| Box::new(move || remembers.let_event_id_go(sent)) as attempt::Remembered<'static>);
        step
    }

    /// Starts a run of another function with this data, and waits for what it returns.
    ///
    /// The run leaves memory meanwhile. If that one fails or is cancelled, this step fails as a step does that is out of attempts.
    ///
    /// ```
    /// # use ergate_worker::{Result, Step};
    /// # async fn example(step: Step) -> Result<()> {
    /// let pdf: String = step.invoke("render", "render-pdf", &serde_json::json!({ "report": 7 })).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn invoke<T: DeserializeOwned>(
        &self,
        id: impl Into<String>,
        function: &str,
        data: &impl Serialize,
    ) -> Invoke<T> {
        Invoke::new(&self.shared, self.shared.name(id.into()), self.client.invoke(function, data))
    }

    /// Enqueues a job, and waits for what its handler returns; as [`invoke`](Self::invoke) does with a function.
    pub fn invoke_job<T: DeserializeOwned>(&self, id: impl Into<String>, job: impl Job) -> Invoke<T> {
        Invoke::new(&self.shared, self.shared.name(id.into()), self.client.enqueue(job))
    }

    /// Enqueues a job, once, and goes on: its id is made of the run's id and the step's name, so that a repetition enqueues nothing
    /// twice, even if the job has ended and been forgotten meanwhile. While Redis is away or full it is enqueued again, and that
    /// counts as no failure.
    pub fn enqueue<J: Job + Sync>(&self, id: impl Into<String>, job: J) -> RunStep<'static, JobId> {
        let (client, remembers) = (self.client.clone(), self.client.clone());
        let mut step = self.run_with(id, async move |attempt: StepAttempt| {
            client.enqueue(job).id(own_id(attempt.key)).once().insist().await.map(|receipt| receipt.id)
        });
        let enqueued = JobId::new(own_id(attempt::key(&self.shared.id, &step.id)));
        step.remembered = QueueName::new(J::QUEUE).ok().zip(enqueued.ok()).map(|(queue, job)| {
            Box::new(move || remembers.let_start_go(queue, job)) as attempt::Remembered<'static>
        });
        step
    }

    /// Goes on with the first of several futures that is ready, and drops the others: steps, waits, sleeps, or blocks of them.
    /// Which one it was is remembered, so that it is the same at every replay.
    ///
    /// What the others were doing is dropped where it is, and what they waited for is waited for no more.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use ergate_shared::Event;
    /// # use ergate_worker::{Result, Step};
    /// # #[derive(serde::Serialize, serde::Deserialize)] struct Paid { order: u64 }
    /// # impl Event for Paid { const NAME: &str = "order/paid"; }
    /// # #[derive(serde::Serialize, serde::Deserialize)] struct Withdrawn { order: u64 }
    /// # impl Event for Withdrawn { const NAME: &str = "order/withdrawn"; }
    /// # async fn example(step: Step) -> Result<()> {
    /// let paid = step.wait_for::<Paid>("payment").on("order", 7);
    /// let withdrawn = step.wait_for::<Withdrawn>("withdrawal").on("order", 7);
    /// let is_paid = step
    ///     .race("outcome", [
    ///         Step::way(async { Ok(paid.await?.is_some()) }),
    ///         Step::way(async { withdrawn.await.map(|_| false) }),
    ///     ])
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What the first one fails with.
    pub async fn race<'a, T>(
        &self,
        id: impl Into<String>,
        ways: impl IntoIterator<Item = Way<'a, T>>,
    ) -> Result<T, StepError> {
        let ways = ways.into_iter().map(|way| self.given.apart(way)).collect();
        let (result, given) = race::race(&self.shared, self.shared.name(id.into()), ways).await?;
        self.given.add_all(given);
        result
    }

    /// One of the futures of a [`race`](Self::race).
    pub fn way<'a, T>(way: impl Future<Output = Result<T, StepError>> + Send + 'a) -> Way<'a, T> {
        Box::pin(way)
    }

    /// The time, by Redis' clock: the same at every replay.
    ///
    /// # Errors
    /// If the journal has something else in this place.
    pub async fn now(&self) -> Result<jiff::Timestamp, StepError> {
        let now = self.shared.store.now_ms();
        let ms: i64 = self.run("now", async move { Ok::<_, Failure>(now as i64) }).await?;
        Ok(jiff::Timestamp::from_millisecond(ms).unwrap_or_default())
    }

    /// A new random UUID: the same at every replay.
    ///
    /// # Errors
    /// If the journal has something else in this place.
    pub async fn uuid(&self) -> Result<uuid::Uuid, StepError> {
        let made = self.run("uuid", async { Ok::<_, Failure>(uuid::Uuid::new_v4().to_string()) });
        Ok(made.await?.parse().unwrap_or_default())
    }

    /// A random number from 0 up to but not including 1: the same at every replay.
    ///
    /// # Errors
    /// If the journal has something else in this place.
    pub async fn random(&self) -> Result<f64, StepError> {
        // 53 bits, as many as a float has.
        let drawn = || (uuid::Uuid::new_v4().as_u128() as u64 >> 11) as f64 / (1_u64 << 53) as f64;
        self.run("random", async move { Ok::<_, Failure>(drawn()) }).await
    }
}

/// One of the futures of a [`race`](Step::race).
pub type Way<'a, T> = Pin<Box<dyn Future<Output = Result<T, StepError>> + Send + 'a>>;

/// Returns once the journal says something newer of the step than entry `seen`.
async fn changed(shared: &Arc<Shared>, step: &str, seen: u32) -> (u32, Standing) {
    std::future::poll_fn(|cx| {
        if let Some(newer) = shared.newer_standing(step, seen) {
            return Poll::Ready(newer);
        }
        shared.listen(cx.waker());
        Poll::Pending
    })
    .await
}

/// Says that the journal has something else under a step's name, and never returns: the attempt is over.
async fn mismatch<T>(shared: &Arc<Shared>, step: &str, kind: &str) -> T {
    shared.end(Failure::fatal(format!(
        "step {step} is {kind} in the code and something else in the journal of run {}: the function has changed under it; \
         give a changed step a new name",
        shared.id
    )));
    std::future::pending().await
}
