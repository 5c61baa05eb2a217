//! Schedules: when something is started again and again, and what becomes of times that were missed or that overlap.
//!
//! Pure: all of it is values and functions of a given time. Redis keeps a [`ScheduleSpec`] and a [`ScheduleState`] for
//! each schedule; whoever looks after one reads both, asks the state what is to be done, and writes the next state down.
//!
//! | module | owns |
//! |---|---|
//! | `cron`, `zone`, `every` | the times: expressions, IANA zones, periods, and what daylight saving does to them |
//! | `recurrence`, `describe` | what has a next time; the next ones, the last ones, in words |
//! | `policy` | what becomes of times that were missed, or that come while the last job has not ended |
//! | `builder`, `spec`, `target` | a schedule as it is declared, and as it is kept |
//! | `state` | how far it is, and what is to be done next |

mod builder;
mod cron;
mod describe;
mod every;
mod policy;
mod recurrence;
mod spec;
mod state;
mod target;
mod zone;

pub use builder::Schedule;
pub use cron::Cron;
pub use every::Every;
pub use policy::{CatchUp, Overlap};
pub use recurrence::Recurrence;
pub use spec::{LONGEST_SCHEDULE_NAME, MOST_JITTER, Origin, ScheduleSpec};
pub use state::{Counts, Plan, ScheduleState, Start, Started};
pub use target::{JobTarget, Starting, TIMER, Target};
pub use zone::Zone;
