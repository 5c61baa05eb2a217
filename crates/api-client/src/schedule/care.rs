//! Looking after schedules that are due: what a worker's ticker calls.
//!
//! Every call may be made by any number of processes at once, and again after any failure: see
//! [`ScheduleState`](ergate_shared::schedule::ScheduleState) for why nothing is started twice.

use std::time::Duration;

use ergate_shared::{JobState, ScheduleName, schedule::Plan, script};

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
        for job in self.started_by(kept)? {
            match job.status().await {
                Ok(JobState::Scheduled | JobState::Ready | JobState::Leased) => return Ok(true),
                Ok(JobState::Completed | JobState::Cancelled | JobState::Dead) => {}
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
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
        for starts in plan.starts.chunks(STARTS_AT_ONCE) {
            let Some(last) = starts.last() else { continue };
            let (mut drafts, mut queue) = (Vec::with_capacity(starts.len()), kept.spec.target.queue());
            for start in starts {
                let starting = self.enqueue_starting(start.starting(&kept.name, &kept.spec)?);
                let ready = starting.prepared().await?.draft()?;
                queue = ready.queue;
                drafts.push(ready.draft);
            }
            self.batcher(&queue).submit_numbered(&drafts, &producer, last.number).await?;
        }
        Ok(())
    }

    /// Carries out what others may have left half done; true if there was a plan, after which it must be read again.
    pub(super) async fn finish_plan(&self, kept: &KeptSchedule, now: u64) -> Result<bool, Error> {
        let Some(plan) = &kept.state.plan else { return Ok(false) };
        self.carry_out(kept, plan).await?;
        let state = kept.state.clone().carried_out(&kept.name, &kept.spec, now)?;
        self.step_schedules(&[(kept, &state)], now).await?;
        Ok(true)
    }

    fn started_by(&self, kept: &KeptSchedule) -> Result<Vec<JobHandle>, Error> {
        kept.state.started().map(|started| self.job(started.queue.as_str(), started.job.as_str())).collect()
    }
}
