//! Runs handlers: leases jobs, keeps the leases, settles outcomes, recovers what others left behind.
//!
//! [`Worker`] is where everything starts. Users depend on the `ergate` facade, which re-exports it.
//!
//! | module | owns |
//! |---|---|
//! | `worker`, `shutdown` | options, and the phases of stopping |
//! | `queue_loop`, `turn` | one queue: what runs, what is to be settled, when to call Redis |
//! | `heartbeat`, `identity` | the worker's lease, on a thread of its own |
//! | `waiter` | blocking until there is work |
//! | `pool` | slots that queues share |
//! | `attempt`, `handler`, `extract`, `failure` | one attempt, from record to outcome |
//! | `function`, `step`, `run` | durable functions: declaring them, their steps, performing their runs |
//! | `upkeep` | reaping, sweeping, reconciling |
//! | `ticker` | starting what schedules want |
//! | `router` | events: the functions they start, the runs that wait for them |
//! | `metrics` | every metric |

mod attempt;
#[cfg(feature = "binary")]
pub mod binary;
mod context;
mod courier;
mod cut_off;
mod declare;
mod error;
mod extract;
mod failure;
mod function;
mod handler;
mod heartbeat;
mod identity;
mod limits;
mod metrics;
mod middleware;
mod notes;
mod outcome;
mod pool;
mod queue_loop;
mod route;
mod router;
mod run;
mod shutdown;
mod step;
#[cfg(feature = "binary")]
pub mod stock;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;
mod ticker;
mod turn;
mod upkeep;
mod waiter;
mod worker;

pub use context::Context;
pub use error::Error;
pub use extract::{Attempt, Cancelled, Deadline, FromContext, FromRef, Log, Progress, State};
pub use failure::{Failure, Result, Verdict};
pub use function::{Function, FunctionHandler};
pub use handler::{BlockingHandler, Handler};
pub use metrics::Metrics;
pub use middleware::{Middleware, Next};
pub use outcome::{DeadLetter, Ended};
pub use router::Router;
pub use shutdown::shutdown_signal;
pub use step::{Invoke, RunStep, Sleep, Step, StepAttempt, StepError, WaitFor, Way};
pub use worker::{Health, Worker};
