//! Setting schedules: by hand with an awaitable builder, by code when a worker starts.

use std::{future::IntoFuture, pin::Pin, time::Duration};

use ergate_shared::{
    Job, JobName, JobOptions, Priority, QueueName, Schedule, ScheduleName,
    schedule::{CatchUp, Origin, Overlap, ScheduleSpec, ScheduleState, Target},
    script,
};
use jiff::Timestamp;

use super::{KeptSchedule, ScheduleView};
use crate::{Client, Error};

/// A schedule about to be set by hand: say what it starts, then `.await` it. Nothing happens before.
///
/// One that is there under this name is replaced. If its times stay the same it goes on with them; if they change, the next
/// is the first from now on. Whether it is paused stays as it is.
#[derive(Debug)]
#[must_use = "a schedule is set when this is awaited"]
pub struct SetSchedule {
    client: Client,
    schedule: Schedule,
}

/// What became of a schedule that code declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Declared {
    /// It is new, or was changed.
    Set,
    /// It was there like this.
    AsItWas,
    /// One of this name was set by hand, which goes before what code declares.
    SetByHand,
}

impl SetSchedule {
    pub(super) fn new(client: Client, schedule: Schedule) -> Self {
        Self { client, schedule }
    }

    fn with(self, option: impl FnOnce(Schedule) -> Schedule) -> Self {
        Self { schedule: option(self.schedule), client: self.client }
    }

    /// As [`Schedule::zone`].
    pub fn zone(self, zone: &str) -> Self {
        self.with(|schedule| schedule.zone(zone))
    }

    /// As [`Schedule::anchored`].
    pub fn anchored(self, anchor: Timestamp) -> Self {
        self.with(|schedule| schedule.anchored(anchor))
    }

    /// As [`Schedule::job`].
    pub fn job<J: Job>(self, job: J) -> Self {
        self.with(|schedule| schedule.job(job))
    }

    /// As [`Schedule::raw_job`].
    pub fn raw_job(self, queue: QueueName, name: JobName, payload: impl Into<String>) -> Self {
        self.with(|schedule| schedule.raw_job(queue, name, payload))
    }

    /// As [`Schedule::function`].
    pub fn function(self, name: impl Into<String>) -> Self {
        self.with(|schedule| schedule.function(name))
    }

    /// As [`Schedule::queue`].
    pub fn queue(self, queue: &str) -> Self {
        self.with(|schedule| schedule.queue(queue))
    }

    /// As [`Schedule::priority`].
    pub fn priority(self, priority: Priority) -> Self {
        self.with(|schedule| schedule.priority(priority))
    }

    /// As [`Schedule::options`].
    pub fn options(self, options: JobOptions) -> Self {
        self.with(|schedule| schedule.options(options))
    }

    /// As [`Schedule::expires_in`].
    pub fn expires_in(self, time: Duration) -> Self {
        self.with(|schedule| schedule.expires_in(time))
    }

    /// As [`Schedule::catch_up`].
    pub fn catch_up(self, catch_up: CatchUp) -> Self {
        self.with(|schedule| schedule.catch_up(catch_up))
    }

    /// As [`Schedule::overlap`].
    pub fn overlap(self, overlap: Overlap) -> Self {
        self.with(|schedule| schedule.overlap(overlap))
    }

    /// As [`Schedule::jitter`].
    pub fn jitter(self, jitter: Duration) -> Self {
        self.with(|schedule| schedule.jitter(jitter))
    }

    async fn send(self) -> Result<ScheduleView, Error> {
        let (name, spec) = self.schedule.build(Origin::Hand)?;
        self.client.check_schedule(&name, &spec)?;
        self.client.set_schedule(&name, &spec).await?;
        self.client.schedule(name.as_str())?.show().await
    }
}

impl IntoFuture for SetSchedule {
    type Output = Result<ScheduleView, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

impl Client {
    /// Sets a schedule as [`Schedule::build`] checked it; one that is like this already is left alone.
    ///
    /// # Errors
    /// Errors of the connection, after which it may be set or not, and may be set again; [`Error::Contract`] for one of this
    /// name that this release cannot read: remove it first.
    pub async fn set_schedule(&self, name: &ScheduleName, spec: &ScheduleSpec) -> Result<Declared, Error> {
        let definition = spec.write();
        loop {
            let (now, kept) = self.read_schedule(name).await?;
            if let Some(kept) = &kept {
                if spec.origin == Origin::Code && kept.spec.origin == Origin::Hand {
                    return Ok(Declared::SetByHand);
                }
                if kept.definition == definition && kept.retired_at.is_none() {
                    return Ok(Declared::AsItWas);
                }
                // It must not be carried out by the new definition.
                if self.finish_plan(kept, now).await? {
                    continue;
                }
            }
            let state = following(kept.as_ref(), spec, now);
            let look_at = state.due(name, spec, now).map(|at| at.to_string()).unwrap_or_default();
            let call = script::SCHEDULE_SET
                .on_schedules(&self.schedule_keys())
                .arg("")
                .arg(name.as_str())
                .arg(kept.map(|kept| kept.as_read).unwrap_or_default())
                .arg(&definition)
                .arg(state.write())
                .arg(look_at)
                .arg(if spec.origin == Origin::Code { "1" } else { "" });
            let (_, code): (u64, String) = self.redis().run(&call).await?;
            if code == "ok" {
                self.wake_ticker().await;
                return Ok(Declared::Set);
            }
        }
    }

    /// Checks what [`Schedule::build`] cannot know: that this client would enqueue the payload.
    ///
    /// # Errors
    /// [`Error::TooLarge`] with the schedule's name.
    pub fn check_schedule(&self, name: &ScheduleName, spec: &ScheduleSpec) -> Result<(), Error> {
        let limit = self.payload_limit();
        match &spec.target {
            Target::Job(job) if job.payload.get().len() > limit => {
                let size = job.payload.get().len();
                Err(Error::TooLarge { name: format!("of schedule {name}"), size, limit })
            }
            Target::Job(_) | Target::Function(_) => Ok(()),
        }
    }
}

/// The state under the new definition: times that stay the same go on.
fn following(kept: Option<&KeptSchedule>, spec: &ScheduleSpec, now: u64) -> ScheduleState {
    match kept {
        None => ScheduleState::new(uuid::Uuid::now_v7().simple().to_string(), spec, now),
        Some(kept) if kept.spec.recurrence == spec.recurrence => {
            ScheduleState { revision: kept.state.revision + 1, ..kept.state.clone() }
        }
        Some(kept) => kept.state.clone().set(spec, now),
    }
}
