//! What a producer may say about one job beyond what its type declares.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Backoff, OnExhausted, Parent};

/// Options of one job. `None` means: what the job's type declares in the worker that runs it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobOptions {
    /// Tries after the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// Delay between tries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Backoff>,
    /// The longest one attempt may run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// What becomes of it after its last attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_exhausted: Option<OnExhausted>,
    /// Words to find it by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The producer's trace context, as the W3C `traceparent` header has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The run that invoked it and waits for its result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// What later releases add; kept through a round trip.
    #[serde(flatten)]
    pub unknown: serde_json::Map<String, serde_json::Value>,
}

impl JobOptions {
    /// Whether nothing is set, so that nothing need be stored.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
