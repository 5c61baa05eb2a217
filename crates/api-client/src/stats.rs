//! A queue in numbers.

use std::collections::BTreeMap;

use ergate_shared::{JobRecord, JobState, script};
use serde::Serialize;

use crate::{Error, Queue};

/// A queue in numbers, all read at the same moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct QueueStats {
    /// Redis' clock when it was read, in ms since the epoch.
    pub now: u64,
    /// Records kept, in whatever state.
    pub records: u64,
    /// Jobs that wait for a worker.
    pub ready: u64,
    /// Jobs that wait for a time.
    pub scheduled: u64,
    /// Jobs that run.
    pub leased: u64,
    /// Completed jobs kept.
    pub completed: u64,
    /// Cancelled jobs kept.
    pub cancelled: u64,
    /// Dead letters.
    pub dead: u64,
    /// Workers whose lease runs.
    pub workers: u64,
    /// Jobs the workers' counts say they hold; equal to `leased` unless something is wrong.
    pub held: u64,
    /// When the next scheduled job is due, in ms since the epoch.
    pub next_due_at: Option<u64>,
    /// How long the first ready job has waited since it was enqueued or due, in ms.
    pub oldest_ready_ms: Option<u64>,
    /// Whether it hands out no jobs.
    pub paused: bool,
    /// Jobs with keys among the ready ones.
    pub ready_with_keys: u64,
    /// Whether jobs with keys are or were there of late.
    #[serde(skip)]
    pub(crate) has_keys: bool,
    /// Whether some lane does not stand in one place, or some job not in one lane.
    #[serde(skip)]
    pub(crate) lanes_are_wrong: bool,
    /// Its settings as they are kept.
    pub settings: BTreeMap<String, String>,
}

impl QueueStats {
    /// How many jobs are in a state.
    pub fn count(&self, state: JobState) -> u64 {
        match state {
            JobState::Scheduled => self.scheduled,
            JobState::Ready => self.ready,
            JobState::Leased => self.leased,
            JobState::Completed => self.completed,
            JobState::Cancelled => self.cancelled,
            JobState::Dead => self.dead,
        }
    }

    /// Whether every record is in exactly one state, every lease has a holder and every job with keys its lane.
    pub fn adds_up(&self) -> bool {
        let states: u64 = JobState::ALL.into_iter().map(|state| self.count(state)).sum();
        self.records == states && self.held == self.leased && !self.lanes_are_wrong
    }
}

impl Queue {
    /// The queue in numbers.
    ///
    /// # Errors
    /// Errors of the connection.
    pub async fn stats(&self) -> Result<QueueStats, Error> {
        type Lanes = (u64, u64, u64, u64, u64);
        type Reply =
            ((u64, u64, i64, u64, u64), (u64, u64, u64, u64, u64), (i64, Vec<u8>, Vec<String>, Lanes));
        let call = script::QUEUE_STATS.on(self.keys()).arg("");
        let value: Vec<redis::Value> = self.client().redis().run(&call).await?;
        let ((now, records, ready, scheduled, leased), (completed, cancelled, dead, workers, held), rest) =
            split::<Reply>(value)?;
        let (next_due_at, first, settings, (laned, places, lanes, standing, keys_running)) = rest;
        let settings: BTreeMap<String, String> =
            settings.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
        let oldest_ready_ms = JobRecord::decode(&first)
            .ok()
            .map(|record| now.saturating_sub(record.due_at.max(record.enqueued_at)));
        Ok(QueueStats {
            now,
            records,
            ready: u64::try_from(ready).unwrap_or(0),
            scheduled,
            leased,
            completed,
            cancelled,
            dead,
            workers,
            held,
            next_due_at: u64::try_from(next_due_at).ok(),
            oldest_ready_ms,
            paused: settings.contains_key("paused"),
            ready_with_keys: laned,
            has_keys: laned + places + lanes + standing + keys_running > 0,
            lanes_are_wrong: laned != places || lanes != standing,
            settings,
        })
    }

    /// How many jobs are in each state.
    ///
    /// # Errors
    /// Errors of the connection.
    pub async fn counts(&self) -> Result<BTreeMap<JobState, u64>, Error> {
        let stats = self.stats().await?;
        Ok(JobState::ALL.into_iter().map(|state| (state, stats.count(state))).collect())
    }
}

/// Reads fourteen values as three groups, since tuples are read up to twelve.
fn split<T: redis::FromRedisValue>(values: Vec<redis::Value>) -> Result<T, Error> {
    let mut values = values.into_iter();
    let mut take = |count| redis::Value::Array(values.by_ref().take(count).collect());
    let groups = redis::Value::Array(vec![take(5), take(5), take(4)]);
    T::from_redis_value(groups).map_err(|error| {
        ergate_shared::Error::Reply { script: "queue/stats", reply: error.to_string() }.into()
    })
}
