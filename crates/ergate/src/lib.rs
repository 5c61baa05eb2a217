//! Durable jobs on Redis or Valkey: typed, fast, and never lost.
//!
//! Define a job, enqueue it, and have a worker perform it:
//!
//! ```no_run
//! use ergate::prelude::*;
//!
//! #[derive(Serialize, Deserialize)]
//! struct SendWelcome {
//!     user: u64,
//! }
//!
//! impl Job for SendWelcome {
//!     const NAME: &str = "send-welcome";
//!     const QUEUE: &str = "mail";
//! }
//!
//! async fn send_welcome(job: SendWelcome) -> Result<()> {
//!     println!("welcome, user {}", job.user);
//!     Ok(())
//! }
//!
//! #[tokio::main]
//! async fn main() -> anyhow::Result<()> {
//!     let client = Client::connect("redis://localhost").await?;
//!
//!     client.enqueue(SendWelcome { user: 7 }).await?;
//!
//!     Worker::new(client, ())
//!         .queue("mail", 20)
//!         .job(send_welcome)
//!         .run_until(shutdown_signal())
//!         .await?;
//!     Ok(())
//! }
//! ```
//!
//! | to | see |
//! |---|---|
//! | declare a job's queue, retries, time-out, version | [`Job`], [`Backoff`] |
//! | enqueue later, sooner, once, with an id | [`Enqueue`], [`Unique`], [`Priority`] |
//! | look at a job, wait for it, cancel it | [`JobHandle`] |
//! | send events, look at them | [`Event`], [`SendEvent`], [`Events`] |
//! | pause, limit and list queues, redrive dead letters | [`Queue`], [`DeadLetters`] |
//! | limit jobs by what they have in common | [`Limit`], [`Key`], [`Enqueue::key`] |
//! | perform jobs | [`Worker`], [`Handler`], [`State`], [`Failure`], [`Verdict`] |
//! | write durable functions: steps, sleeps | [`Function`], [`Step`], [`RunHandle`] |
//! | start jobs at times, in zones, every so often | [`Schedule`], [`ScheduleHandle`], [`CatchUp`], [`Overlap`] |
//! | put code around every attempt | [`Middleware`] |
//! | watch | [`Metrics`], [`Health`] |

#[cfg(doctest)]
mod readme;

pub use ergate_client::{
    ATOMIC_BATCH, Backfilled, Cancelled as CancelRequest, CancelledRuns, Client, ClientBuilder, DeadLetters,
    Delivered, Durability, Enqueue, EnqueueAll, Error, EventReceipt, EventView, Events, Filter, FunctionView,
    JobHandle, JobView, KeyLimit, KeyStats, Limit, OnConflict, Order, Outcome, Page, Queue, QueueSlots,
    QueueStats, Rate, Reached, Receipt, Redriven, Repairs, Rerun, Retention, RunFilter, RunHandle, RunTrace,
    RunView, Runs, ScheduleHandle, ScheduleView, SendEvent, SendEvents, ServerInfo, SetSchedule, Started,
    StartedRun, Unique, WaitsFor, WorkerProcess, reconcile,
};
pub use ergate_shared::{
    Backoff, Condition, DEFAULT_PAYLOAD_LIMIT, Event, EventId, EventName, EventOrTick, EventPattern,
    EventRecord, FailureKind, FailureRecord, FunctionName, FunctionSpec, Jitter, Job, JobId, JobName,
    JobOptions, JobRecord, JobState, Key, KeyName, Lane, Namespace, OnExhausted, Priority, QueueName,
    RerunOf, RunInput, Schedule, ScheduleName, Tick, Tries, Trigger, UniqueScope, WaitRef, WorkerId,
    duration,
    function::{
        Batch, EndedRun, FunctionCancelled, FunctionFailed, FunctionFinished, FunctionOptions, SingletonMode,
    },
    run,
    schedule::{CatchUp, Cron, Every, Overlap, Recurrence, Zone},
    stock,
};
pub use ergate_worker::{
    Attempt, BlockingHandler, Cancelled, Context, DeadLetter, Deadline, Ended, Error as WorkerError, Failure,
    FromContext, FromRef, Function, FunctionHandler, Handler, Health, Invoke, Log, Metrics, Middleware, Next,
    Progress, Result, Router, RunStep, Sleep, State, Step, StepAttempt, StepError, Verdict, WaitFor, Way,
    Worker, shutdown_signal,
};

/// Tests of your own code without Redis; feature `testing`.
#[cfg(feature = "testing")]
pub mod testing {
    pub use ergate_client::{Outbox, RecordedJob};
    pub use ergate_worker::testing::{Divergence, FinishedRun, Replay, TestRun};
}

#[cfg(feature = "schema")]
pub use schemars;

/// A point in time, as `run_at` and `reschedule` take it.
pub use jiff::Timestamp;

/// What most programs need: `use ergate::prelude::*;`
pub mod prelude {
    pub use std::time::Duration;

    pub use serde::{Deserialize, Serialize};

    pub use crate::{
        Attempt, Backoff, Batch, Cancelled, CatchUp, Client, Deadline, Event, EventOrTick, Failure, FromRef,
        Function, Job, JobId, JobState, Limit, Log, OnExhausted, Overlap, Priority, Progress, Rate, Result,
        Schedule, SingletonMode, State, Step, Tick, Unique, Verdict, Worker, shutdown_signal,
    };
}
