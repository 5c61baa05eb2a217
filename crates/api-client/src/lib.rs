//! The producer's side of Ergate: enqueue, send events, inspect, cancel, redrive.
//!
//! [`Client`] is where everything starts. Users depend on the `ergate` facade, which re-exports it.

mod at_once;
mod batch;
mod bulk;
mod cancel_on;
mod client;
mod coalesce;
mod courier;
mod dead;
mod durability;
mod ending;
mod enqueue;
mod error;
mod event;
mod functions;
#[cfg(test)]
mod given_up;
mod handle;
mod handshake;
mod insist;
mod let_go;
mod limit;
pub mod link;
mod list;
mod queue;
mod reconcile;
#[cfg(feature = "testing")]
mod recording;
mod redrive;
mod registry;
mod run;
mod schedule;
mod start;
mod stats;
mod stock;
mod sync;
mod target;
mod view;
mod wait;

pub use bulk::{ATOMIC_BATCH, EnqueueAll};
#[doc(hidden)]
pub use cancel_on::cancelled_by;
pub use client::{Client, ClientBuilder};
#[doc(hidden)]
pub use courier::Courier;
pub use dead::{DeadLetters, Filter};
pub use durability::{Durability, Reached};
pub use enqueue::{Enqueue, OnConflict, Receipt, Unique};
pub use error::Error;
pub use event::{EventReceipt, EventView, Events, SendEvent, SendEvents, Started, StartedRun};
pub use functions::FunctionView;
pub use handle::{Cancelled, JobHandle};
pub use handshake::ServerInfo;
pub use limit::{KeyLimit, KeyStats, Limit, WaitsFor};
pub use link::Redis;
pub use list::Page;
pub use queue::{Queue, Rate, Retention};
pub use reconcile::{Repairs, reconcile, reconcile_beside_others};
#[cfg(feature = "testing")]
pub use recording::{Outbox, RecordedJob};
pub use redrive::Redriven;
pub use registry::{Order, QueueSlots, WorkerProcess};
pub use run::{CancelledRuns, INVOKED, Rerun, RunFilter, RunHandle, RunTrace, RunView, Runs};
pub use schedule::{
    Backfilled, Declared, KeptSchedule, MOST_BACKFILL, ScheduleHandle, ScheduleView, SetSchedule, Tick,
    TickOptions,
};
pub use stats::QueueStats;
pub use view::{JobView, Outcome};
pub use wait::Delivered;
#[doc(hidden)]
pub use wait::KeptWait;
