//! What a run of a durable function is given when it starts: the payload of its job.

use serde::{Deserialize, Serialize};

use crate::{EventRecord, JobId, QueueName};

/// The payload of a run's job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunInput {
    /// What started it: one event, or several of a batch.
    pub events: Vec<EventRecord>,
    /// The run that invoked it and waits for its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// The version of the function when it was started; 0 if nobody said.
    #[serde(default)]
    pub version: u32,
}

/// A run that waits for the result of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The queue of its function.
    pub queue: QueueName,
    /// Its id.
    pub run: JobId,
    /// The entry of its journal that is open until then.
    pub entry: u32,
}
