//! Tests of durable functions without Redis: the flow is the engine's own, time is made up, and a year of sleeps takes
//! milliseconds.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, atomic::AtomicBool},
    time::Instant,
};

use ergate_client::Client;
use ergate_shared::{
    Event, EventId, EventName, EventRecord, FunctionName, JobId, JobOptions, JobRecord, Priority, RunInput,
    Tries, duration,
    run::{Entry, Op, RecordedRun, RunState},
    schedule::TIMER,
};
use serde::Serialize;

use crate::{
    Context, Function,
    context::{Inner, Stop},
    failure::Course,
    notes::Notes,
    route::Defaults,
    run::{Instead, Recorder, Registered},
};

mod finished;
mod replay;
mod store;

pub use finished::FinishedRun;
pub use replay::{Divergence, Replay};

use store::{Memory, NO_JITTER, Waits};

/// When a test's clock begins, unless it says otherwise: 2030-01-01T00:00:00Z, in ms since the epoch.
const BEGINS_AT: u64 = 1_893_456_000_000;

/// A run of a function in memory.
///
/// ```
/// # use std::time::Duration;
/// # use ergate_shared::Event;
/// # use ergate_worker::{Function, Result, Step, testing::TestRun};
/// # #[derive(serde::Serialize, serde::Deserialize)] struct SignedUp { email: String }
/// # impl Event for SignedUp { const NAME: &str = "user/signed-up"; }
/// # async fn mail(to: &str) -> Result<()> { Ok(()) }
/// async fn onboard(event: SignedUp, step: Step) -> Result<()> {
///     step.run("welcome", mail(&event.email)).await?;
///     step.sleep("settle in", Duration::from_hours(24 * 30)).await;
///     step.run("tips", mail(&event.email)).await?;
///     Ok(())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let run = TestRun::of(Function::new("onboard", onboard), ())
///     .event(SignedUp { email: "ada@example.org".to_owned() })
///     .finish()
///     .await;
///
/// assert_eq!(run.steps(), ["welcome", "settle in", "tips"]);
/// assert_eq!(run.took(), Duration::from_hours(24 * 30));
/// # }
/// ```
#[must_use = "a run begins when `finish` is awaited"]
pub struct TestRun<S> {
    function: Function<S>,
    state: S,
    client: Option<Client>,
    events: Vec<EventRecord>,
    instead: HashMap<String, Instead>,
    waits: Waits,
    deliveries: usize,
    begins_at: u64,
}

impl<S> fmt::Debug for TestRun<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestRun").field("function", &self.function).finish_non_exhaustive()
    }
}

