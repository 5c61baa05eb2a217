//! Waiting for an event: the run leaves memory until one comes that is meant, or its time is over.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context as Task, Poll},
    time::Duration,
};

use ergate_shared::{
    Condition, Event, EventName, EventRecord, FailureKind, duration,
    run::{LONGEST_SLEEP, Op, Resolution},
};

use super::{
    StepError, changed,
    given::{Given, left_out},
    mismatch,
    open::outlast,
};
use crate::{
    Failure,
    run::{Shared, Standing},
};

/// A wait about to begin: say what the event must be like, then await it. It is `None` if none came in time.
#[must_use = "a run waits while this is awaited"]
pub struct WaitFor<E> {
    shared: Arc<Shared>,
    given: Arc<Given>,
    step: String,
    name: String,
    decode: fn(&EventRecord) -> Result<E, serde_json::Error>,
    condition: Result<Condition, ergate_shared::Error>,
    within: Duration,
    back: Option<Duration>,
    waiting: Option<Waiting>,
}

type Waiting = Pin<Box<dyn Future<Output = Result<Option<EventRecord>, StepError>> + Send>>;

impl<E> fmt::Debug for WaitFor<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitFor").field("step", &self.step).finish_non_exhaustive()
    }
}

impl<E: Event> WaitFor<E> {
    pub(super) fn typed(shared: &Arc<Shared>, given: &Arc<Given>, step: String) -> Self {
        Self::new(shared, given, step, E::NAME, EventRecord::decode)
    }
}

impl WaitFor<EventRecord> {
    pub(super) fn named(shared: &Arc<Shared>, given: &Arc<Given>, step: String, name: &str) -> Self {
        Self::new(shared, given, step, name, |event| Ok(event.clone()))
    }
}

impl<E> WaitFor<E> {
    fn new(
        shared: &Arc<Shared>,
        given: &Arc<Given>,
        step: String,
        name: &str,
        decode: fn(&EventRecord) -> Result<E, serde_json::Error>,
    ) -> Self {
        Self {
            shared: Arc::clone(shared),
            given: Arc::clone(given),
            step,
            name: name.to_owned(),
            decode,
            condition: Ok(Condition::any()),
            within: LONGEST_SLEEP,
            back: None,
            waiting: None,
        }
    }

    /// Waits only for events that have this value in this field of their data; `user.id` is the field `id` of `user`. Called
    /// again, all must hold. Redis indexes the first, so that an event costs the same however many runs wait.
    pub fn on(mut self, field: &str, value: impl Into<serde_json::Value>) -> Self {
        self.condition = self.condition.map(|condition| condition.on(field, value));
        self
    }

    /// Waits only for events for which this expression is true: `event` is what started the run, `async` the one that came.
    ///
    /// Equalities joined by `&&` are as good as [`on`](Self::on); others need the feature `cel`, and are looked at for every
    /// event of the name.
    pub fn when(mut self, expression: &str) -> Self {
        let started_by = self.shared.started_by.clone();
        self.condition = self.condition.and_then(|condition| condition.when(expression, started_by));
        self
    }

    /// Sets how long it waits; default and at most 366 days.
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// Sets how far back an event may have come before the run got here; default: to the event that started the run. Events are
    /// remembered for a day. Those that the run was given before are not meant, however far it looks back.
    pub fn looking_back(mut self, back: Duration) -> Self {
        self.back = Some(back);
        self
    }
}

impl<E> Future for WaitFor<E> {
    type Output = Result<Option<E>, StepError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Task<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let waiting = this.waiting.get_or_insert_with(|| {
            let condition = std::mem::replace(&mut this.condition, Ok(Condition::any()));
            let (shared, given) = (Arc::clone(&this.shared), Arc::clone(&this.given));
            let (step, name) = (std::mem::take(&mut this.step), std::mem::take(&mut this.name));
            let begin = Begin { name, condition, within: this.within, back: this.back };
            Box::pin(wait(shared, given, step, begin))
        });
        waiting.as_mut().poll(cx).map(|event| match event? {
            None => Ok(None),
            Some(event) => {
                this.given.add(&event);
                (this.decode)(&event).map(Some).map_err(|error| undecodable(&this.shared, &event, &error))
            }
        })
    }
}

/// What the code says of a wait.
struct Begin {
    name: String,
    condition: Result<Condition, ergate_shared::Error>,
    within: Duration,
    back: Option<Duration>,
}

async fn wait(
    shared: Arc<Shared>,
    given: Arc<Given>,
    step: String,
    begin: Begin,
) -> Result<Option<EventRecord>, StepError> {
    let (mut number, mut standing) = shared.standing(&step);
    if matches!(standing, Standing::Fresh) {
        if shared.stops_before(&step) {
            return std::future::pending().await;
        }
        let op = match begin.op(&shared, &given) {
            Ok(op) => op,
            Err(problem) => {
                shared.end(Failure::fatal(format!("step {step} cannot wait: {problem}")));
                return std::future::pending().await;
            }
        };
        shared.open(&step, op);
        (number, standing) = changed(&shared, &step, 0).await;
    }
    loop {
        let due = match standing {
            Standing::Resolved(Resolution::Event(event)) => return Ok(Some(event)),
            Standing::Resolved(Resolution::TimedOut) => return Ok(None),
            Standing::Wait { due } => due,
            _ => return mismatch(&shared, &step, "a wait").await,
        };
        (number, standing) = outlast(&shared, &step, number, due, look(&shared, number)).await;
    }
}

/// Registers the wait of an entry. What ends it, if that has come already: registering looks back, so that it does not matter
/// whether the event came before or comes after.
async fn look(shared: &Arc<Shared>, number: u32) -> Option<Resolution> {
    let registered = match shared.entry(number) {
        Some(Op::Wait { event, condition, since, due }) => {
            let condition = Condition { except: left_out(shared, number, &event), ..condition };
            shared.store.register(number, &Op::Wait { event, condition, since, due }).await
        }
        _ => Err(Failure::fatal("its entry is gone")),
    };
    match registered {
        Ok(found) => found.map(Resolution::Event),
        Err(failure) => {
            shared.end(failure);
            std::future::pending().await
        }
    }
}

impl Begin {
    /// The entry by which the wait begins.
    fn op(self, shared: &Shared, given: &Given) -> Result<Op, String> {
        let Self { name, condition, within, back } = self;
        if within > LONGEST_SLEEP {
            return Err(format!(
                "{} is over the most, {}",
                duration::show(within),
                duration::show(LONGEST_SLEEP)
            ));
        }
        let now = shared.store.now_ms();
        let event = name.parse::<EventName>().map_err(|error| error.to_string())?;
        let mut condition = condition.map_err(|error| error.to_string())?;
        condition.except = given.unnamed(shared, &event);
        Ok(Op::Wait {
            event,
            condition,
            since: back.map_or(shared.since, |back| now.saturating_sub(back.as_millis() as u64)),
            due: now.saturating_add(within.as_millis() as u64),
        })
    }
}

/// The data of the event is not what the type in the code says.
fn undecodable(shared: &Shared, event: &EventRecord, error: &serde_json::Error) -> StepError {
    let message = format!("data of event {} is no {}: {error}", event.id, event.name);
    let failure = shared.failure(FailureKind::Decode, message);
    StepError::new(event.name.as_str(), failure)
}
