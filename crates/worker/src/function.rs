//! Durable functions: a plain function and what is declared about it.

use std::{fmt, sync::Arc, time::Duration};

use ergate_shared::{
    Backoff, Expression, FailureKind, FunctionInput, FunctionName, FunctionSpec, JobRecord, OnExhausted,
    RunInput, Schedule, Tries, Trigger,
    function::{FunctionFailed, FunctionOptions, LONGEST_FUNCTION_NAME},
    schedule::Cron,
};

use crate::{
    Context, Failure, Result, Step,
    failure::Course,
    middleware::Performed,
    route::{Defaults, Route},
    run::{LeasedRun, Shared, StepDefaults, Store, drive},
};

mod guard;
mod handler;
mod options;

pub use handler::FunctionHandler;

use options::Subject;

/// The most of a function's runs that execute at once in one process, unless it says otherwise.
const SLOTS: usize = 50;
/// The tries after the first, of each step and of the code between steps.
const RETRIES: u32 = 3;
/// The longest a run may go on without sleeping or waiting.
const TIMEOUT: Duration = Duration::from_hours(2);

/// A durable function: its name, its code, and how it runs.
///
/// ```
/// # use std::time::Duration;
/// # use ergate_shared::Event;
/// # use ergate_worker::{Function, Result, Step};
/// # #[derive(serde::Serialize, serde::Deserialize)] struct SignedUp { email: String }
/// # impl Event for SignedUp { const NAME: &str = "user/signed-up"; }
/// # async fn mail(to: &str, template: &str) -> Result<()> { Ok(()) }
/// async fn onboard(event: SignedUp, step: Step) -> Result<()> {
///     step.run("welcome", mail(&event.email, "welcome")).await?;
///
///     step.sleep("settle in", Duration::from_hours(24)).await;
///
///     step.run("tips", mail(&event.email, "tips")).await?;
///     Ok(())
/// }
///
/// let function: Function = Function::new("onboard", onboard).retries(5);
/// ```
#[must_use = "a function runs once a worker is given it"]
pub struct Function<S = ()> {
    name: String,
    /// What starts it: names or patterns of events, each with an expression that must be true.
    triggers: Vec<(String, Option<String>)>,
    /// Cron expressions, each with its zone before it if it has one.
    crons: Vec<String>,
    on_failure: Option<Box<Function<S>>>,
    retries: u32,
    backoff: Backoff,
    timeout: Duration,
    step_timeout: Option<Duration>,
    on_exhausted: OnExhausted,
    slots: usize,
    version: u32,
    options: FunctionOptions,
    /// What was said last, so that more can be said of it.
    last: Subject,
    /// What was said of nothing.
    misplaced: Vec<String>,
    build: Box<dyn FnOnce(Arc<S>, StepDefaults) -> RunCode>,
}

/// Performs a run whose journal is in a store.
pub(crate) type RunCode = Arc<dyn Fn(Context, Box<dyn Store>) -> Performed + Send + Sync>;

impl<S> fmt::Debug for Function<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function")
            .field("name", &self.name)
            .field("triggers", &self.triggers)
            .finish_non_exhaustive()
    }
}