impl<S: Send + Sync + 'static> TestRun<S> {
    /// A run of this function, with the state a worker would have.
    pub fn of(function: Function<S>, state: S) -> Self {
        Self {
            function,
            state,
            client: None,
            events: Vec::new(),
            instead: HashMap::new(),
            waits: Waits::default(),
            deliveries: 0,
            begins_at: BEGINS_AT,
        }
    }

    /// Starts it with this event; called again, with several.
    #[allow(clippy::needless_pass_by_value, reason = "an event that is sent is given away")]
    pub fn event<E: Event>(self, event: E) -> Self {
        self.event_named(E::NAME, &event)
    }

    /// Starts it with an event whose type is not known here.
    ///
    /// # Panics
    /// If the name is not valid, or the data cannot be written as JSON.
    pub fn event_named(mut self, name: &str, data: &impl Serialize) -> Self {
        let data = serde_json::to_value(data).expect("an event's data can be written as JSON");
        let id = format!("event-{}", self.events.len() + 1);
        self.events.push(EventRecord {
            id: EventId::new(id).expect("the id is valid"),
            name: EventName::new(name.to_owned()).expect("the event's name is valid"),
            data,
            user: None,
            // When the run begins, which may be said later.
            ts: 0,
            v: None,
        });
        self
    }

    /// Starts it as a schedule of its own name does at this time, which is when the test's clock begins.
    pub fn tick(mut self, at: jiff::Timestamp) -> Self {
        let function = self.function.name().to_owned();
        let data = serde_json::json!({ "schedule": function, "scheduledAt": at.to_string() });
        self = self.beginning_at(at);
        self.event_named(TIMER, &data)
    }

    /// Lets a step return this instead of running its body. That the step is no sleep and no wait is asserted when the run is
    /// finished, not that the run gets there.
    ///
    /// # Panics
    /// If the result cannot be written as JSON.
    pub fn step(mut self, id: &str, result: &impl Serialize) -> Self {
        let result = serde_json::value::to_raw_value(result).expect("a result can be written as JSON");
        self.instead.insert(id.to_owned(), Instead::Return(result));
        self
    }

    /// Lets a step fail for good instead of running its body; else as [`TestRun::step`].
    pub fn failing_step(mut self, id: &str, why: &str) -> Self {
        self.instead.insert(id.to_owned(), Instead::Fail(why.to_owned()));
        self
    }

    /// Stops before a step, a sleep or a wait: it and all after it are not done. That the run gets there is asserted when it is
    /// finished.
    pub fn until(mut self, id: &str) -> Self {
        self.instead.insert(id.to_owned(), Instead::Stop);
        self
    }

    /// Delivers an event to the first wait that it meets. A wait that no event meets runs out of time.
    ///
    /// # Panics
    /// If the data cannot be written as JSON.
    pub fn deliver<E: Event>(self, event: E) -> Self {
        self.delivered(None, event)
    }

    /// Delivers an event to the wait of this step. That it is one the step waits for, and that the run gets there, is asserted
    /// when it is finished.
    ///
    /// # Panics
    /// If the data cannot be written as JSON.
    pub fn deliver_to<E: Event>(self, step: &str, event: E) -> Self {
        self.delivered(Some(step.to_owned()), event)
    }

    /// Lets the wait of this step run out, whatever is delivered. That the run gets there is asserted when it is finished.
    pub fn expire(mut self, step: &str) -> Self {
        self.waits.expire.push(step.to_owned());
        self
    }

    #[allow(clippy::needless_pass_by_value, reason = "an event that is sent is given away")]
    fn delivered<E: Event>(mut self, step: Option<String>, event: E) -> Self {
        self.deliveries += 1;
        let event = EventRecord {
            id: EventId::new(format!("delivery-{}", self.deliveries)).expect("the id is valid"),
            name: EventName::new(E::NAME).expect("the event's name is valid"),
            data: serde_json::to_value(event).expect("an event's data can be written as JSON"),
            user: None,
            // When it comes.
            ts: 0,
            v: None,
        };
        self.waits.deliveries.push((step, event));
        self
    }

    /// Sets when the run begins; default 2030-01-01T00:00:00Z.
    pub fn beginning_at(mut self, time: jiff::Timestamp) -> Self {
        self.begins_at = u64::try_from(time.as_millisecond()).unwrap_or(0);
        self
    }

    /// Hands this client to a function that asks for one, so that what it enqueues can be looked at; see
    /// [`Client::recording`].
    pub fn client(mut self, client: Client) -> Self {
        self.client = Some(client);
        self
    }

    /// Runs it to its end. Sleeps pass at once; what fails is tried again as the function declares.
    ///
    /// # Panics
    /// If the function is not declared well, or never came to a wait that was to end in some way, or to the step it was to stop
    /// before.
    pub async fn finish(mut self) -> FinishedRun {
        let problems = self.function.problems();
        assert!(problems.is_empty(), "{}", problems.join("; "));
        let name = FunctionName::new(self.function.name().to_owned()).expect("it was checked");
        let client = self.client.unwrap_or_else(|| Client::recording().0);
        for event in &mut self.events {
            event.ts = self.begins_at;
        }
        let targets = self.waits.deliveries.iter().filter_map(|(step, _)| step.as_ref());
        let stop = self.instead.iter().find(|(_, instead)| matches!(instead, Instead::Stop));
        let stop = stop.map(|(step, _)| step.clone());
        let given = |instead: &Instead| matches!(instead, Instead::Return(_) | Instead::Fail(_));
        let bodies: Vec<String> =
            self.instead.iter().filter(|(_, instead)| given(instead)).map(|(step, _)| step.clone()).collect();
        let awaited: Vec<String> = self.waits.expire.iter().chain(targets).cloned().collect();
        let memory = Memory::new(self.begins_at, self.instead, self.waits);
        let (code, defaults) = self.function.into_code(&Arc::new(self.state));
        let input = RunInput { events: self.events, version: 0, rerun_of: None };
        let setting = Setting { client, name, id: JobId::generate(), input, started_at: self.begins_at };
        let mut tries = Tries::default();
        let outcome = loop {
            let context = setting.context(&defaults, tries, memory.len());
            let entries = memory.len();
            let failure = match code(context, Box::new(memory.clone())).await {
                Ok(result) => break Ok(result),
                Err(failure) => failure,
            };
            if memory.len() > entries {
                tries = Tries::default();
            }
            match failure.course {
                Course::Suspend { due, .. } => memory.pass_until(due),
                Course::Snooze(delay) => memory.pass(delay),
                Course::Retry | Course::RetryIn(_) if tries.failures < defaults.retries => {
                    tries.failures += 1;
                    let backoff = defaults.backoff.delay(tries.failures, NO_JITTER);
                    memory.pass(failure.delay().unwrap_or(backoff));
                }
                _ => break Err(failure),
            }
        };
        let state = match &outcome {
            Ok(_) => RunState::Completed,
            Err(_) if memory.stopped() => RunState::Suspended,
            Err(failure) if failure.course == Course::Cancel => RunState::Cancelled,
            Err(_) => RunState::Failed,
        };
        let Setting { name, id, input, started_at, .. } = setting;
        let entries = memory.entries();
        let recorded = RecordedRun { function: name, id, state, started_at, input, entries };
        let finished = FinishedRun { outcome, recorded, took: memory.passed(self.begins_at) };
        if let Some(step) = stop.filter(|_| !memory.stopped()) {
            panic!("the run never came to step {step}; its steps are {:?}", finished.steps());
        }
        for step in awaited {
            let waits = |entry: &Entry| entry.step == step && matches!(entry.op, Op::Wait { .. });
            let came = finished.entries().iter().any(waits);
            assert!(came, "the run never waited at step {step}; its steps are {:?}", finished.steps());
        }
        for step in bodies {
            let has_none =
                |entry: &Entry| entry.step == step && matches!(entry.op, Op::Sleep { .. } | Op::Wait { .. });
            let is_run = !finished.entries().iter().any(has_none);
            assert!(
                is_run,
                "step {step} has no body: end its wait with `deliver_to` or `expire`; sleeps pass at once"
            );
        }
        finished
    }
}

