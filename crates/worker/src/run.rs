//! Runs: a function's code is polled over its journal, what it does is written, and it leaves memory when it only waits.
//!
//! | module | owns |
//! |---|---|
//! | `drive` | polling the code, writing, and deciding when to suspend |
//! | `guards` | bodies that run, steps that wait, open entries, while they live |
//! | `names` | which time an id is used, also beside what is not replayed |
//! | `shared` | what the code's steps and `drive` both know |
//! | `store` | where the journal is kept: Redis, under the run's lease |
//! | `recorder` | many runs' writes in shared calls |
//! | `waits` | taking out waits that are needed no more |

mod drive;
mod guards;
mod names;
mod recorder;
mod shared;
mod store;
mod waits;

pub(crate) use drive::drive;
pub(crate) use guards::Open;
pub(crate) use names::{Naming, Numbers};
pub(crate) use recorder::Recorder;
pub(crate) use shared::{Shared, Standing, StepDefaults};
pub(crate) use store::{Boxed, Instead, LeasedRun, Recorded, Store, Write};
pub(crate) use waits::{Registered, Unneeded};
