//! Looking after schedules that are due: what a worker's ticker calls.
//!
//! Every call may be made by any number of processes at once, and again after any failure: see
//! [`ScheduleState`](ergate_shared::schedule::ScheduleState) for why nothing is started twice.

use std::time::Duration;

use ergate_shared::{
    JobState, QueueName, ScheduleName,
    schedule::{Plan, Started},
    script,
};

use super::KeptSchedule;
use crate::{Client, Error, JobHandle};

/// What [`Client::tick_schedules`] is asked for.
#[derive(Debug, Clone)]
pub struct TickOptions<'a> {
    /// How long what is handed out is not handed out again.
    pub claim: Duration,
    /// The most schedules to hand out.
    pub most: usize,
    /// After how long without a word a declared schedule is retired; `None` retires none.
    pub retire_after: Option<Duration>,
    /// After how long a retired schedule is forgotten.
    pub forget_after: Duration,
    /// Schedules that this process declares.
    pub declare: &'a [ScheduleName],
}

/// Schedules somebody must look at.
#[derive(Debug)]
pub struct Tick {
    /// Redis' clock, in ms since the epoch.
    pub now: u64,
    /// Those handed out; what cannot be read comes as an error.
    pub due: Vec<Result<KeptSchedule, Error>>,
    /// When the first of the others is due, in ms since the epoch.
    pub next_at: Option<u64>,
}

/// Jobs of a plan that one call starts, so that it is not too large.
const STARTS_AT_ONCE: usize = 100;
/// How long after it was written down that a job is started out of turn it may still come.
const STARTED_WITHIN: Duration = Duration::from_secs(60);

impl Client {
    /// Takes what is due, and says that declared schedules are still wanted.
    ///
    /// # Errors
    /// Errors of the connection.
    pub async fn tick_schedules(&self, options: &TickOptions<'_>) -> Result<Tick, Error> {
        let millis = |time: Duration| time.as_millis() as i128;
        let retire_after = options.retire_after.map(|time| millis(time).to_string()).unwrap_or_default();
        let mut call = script::SCHEDULE_TICK
            .on_schedules(&self.schedule_keys())
            .arg("")
            .number(millis(options.claim))
            .number(options.most as i128)
            .arg(retire_after)
            .number(millis(options.forget_after));
        for name in options.declare {
            call.push(name.as_str());
        }
        type Reply = (u64, Vec<(String, String, String)>, i64);
        let (now, due, next_at): Reply = self.redis().run(&call).await?;
        let read = |(name, definition, state): (String, String, String)| {
            KeptSchedule::read(name.parse()?, definition, state, None)
        };
        Ok(Tick { now, due: due.into_iter().map(read).collect(), next_at: u64::try_from(next_at).ok() })
    }

