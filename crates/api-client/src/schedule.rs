//! Schedules: look at them, set them, pause, run, preview and fill in.
//!
//! What is to be done about a schedule is decided by [`ScheduleState`](ergate_shared::schedule::ScheduleState); here it is
//! read, carried out and written down. Workers do so when a time is due.

use std::time::Duration;

use ergate_shared::{
    FunctionName, Schedule, ScheduleName,
    schedule::{ScheduleState, Started, Starting},
    script,
};
use jiff::Timestamp;

use crate::{Client, Enqueue, EnqueueAll, Error, Receipt};

mod care;
mod set;
mod store;
mod view;
mod wake;

pub use care::{Tick, TickOptions};
pub use set::{Declared, SetSchedule};
pub use store::KeptSchedule;
pub use view::ScheduleView;

/// The most times [`ScheduleHandle::backfill`] fills in at once.
pub const MOST_BACKFILL: usize = 10_000;

/// A schedule, by name.
#[derive(Debug, Clone)]
pub struct ScheduleHandle {
    client: Client,
    name: ScheduleName,
}

/// What [`ScheduleHandle::backfill`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backfilled {
    /// Jobs that were started.
    pub started: usize,
    /// Times whose job was there already: it waits, runs, or has ended and is still kept.
    pub there: usize,
}

impl Client {
    /// A schedule, by name: to look at it, change it, or set it; whether it exists is seen when it is asked.
    ///
    /// ```no_run
    /// # use ergate_client::Client;
    /// # use ergate_shared::Job;
    /// # #[derive(serde::Serialize, serde::Deserialize)] struct Nightly;
    /// # impl Job for Nightly { const NAME: &str = "nightly"; }
    /// # async fn example(client: Client) -> Result<(), ergate_client::Error> {
    /// client.schedule("nightly")?.cron("0 3 * * *").zone("Europe/Berlin").job(Nightly).await?;
    ///
    /// for time in client.schedule("nightly")?.preview(10).await? {
    ///     println!("{time}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the name is not valid.
    pub fn schedule(&self, name: &str) -> Result<ScheduleHandle, Error> {
        Ok(ScheduleHandle { client: self.clone(), name: name.parse()? })
    }
}

impl ScheduleHandle {
    /// Its name.
    pub fn name(&self) -> &ScheduleName {
        &self.name
    }

    /// Sets it to the times of a cron expression: say what it starts, then `.await` it.
    pub fn cron(&self, expression: &str) -> SetSchedule {
        SetSchedule::new(self.client.clone(), Schedule::cron(self.name.as_str(), expression))
    }

    /// Sets it to start something every so often: say what, then `.await` it.
    pub fn every(&self, period: Duration) -> SetSchedule {
        SetSchedule::new(self.client.clone(), Schedule::every(self.name.as_str(), period))
    }

    /// All that is known of it.
    ///
    /// # Errors
    /// [`Error::NoSchedule`], or errors of the connection.
    pub async fn show(&self) -> Result<ScheduleView, Error> {
        let (now, kept) = self.read().await?;
        let mut views = vec![ScheduleView::new(now, kept)];
        self.client.look_at_last_jobs(&mut views).await?;
        Ok(views.remove(0))
    }

    /// Stops it from starting anything until it is resumed; what runs goes on. One that is paused stays so.
    ///
    /// # Errors
    /// [`Error::NoSchedule`], or errors of the connection.
    pub async fn pause(&self) -> Result<(), Error> {
        self.change(|kept, now| kept.state.clone().paused(now)).await
    }

    /// Lets it go on with its next time; what passed meanwhile is not made up.
    ///
    /// # Errors
    /// [`Error::NoSchedule`], or errors of the connection.
    pub async fn resume(&self) -> Result<(), Error> {
        self.change(|kept, now| kept.state.clone().resumed(&kept.spec, now)).await
    }

    /// Starts what it starts, out of turn: at once, paused or not, and whatever still runs. Its times stay as they are, but
    /// while this job runs a time that must not overlap does not come either; so it is with the last 16 that were started so
    /// and have not ended.
    ///
    /// # Errors
    /// [`Error::NoSchedule`], or as awaiting an [`Enqueue`].
    pub async fn run_now(&self) -> Result<Receipt, Error> {
        let mark = uuid::Uuid::new_v4().simple().to_string();
        loop {
            let (now, kept) = self.settled().await?;
            let time = Timestamp::from_millisecond(now.cast_signed()).unwrap_or_default();
            let spec = &kept.spec;
            let starting = spec.target.out_of_turn(&self.name, &spec.recurrence, time, &mark[..6])?;
            let mut enqueue = self.client.enqueue_starting(starting);
            if let Some(function) = enqueue.declared_function().await? {
                enqueue = enqueue.by_options_of(&function)?;
            }
            let (queue, job) = enqueue.named()?;
            let started = Started { nominal: now, at: now, queue, job };
            let running = self.client.running_by_hand(&kept, now).await?;
            // It is written down before it is started, so that it is known to run when it does.
            if self.step(&kept, &kept.state.clone().out_of_turn(started, running), now).await? {
                enqueue.keep_waits().await?;
                return enqueue.await;
            }
        }
    }

