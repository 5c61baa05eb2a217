//! What is known of schedules.

use std::collections::BTreeMap;

use ergate_shared::{
    JobState, QueueName, ScheduleName,
    schedule::{ScheduleSpec, ScheduleState, Started},
};
use jiff::Timestamp;
use serde_json::json;

use super::KeptSchedule;
use crate::{Client, Error};

/// All that is known of a schedule.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ScheduleView {
    /// Its name.
    pub name: ScheduleName,
    /// What was declared.
    pub spec: ScheduleSpec,
    /// How far it is.
    pub state: ScheduleState,
    /// The state of the job it started last, by time or by hand; `None` if it started none, or that is gone.
    pub last_job: Option<JobState>,
    /// Since when no worker declares it any more, in ms since the epoch: it starts nothing until one does again.
    pub retired_at: Option<u64>,
    /// Redis' clock when it was read, in ms since the epoch.
    pub now: u64,
}

impl ScheduleView {
    pub(super) fn new(now: u64, kept: KeptSchedule) -> Self {
        let KeptSchedule { name, spec, state, retired_at, .. } = kept;
        Self { name, spec, state, last_job: None, retired_at, now }
    }

    /// Its next time; `None` if it is paused or retired, or there is none any more.
    pub fn next(&self) -> Option<Timestamp> {
        if self.state.paused_at.is_some() || self.retired_at.is_some() {
            return None;
        }
        Timestamp::from_millisecond(self.state.awaited?.cast_signed()).ok()
    }

    /// Its next times, paused or not.
    pub fn preview(&self, count: usize) -> Vec<Timestamp> {
        let now = Timestamp::from_millisecond(self.now.cast_signed()).unwrap_or_default();
        self.spec.recurrence.preview(now, count)
    }

    /// What it started last, by time or by hand.
    pub fn last(&self) -> Option<&Started> {
        self.state.started().max_by_key(|started| started.at)
    }

    /// `active`, `paused`, `retired`, or `over` if no time is left.
    pub fn condition(&self) -> &'static str {
        if self.retired_at.is_some() {
            "retired"
        } else if self.state.paused_at.is_some() {
            "paused"
        } else if self.state.awaited.is_none() {
            "over"
        } else {
            "active"
        }
    }

    /// Everything as JSON, times in ms since the epoch.
    pub fn to_json(&self) -> serde_json::Value {
        json!({
            "name": self.name,
            "condition": self.condition(),
            "description": self.spec.recurrence.describe(),
            "spec": self.spec,
            "next_at": self.next().map(Timestamp::as_millisecond),
            "last": self.last().map(|last| json!({
                "nominal": last.nominal, "at": last.at, "queue": last.queue, "job": last.job, "state": self.last_job,
            })),
            "held": self.state.held,
            "paused_at": self.state.paused_at,
            "retired_at": self.retired_at,
            "counts": self.state.counts,
        })
    }
}

impl Client {
    /// All schedules in order of name, retired ones too. One that this release cannot read is left out, with a word in the
    /// log.
    ///
    /// # Errors
    /// Errors of the connection.
    pub async fn schedules(&self) -> Result<Vec<ScheduleView>, Error> {
        let mut names = redis::cmd("HKEYS");
        names.arg(&self.schedule_keys().definitions);
        let mut names: Vec<String> = self.redis().command("HKEYS", &names).await?;
        names.sort();
        let names: Vec<ScheduleName> = names.into_iter().filter_map(|name| name.parse().ok()).collect();
        let (now, found) = self.read_schedules(&names).await?;
        let mut views = Vec::new();
        for found in found.into_iter().flatten() {
            match found {
                Ok(kept) => views.push(ScheduleView::new(now, kept)),
                Err(error) => tracing::warn!(%error, "a schedule is left out"),
            }
        }
        self.look_at_last_jobs(&mut views).await?;
        Ok(views)
    }

    /// Finds out how the last jobs are, with one call per queue.
    pub(super) async fn look_at_last_jobs(&self, views: &mut [ScheduleView]) -> Result<(), Error> {
        let mut queues: BTreeMap<QueueName, Vec<usize>> = BTreeMap::new();
        for (place, view) in views.iter().enumerate() {
            if let Some(last) = view.last() {
                queues.entry(last.queue.clone()).or_default().push(place);
            }
        }
        for (queue, places) in queues {
            let jobs: Vec<_> =
                places.iter().filter_map(|place| views[*place].last().map(|last| last.job.clone())).collect();
            let found = self.queue(queue.as_str())?.inspect(&jobs, false).await?;
            for (place, job) in places.into_iter().zip(found) {
                views[place].last_job = job.map(|job| job.state);
            }
        }
        Ok(())
    }
}
