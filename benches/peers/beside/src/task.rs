//! The one kind of work: it lasts so many tenths of a second in which the process runs, and notes when it is told to stop.

use std::{future::Future, pin::pin, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Desk;

/// How often a job may be tried again after a failure.
pub const RETRIES: u32 = 2;
/// How long after a failure.
pub const BACKOFF: Duration = Duration::from_secs(1);
/// What work consists of. A process that stands still loses one of them at most, so the work goes on where it stood.
pub const TICK: Duration = Duration::from_millis(100);

/// What a job is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Task {
    /// The job's id.
    pub id: String,
    /// How many [`TICK`]s it takes.
    pub ticks: u32,
    /// Whether the first call of its handler panics.
    pub panics: bool,
}

impl Desk {
    /// Does the work, and returns what tells this call from all others. `told` is what the system offers to tell a handler that
    /// it should stop; the work goes on all the same, so that its late outcome meets the system.
    ///
    /// # Panics
    ///
    /// If the task says so.
    pub async fn perform(&self, task: &Task, counts: Value, told: impl Future<Output = ()>) -> String {
        let (call, first) = self.begin(&task.id, counts);
        assert!(!(task.panics && first), "this call was to panic");
        let (mut told, mut heard) = (pin!(told), false);
        for _ in 0..task.ticks {
            let mut tick = pin!(tokio::time::sleep(TICK));
            loop {
                tokio::select! {
                    () = &mut told, if !heard => {
                        heard = true;
                        call.told();
                    }
                    () = &mut tick => break,
                }
            }
        }
        call.end()
    }
}