/// What a run in memory stands on instead of a lease.
struct Setting {
    client: Client,
    name: FunctionName,
    id: JobId,
    input: RunInput,
    /// In ms since the epoch.
    started_at: u64,
}

impl Setting {
    /// An attempt at the run, whose journal has so many entries.
    fn context(&self, defaults: &Defaults, tries: Tries, entries: u32) -> Context {
        let queue = self.name.queue();
        let keys = self.client.keys(&queue);
        let redis = self.client.redis();
        let record = JobRecord {
            name: self.name.job(),
            priority: Priority::default(),
            unique: None,
            lane: None,
            order_at: None,
            tells: false,
            expires: false,
            enqueued_at: self.started_at,
            due_at: self.started_at,
            version: 1,
            options: JobOptions::default(),
            payload: serde_json::to_vec(&self.input).expect("events are JSON"),
        };
        Context {
            inner: Arc::new(Inner {
                client: self.client.clone(),
                queue,
                id: self.id.clone(),
                token: "test.1".into(),
                record,
                tries,
                retries: defaults.retries,
                deadline: Instant::now() + defaults.timeout.min(duration::LONGEST),
                notes: Notes::new(redis.clone(), keys.clone()),
                recorder: Recorder::new(redis.clone(), keys, None),
                steps: entries,
                connection: 0,
                recorded: AtomicBool::new(false),
                waits: Registered::default(),
                tells_completion: false,
                stop: Stop::default(),
            }),
        }
    }
}