    /// Its next times, paused or not.
    ///
    /// # Errors
    /// [`Error::NoSchedule`], or errors of the connection.
    pub async fn preview(&self, count: usize) -> Result<Vec<Timestamp>, Error> {
        let (now, kept) = self.read().await?;
        let now = Timestamp::from_millisecond(now.cast_signed()).unwrap_or_default();
        Ok(kept.spec.recurrence.preview(now, count))
    }

    /// Starts what it would have started from `from` up to but not at `to`, all at once and whatever runs; a time whose job
    /// is still there is left alone. Catch-up, overlap and jitter are not heeded.
    ///
    /// # Errors
    /// [`Error::NoSchedule`]; [`Error::Option`] for over [`MOST_BACKFILL`] times, or times to come; or as awaiting an
    /// [`EnqueueAll`].
    pub async fn backfill(&self, from: Timestamp, to: Timestamp) -> Result<Backfilled, Error> {
        let (now, kept) = self.read().await?;
        if u64::try_from(to.as_millisecond()).unwrap_or(0) > now {
            return Err(Error::Option(format!("{to} is still to come; fill in what has passed")));
        }
        let before = from.checked_sub(Duration::from_millis(1)).unwrap_or(from);
        let recurrence = &kept.spec.recurrence;
        let times: Vec<_> =
            recurrence.after(before).take_while(|time| *time < to).take(MOST_BACKFILL + 1).collect();
        if times.len() > MOST_BACKFILL {
            return Err(Error::Option(format!(
                "{from} to {to} has over {MOST_BACKFILL} times of schedule {}; fill them in piece by piece",
                self.name
            )));
        }
        let jobs: EnqueueAll = times
            .into_iter()
            .map(|time| {
                let starting = kept.spec.target.starting(&self.name, recurrence, time, time)?;
                Ok(self.client.enqueue_starting(starting))
            })
            .collect::<Result<Vec<_>, ergate_shared::Error>>()?
            .into_iter()
            .collect();
        let receipts = jobs.await?;
        let there = receipts.iter().filter(|receipt| receipt.duplicate).count();
        Ok(Backfilled { started: receipts.len() - there, there })
    }

    /// Deletes it. What it has started stays; one that code declares is set again when a worker that declares it starts.
    ///
    /// # Errors
    /// [`Error::NoSchedule`], or errors of the connection.
    pub async fn remove(&self) -> Result<(), Error> {
        let call = script::SCHEDULE_REMOVE.on_schedules(&self.client.schedule_keys()).arg(self.name.as_str());
        match self.client.redis().run::<u64>(&call).await? {
            0 => Err(Error::NoSchedule { name: self.name.clone() }),
            _ => Ok(()),
        }
    }

    async fn read(&self) -> Result<(u64, KeptSchedule), Error> {
        let (now, kept) = self.client.read_schedule(&self.name).await?;
        Ok((now, kept.ok_or_else(|| Error::NoSchedule { name: self.name.clone() })?))
    }

    /// Reads it once no plan is left to be carried out.
    async fn settled(&self) -> Result<(u64, KeptSchedule), Error> {
        loop {
            let (now, kept) = self.read().await?;
            if !self.client.finish_plan(&kept, now).await? {
                return Ok((now, kept));
            }
        }
    }

    /// Takes it to the state that `following` makes of what is kept.
    async fn change(&self, following: impl Fn(&KeptSchedule, u64) -> ScheduleState) -> Result<(), Error> {
        loop {
            let (now, kept) = self.settled().await?;
            let state = following(&kept, now);
            if state == kept.state || self.step(&kept, &state, now).await? {
                return Ok(());
            }
        }
    }

    /// Takes it from what was read to the next state; false if somebody has changed it meanwhile.
    async fn step(&self, kept: &KeptSchedule, state: &ScheduleState, now: u64) -> Result<bool, Error> {
        let is_written = self.client.step_schedules(&[(kept, state)], now).await? == [true];
        if is_written {
            self.client.wake_ticker().await;
        }
        Ok(is_written)
    }
}

impl Client {
    /// The enqueue of what a schedule starts.
    pub(crate) fn enqueue_starting(&self, starting: Starting) -> Enqueue {
        let Starting { id, job } = starting;
        let function = FunctionName::of_queue(&job.queue);
        let enqueue = self
            .enqueue_raw(job.queue, job.name, job.payload.get().to_owned())
            .of_function(function)
            .id(id.as_str())
            .priority(job.priority)
            .declared(job.options, job.version);
        match job.expires_in_ms {
            Some(ms) => enqueue.expires_in(Duration::from_millis(ms)),
            None => enqueue,
        }
    }
}