impl<S: Send + Sync + 'static> Function<S> {
    /// A function of this name. What it takes first says what starts it: an [`Event`](ergate_shared::Event) type, sending one.
    pub fn new<Args, H: FunctionHandler<Args, S>>(name: &str, handler: H) -> Self {
        Self {
            name: name.to_owned(),
            triggers: H::Input::event().map(|name| (name.to_owned(), None)).into_iter().collect(),
            crons: Vec::new(),
            on_failure: None,
            retries: RETRIES,
            backoff: Backoff::default(),
            timeout: TIMEOUT,
            step_timeout: None,
            on_exhausted: OnExhausted::DeadLetter,
            slots: SLOTS,
            version: 1,
            options: FunctionOptions::default(),
            last: Subject::default(),
            misplaced: Vec::new(),
            build: Box::new(move |state, defaults| {
                Arc::new(move |context, store| {
                    perform(handler.clone(), context, store, Arc::clone(&state), defaults.clone())
                })
            }),
        }
    }

    /// Starts it with events of this name too, or of names that begin alike: `user/*`. What the function takes first must be
    /// able to read them.
    pub fn on(mut self, event: &str) -> Self {
        self.triggers.push((event.to_owned(), None));
        self.last = Subject::Trigger;
        self
    }

    /// Starts it only with events for which this expression over `event` is true: `event.data.plan == "pro"`. It belongs to
    /// what was said last to start it. After [`cancel_on`](Self::cancel_on) it says which events cancel a run, over `event`,
    /// which started it, and `async`, theirs.
    pub fn when(mut self, expression: &str) -> Self {
        if self.last == Subject::CancelOn {
            return self.of_cancel("when", |cancel| cancel.r#if = Some(expression.to_owned()));
        }
        if let Some((_, condition)) = self.triggers.last_mut() {
            *condition = Some(expression.to_owned());
        }
        self
    }

    /// Starts it at the times of a [`Cron`] expression, which may begin with its zone:
    /// `TZ=Europe/Berlin 0 3 * * *`; default zone UTC. What the function takes first is a [`Tick`](ergate_shared::Tick), or an
    /// [`EventOrTick`](ergate_shared::EventOrTick) if events start it too.
    ///
    /// The schedule has the function's name, a second one of the same function `<name>-2` and so on. For one that catches
    /// up, overlaps or jitters in another way hand [`Worker::schedule`](crate::Worker::schedule) one that starts this function.
    ///
    /// It starts the newest version, whichever declares it: of several [versions](Self::version) in a worker only one may.
    pub fn cron(mut self, expression: &str) -> Self {
        self.crons.push(expression.to_owned());
        self
    }

    pub(crate) fn schedules(&self) -> impl Iterator<Item = Schedule> {
        self.crons.iter().enumerate().map(|(place, cron)| {
            let name = if place == 0 { self.name.clone() } else { format!("{}-{}", self.name, place + 1) };
            Schedule::cron(name, cron).function(self.name.clone())
        })
    }

    /// Calls this when a run of it has failed for good: a durable function of its own, `<name>-failure`, which is started by
    /// [`FunctionFailed`] and may have steps. It is not called for one that is cancelled.
    ///
    /// It is called for runs of all [versions](Self::version), whichever declares it: of several in a worker only one may.
    pub fn on_failure<Args, H: FunctionHandler<Args, S, Input = FunctionFailed>>(
        mut self,
        handler: H,
    ) -> Self {
        let condition = format!("event.data.function_id == '{}'", self.name);
        let function = Function::new(&format!("{}-failure", self.name), handler).when(&condition);
        self.on_failure = Some(Box::new(function));
        self
    }

    pub(crate) fn take_on_failure(&mut self) -> Option<Self> {
        self.on_failure.take().map(|function| *function)
    }

    /// Sets how often each step is tried again after it failed, and the code between steps; default 3.
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// Sets the delay between tries; default 1 s, 2 s, 4 s and so on, with slight jitter.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Sets the longest a run may go on without sleeping or waiting; default 2 hours. It counts as a failed try of the code.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the longest one attempt at a step may run; default: until the run's own time is over.
    pub fn step_timeout(mut self, timeout: Duration) -> Self {
        self.step_timeout = Some(timeout);
        self
    }

    /// Sets what becomes of a run that failed for good; default: it is kept as a dead letter.
    pub fn on_exhausted(mut self, then: OnExhausted) -> Self {
        self.on_exhausted = then;
        self
    }

    /// Sets how many of its runs execute at once in this process; default 50. A run that sleeps or waits does not count.
    pub fn slots(mut self, slots: usize) -> Self {
        self.slots = slots;
        self
    }

    /// Sets the version of its code; default 1. Versions are side by side: each has its own runs, in a queue of its own, and
    /// limits of its own. New runs are of the highest version that some worker has.
    ///
    /// Give code that cannot replay what runs under way have done a version of its own, and a worker both of them until these
    /// have ended. Runs of a version that no worker has wait for one that has it.
    ///
    /// [`cron`](Self::cron) and [`on_failure`](Self::on_failure) concern the function, whatever its version: declare them with the
    /// newest one only. A worker that is given them twice does not start.
    pub fn version(mut self, version: u32) -> Self {
        if version == 0 {
            self.misplaced.push("has version 0; the first is 1".to_owned());
        }
        self.version = version;
        self
    }

    /// What Redis is told of it.
    pub(crate) fn spec(&self) -> Result<FunctionSpec, ergate_shared::Error> {
        let mut spec = FunctionSpec::new(FunctionName::new(self.full_name())?);
        spec.version = self.version;
        spec.options = self.options.clone();
        let spec = self.crons.iter().try_fold(spec, |spec, cron| {
            let (cron, zone) = Cron::with_zone(cron)?;
            Ok(spec
                .trigger(Trigger::Cron { cron: cron.to_string(), zone: zone.map(|zone| zone.to_string()) }))
        })?;
        self.triggers.iter().try_fold(spec, |spec, (event, condition)| {
            if let Some(expression) = condition {
                Expression::compile(expression)?;
            }
            Ok(spec.trigger(Trigger::Event { event: event.parse()?, r#if: condition.clone() }))
        })
    }

    /// What is wrong with what was declared.
    pub(crate) fn problems(&self) -> Vec<String> {
        let of_options = self.misplaced.iter().cloned().chain(self.options.problems());
        let mut problems: Vec<_> =
            of_options.map(|problem| format!("function {}: {problem}", self.name)).collect();
        let name = self.full_name();
        if let Err(error) = self.spec() {
            problems.push(error.to_string());
        } else if name.len() > LONGEST_FUNCTION_NAME {
            problems.push(format!(
                "function name {name} has {} bytes, the most is {LONGEST_FUNCTION_NAME}",
                name.len()
            ));
        } else if self.name.contains('@') {
            problems.push(format!("function name {name} has an @; say .version(n) instead"));
        }
        if self.timeout.is_zero() || self.step_timeout.is_some_and(|timeout| timeout.is_zero()) {
            problems
                .push(format!("function {} has a time-out of 0s, which leaves no time to run", self.name));
        }
        problems
    }

    #[cfg(feature = "testing")]
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The name with the version, if that is not the first.
    pub(crate) fn full_name(&self) -> String {
        if self.version > 1 { format!("{}@{}", self.name, self.version) } else { self.name.clone() }
    }

    pub(crate) fn slot_count(&self) -> usize {
        self.slots
    }

    /// What performs its runs, and what it declares.
    pub(crate) fn into_code(self, state: &Arc<S>) -> (RunCode, Defaults) {
        let steps =
            StepDefaults { retries: self.retries, backoff: self.backoff.clone(), timeout: self.step_timeout };
        let defaults = Defaults {
            retries: self.retries,
            timeout: self.timeout,
            soft_timeout: None,
            on_exhausted: self.on_exhausted,
            backoff: self.backoff,
        };
        let code = (self.build)(Arc::clone(state), steps);
        let code = match self.options.finish_timeout_ms {
            Some(ms) => guard::ending_within(Duration::from_millis(ms), code),
            None => code,
        };
        (code, defaults)
    }

    pub(crate) fn into_route(self, state: &Arc<S>) -> Route {
        let options = self.options.clone();
        let (mut code, defaults) = self.into_code(state);
        if !options.cancel_on.is_empty() {
            code = guard::cancelled_by_events(options, code);
        }
        let perform =
            Arc::new(move |context: Context| code(context.clone(), Box::new(LeasedRun::new(context))));
        Route { perform, defaults }
    }
}

/// Performs a run until it ends or is suspended.
fn perform<Args, S, H>(
    handler: H,
    context: Context,
    store: Box<dyn Store>,
    state: Arc<S>,
    steps: StepDefaults,
) -> Performed
where
    S: Send + Sync + 'static,
    H: FunctionHandler<Args, S>,
{
    Box::pin(async move {
        let record = &context.inner.record;
        let given = given(record)?;
        if context.inner.steps == 0
            && context.inner.tries == Tries::default()
            && let Some(metrics) = context.inner.recorder.metrics()
        {
            metrics.started(&given, store.now_ms());
        }
        let input = H::Input::read(&given).map_err(|problem| wrong(anyhow::Error::msg(problem)))?;
        let id = context.inner.id.clone();
        // An event may be routed late, and what answers it may be there before the run is.
        let happened_at = given.events.first().map_or(u64::MAX, |event| event.ts);
        let since = record.enqueued_at.min(happened_at);
        let shared = Arc::new(Shared::new(id, store, steps, &given, since));
        let client = context.inner.client.clone();
        shared.load().await?;
        let step = Step::new(Arc::clone(&shared), &given, client);
        let result = drive(&shared, handler.call(input, step, context.clone(), state)).await;
        if result.is_ok() {
            // Some may have begun in earlier attempts only.
            for (entry, event, due) in shared.open_waits() {
                context.inner.waits.registered(entry, &event, due);
            }
        }
        result
    })
}

fn given(record: &JobRecord) -> Result<RunInput> {
    serde_json::from_slice(&record.payload)
        .map_err(|error| wrong(anyhow::Error::new(error).context("payload is no input of a run")))
}

/// The bytes will not change, so what cannot be read is never tried again.
fn wrong(error: anyhow::Error) -> Failure {
    Failure::of_kind(FailureKind::Decode, Course::Fatal, error)
}