    /// Whether anything a schedule started has not ended yet.
    ///
    /// # Errors
    /// Errors of the connection.
    pub async fn schedule_is_busy(&self, kept: &KeptSchedule) -> Result<bool, Error> {
        for started in kept.state.started() {
            if self.has_ended(started).await? == Some(false) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Of what somebody had a schedule start out of turn, what has not ended yet, oldest first.
    pub(super) async fn running_by_hand(&self, kept: &KeptSchedule, now: u64) -> Result<Vec<Started>, Error> {
        let mut running = Vec::new();
        for started in kept.state.started_by_hand() {
            let may_come = now < started.at.saturating_add(STARTED_WITHIN.as_millis() as u64);
            match self.has_ended(started).await? {
                Some(true) => {}
                None if !may_come => {}
                Some(false) | None => running.push(started.clone()),
            }
        }
        Ok(running)
    }

    /// Whether it has ended; `None` if it is not there: it is gone, or not there yet.
    async fn has_ended(&self, started: &Started) -> Result<Option<bool>, Error> {
        match self.job(started.queue.as_str(), started.job.as_str())?.status().await {
            Ok(JobState::Scheduled | JobState::Ready | JobState::Leased) => Ok(Some(false)),
            Ok(JobState::Completed | JobState::Cancelled | JobState::Dead) => Ok(Some(true)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Waits until all that a schedule started has ended, or `within` is over.
    pub async fn schedule_ends(&self, kept: &KeptSchedule, within: Duration) {
        let ends = async {
            for job in self.started_by(kept).unwrap_or_default() {
                // An error means that it is gone, or that somebody looks again later.
                let _ = job.ended(within).await;
            }
        };
        let _ = tokio::time::timeout(within, ends).await;
    }

    /// Has a schedule looked at now: what it waited for has come. Only a hint, and none if it is gone or paused.
    ///
    /// # Errors
    /// Errors of the connection.
    pub async fn hasten_schedule(&self, name: &ScheduleName) -> Result<(), Error> {
        let mut hasten = redis::cmd("ZADD");
        hasten.arg(&self.schedule_keys().due).arg("XX").arg(0).arg(name.as_str());
        self.redis().command("ZADD", &hasten).await
    }

    /// A plan with the queue in which it is to start what it starts, as it is now: that of the version of a function that new runs get.
    ///
    /// # Errors
    /// Errors of the connection.
    pub async fn bind_plan(&self, kept: &KeptSchedule, plan: Plan) -> Result<Plan, Error> {
        Ok(Plan { queue: Some(self.starts_now_in(kept).await?), ..plan })
    }

    async fn starts_now_in(&self, kept: &KeptSchedule) -> Result<QueueName, Error> {
        let queue = kept.spec.target.queue();
        Ok(self.newest_of(&queue).await?.unwrap_or(queue))
    }

    /// Carries a plan out: asks jobs to end, and starts others. Doing it again changes nothing.
    ///
    /// # Errors
    /// Errors of the connection; what an enqueue refuses.
    pub async fn carry_out(&self, kept: &KeptSchedule, plan: &Plan) -> Result<(), Error> {
        if plan.cancel {
            for job in self.started_by(kept)? {
                let reason = format!("schedule {} starts anew", kept.name);
                match job.cancel(&reason).await {
                    Err(Error::WrongState { .. } | Error::NotFound { .. }) | Ok(_) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        let producer = kept.state.producer();
        let queue = match &plan.queue {
            Some(queue) => queue.clone(),
            None => self.starts_now_in(kept).await?,
        };
        for starts in plan.starts.chunks(STARTS_AT_ONCE) {
            let Some(last) = starts.last() else { continue };
            let mut drafts = Vec::with_capacity(starts.len());
            for start in starts {
                let starting = self.enqueue_starting(start.starting(&kept.name, &kept.spec)?);
                drafts.push(starting.prepared_in(&queue).await?.draft()?.draft);
            }
            self.batcher(&queue).submit_numbered(&drafts, &producer, last.number).await?;
        }
        Ok(())
    }

    /// Carries out what others may have left half done; true if there was a plan, after which it must be read again.
    ///
    /// A plan that can never be carried out is given up: else the schedule could not be paused, or set to what can be.
    pub(super) async fn finish_plan(&self, kept: &KeptSchedule, now: u64) -> Result<bool, Error> {
        let Some(plan) = &kept.state.plan else { return Ok(false) };
        let carried_out = async {
            self.carry_out(kept, plan).await?;
            Ok::<_, Error>(kept.state.clone().carried_out(&kept.name, &kept.spec, now)?)
        };
        let state = match carried_out.await {
            Ok(state) => state,
            Err(error) if can_never_start(&error) => {
                let times = plan.starts.len();
                tracing::error!(%error, schedule = %kept.name, times, "schedule cannot start its job; these times are given up");
                kept.state.clone().given_up()
            }
            Err(error) => return Err(error),
        };
        self.step_schedules(&[(kept, &state)], now).await?;
        Ok(true)
    }

    fn started_by(&self, kept: &KeptSchedule) -> Result<Vec<JobHandle>, Error> {
        kept.state.started().map(|started| self.job(started.queue.as_str(), started.job.as_str())).collect()
    }
}

/// Whether what was to be started is refused for what it is, and will be however often it is tried.
fn can_never_start(error: &Error) -> bool {
    match error {
        Error::TooLarge { .. } | Error::Payload { .. } | Error::Option(_) => true,
        // A reply nobody knows says nothing of what was sent.
        Error::Contract(error) => !matches!(error, ergate_shared::Error::Reply { .. }),
        _ => false,
    }
}
