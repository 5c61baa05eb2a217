//! What a worker declares about a durable function, as Redis keeps it.

use serde::{Deserialize, Serialize};

use crate::{EventPattern, FunctionName};

/// A function as it is declared: what it is called and what starts it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FunctionSpec {
    /// Its name.
    pub name: FunctionName,
    /// The version of its code; default 1.
    #[serde(default = "one")]
    pub version: u32,
    /// What starts it; none: by hand only.
    #[serde(default)]
    pub triggers: Vec<Trigger>,
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
    /// A function of version 1 without triggers.
    pub fn new(name: FunctionName) -> Self {
        Self { name, version: 1, triggers: Vec::new() }
    }

    /// Adds what starts it.
    #[must_use]
    pub fn trigger(mut self, trigger: Trigger) -> Self {
        self.triggers.push(trigger);
        self
    }
}
