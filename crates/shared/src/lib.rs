//! The contract between everything that touches an Ergate Redis: names, ids, records, keys and scripts.
//!
//! It knows no runtime and opens no connection. `ergate-client` and `ergate-worker` are built on it; users depend on
//! the `ergate` facade, which re-exports what they need.
//!
//! | module | owns |
//! |---|---|
//! | [`name`], [`id`] | validated names of queues and jobs, ids of jobs and workers |
//! | [`job`], [`backoff`], [`priority`], [`duration`] | what a job type declares |
//! | [`lane`] | the keys of a job that limits are kept by |
//! | [`record`], [`tries`], [`failure`], [`ending`], [`state`] | what Redis keeps about a job |
//! | [`event`], [`wait`], [`expression`] | events, what waits for them, and what says whether one is meant |
//! | [`function`], [`run`] | durable functions: what starts them, what a run is given, what it has done so far |
//! | [`schedule`] | when something is started, and what becomes of times that were missed |
//! | [`key`], [`script`] | every Redis key and every script |
//! | [`stock`] | the jobs `ergate-worker` performs out of the box |

pub mod backoff;
pub mod clock;
pub mod duration;
pub mod ending;
pub mod error;
pub mod event;
pub mod expression;
pub mod failure;
pub mod fnv;
pub mod function;
pub mod id;
pub mod job;
pub mod key;
pub mod lane;
pub mod name;
pub mod options;
pub mod priority;
pub mod record;
pub mod run;
pub mod safety;
pub mod schedule;
pub mod script;
pub mod state;
pub mod stock;
pub mod tries;
pub mod wait;

pub use backoff::{Backoff, Jitter};
pub use error::Error;
pub use event::{Event, EventId, EventPattern, EventRecord};
pub use expression::Expression;
pub use failure::{FailureKind, FailureRecord};
pub use function::{EventOrTick, FunctionInput, FunctionSpec, Tick, Trigger};
pub use id::{JobId, WorkerId};
pub use job::{Job, OnExhausted};
pub use lane::{Key, Lane};
pub use name::{EventName, FunctionName, JobName, KeyName, Namespace, QueueName, ScheduleName};
pub use options::JobOptions;
pub use priority::Priority;
pub use record::{JobRecord, UniqueScope};
pub use run::{Parent, RerunOf, RunInput};
pub use schedule::Schedule;
pub use state::JobState;
pub use tries::Tries;
pub use wait::{Condition, WaitRef};

/// The largest payload taken by default, in bytes: 512 KiB.
pub const DEFAULT_PAYLOAD_LIMIT: usize = 512 * 1024;

/// The number of the data format this release reads and writes.
pub const FORMAT: u32 = 1;
