//! Durable functions as they are declared: a name, what starts them, and what they are handed.

use serde::{Deserialize, Serialize};

use crate::{Event, EventRecord, FunctionName, JobName, QueueName, RunInput};

/// What the queue of every function begins with.
pub const QUEUE_PREFIX: &str = "fn/";
/// The longest name of a function, in bytes: its queue's name must be one too.
pub const LONGEST_FUNCTION_NAME: usize = crate::name::LONGEST_NAME - QUEUE_PREFIX.len();

impl FunctionName {
    /// The queue its runs are jobs of.
    ///
    /// # Errors
    /// [`Error::Name`](crate::Error::Name) if the function's name is over 125 bytes.
    pub fn queue(&self) -> Result<QueueName, crate::Error> {
        QueueName::new(format!("{QUEUE_PREFIX}{self}"))
    }

    /// The name its runs have as jobs.
    pub fn job(&self) -> JobName {
        JobName::new(self.as_str().to_owned()).expect("names of functions and jobs have the same rules")
    }

    /// The function a queue belongs to, `None` for a queue of plain jobs.
    pub fn of_queue(queue: &QueueName) -> Option<Self> {
        Self::new(queue.as_str().strip_prefix(QUEUE_PREFIX)?.to_owned()).ok()
    }
}

/// What starts runs of a function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// An event.
    Event {
        /// Its name, or a pattern such as `user/*`.
        name: String,
        /// An expression over `event` that must be true.
        #[serde(default, rename = "if", skip_serializing_if = "Option::is_none")]
        condition: Option<String>,
    },
}

/// What a function takes first: it says what starts the function, and reads that from what the run was started with.
pub trait FunctionInput: Sized + Send + 'static {
    /// What starts the function unless it is declared otherwise; `None`: it is only started by hand.
    fn trigger() -> Option<Trigger>;

    /// Reads it.
    ///
    /// # Errors
    /// Says why what the run was started with is no such thing.
    fn read(input: &RunInput) -> Result<Self, String>;
}

impl<E: Event> FunctionInput for E {
    fn trigger() -> Option<Trigger> {
        Some(Trigger::Event { name: E::NAME.to_owned(), condition: None })
    }

    fn read(input: &RunInput) -> Result<Self, String> {
        let event = input.events.first().ok_or("the run was started without an event")?;
        E::deserialize(&event.data)
            .map_err(|error| format!("data of event {} is no {}: {error}", event.id, E::NAME))
    }
}

/// The event as it was sent, whatever its data.
impl FunctionInput for EventRecord {
    fn trigger() -> Option<Trigger> {
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
        let queue = function.queue().unwrap();

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
        let event = EventRecord {
            id: "E1".to_owned(),
            name: "user/created".to_owned(),
            data: serde_json::json!({ "user": "seven" }),
            user: None,
            ts: 0,
            v: None,
        };

        let error = Created::read(&RunInput { events: vec![event] }).unwrap_err();

        assert!(
            error.starts_with("data of event E1 is no user/created: invalid type: string \"seven\""),
            "{error}"
        );
    }
}
