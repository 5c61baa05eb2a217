//! Durable functions as they are declared: a name, what starts them, and what they are handed.

use serde::{Deserialize, Serialize};

use crate::{Event, EventPattern, EventRecord, FunctionName, JobName, QueueName, RunInput};

mod batch;
mod ended;
mod options;
mod start;
mod tick;

pub use batch::Batch;
pub use ended::{EndedRun, FunctionCancelled, FunctionFailed, FunctionFinished, tells_of_an_end};
pub use options::{
    CancelOn, ConcurrencyPer, Debounce, EventBatch, FunctionOptions, MOST_BATCH, RateLimit, Singleton,
    SingletonMode, Throttle,
};
pub use start::{Cancel, Gate, StartRules, THROTTLE, Window, concurrency_key, is_reserved};
pub use tick::{EventOrTick, Tick};

/// A function as it is declared: what it is called and what starts it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FunctionSpec {
    /// Its name, with the version if that is not the first.
    pub name: FunctionName,
    /// The version of its code; default 1.
    #[serde(default = "one")]
    pub version: u32,
    /// What starts it; none: by hand only.
    #[serde(default)]
    pub triggers: Vec<Trigger>,
    /// How its runs start: limits, what is put off, joined or dropped.
    #[serde(default, skip_serializing_if = "FunctionOptions::is_empty")]
    pub options: FunctionOptions,
}

/// What starts runs of a function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Trigger {
    /// Events of a name, or of names that begin alike.
    Event {
        /// Which.
        event: EventPattern,
        /// An expression over `event` that must be true; none: every one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        r#if: Option<String>,
    },
    /// Times.
    Cron {
        /// Five or six fields.
        cron: String,
        /// An IANA time zone; none: UTC.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        zone: Option<String>,
    },
}

const fn one() -> u32 {
    1
}

impl FunctionSpec {
    /// A function of version 1 without triggers or options.
    pub fn new(name: FunctionName) -> Self {
        Self { name, version: 1, triggers: Vec::new(), options: FunctionOptions::default() }
    }

    /// The queue whose jobs are its runs.
    pub fn queue(&self) -> QueueName {
        self.name.queue()
    }

    /// Adds what starts it.
    #[must_use]
    pub fn trigger(mut self, trigger: Trigger) -> Self {
        self.triggers.push(trigger);
        self
    }
}

/// What the queue of every function begins with.
pub const QUEUE_PREFIX: &str = "fn/";
/// The longest name of a function, in bytes: its queue's name must be one too.
pub const LONGEST_FUNCTION_NAME: usize = crate::name::LONGEST_NAME - QUEUE_PREFIX.len();

impl FunctionName {
    /// The name its runs have as jobs, the same for every version.
    ///
    /// # Panics
    /// Never: names of functions and jobs have the same rules.
    pub fn job(&self) -> JobName {
        JobName::new(self.base().as_str().to_owned())
            .expect("names of functions and jobs have the same rules")
    }

    /// The function, or the version of one, that a queue belongs to, `None` for a queue of plain jobs.
    pub fn of_queue(queue: &QueueName) -> Option<Self> {
        Self::new(queue.as_str().strip_prefix(QUEUE_PREFIX)?.to_owned()).ok()
    }
}

/// What a function takes first: it says what starts the function, and reads that from what the run was started with.
pub trait FunctionInput: Sized + Send + 'static {
    /// The event that starts the function; `None`: it is started by hand only.
    fn event() -> Option<&'static str>;

    /// Reads it.
    ///
    /// # Errors
    /// Says why what the run was started with is no such thing.
    fn read(input: &RunInput) -> Result<Self, String>;
}

impl<E: Event> FunctionInput for E {
    fn event() -> Option<&'static str> {
        Some(E::NAME)
    }

    fn read(input: &RunInput) -> Result<Self, String> {
        let event = input.events.first().ok_or("the run was started without an event")?;
        event.decode().map_err(|error| format!("data of event {} is no {}: {error}", event.id, E::NAME))
    }
}

/// The event as it was sent, whatever its data.
impl FunctionInput for EventRecord {
    fn event() -> Option<&'static str> {
        None
    }

    fn read(input: &RunInput) -> Result<Self, String> {
        input.events.first().cloned().ok_or_else(|| "the run was started without an event".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_and_its_queue_tell_each_other() {
        let function = FunctionName::new("onboard").unwrap();
        let queue = function.queue();

        assert_eq!(queue.as_str(), "fn/onboard");
        assert_eq!(FunctionName::of_queue(&queue), Some(function));
        assert_eq!(FunctionName::of_queue(&QueueName::new("mail").unwrap()), None);
    }

    #[test]
    fn data_of_the_wrong_shape_is_named_with_its_event() {
        #[derive(Debug, Serialize, Deserialize)]
        struct Created {
            user: u64,
        }
        impl Event for Created {
            const NAME: &str = "user/created";
        }
        let event =
            serde_json::json!({ "id": "E1", "name": "user/created", "data": { "user": "seven" }, "ts": 0 });
        let input = RunInput::of(serde_json::from_value(event).unwrap());

        let error = Created::read(&input).unwrap_err();

        assert!(
            error.starts_with("data of event E1 is no user/created: invalid type: string \"seven\""),
            "{error}"
        );
    }
}
