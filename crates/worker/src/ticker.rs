//! Starts what schedules want, at their times: one task in every worker process.
//!
//! All processes do it and nobody is elected. What is due is handed out to one of them for two seconds; what it decides is
//! written down before it is done, so that one that dies is followed by another that does the same again, which changes
//! nothing. Redis' clock says what is due; this machine's only measures how long to sleep.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use ergate_client::{Client, Declared, Error, KeptSchedule, TickOptions};
use ergate_shared::{
    ScheduleName,
    schedule::{Overlap, Plan, ScheduleSpec, ScheduleState},
};
use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::{sync::Notify, task::JoinSet};

use crate::{Metrics, cut_off::cut_off};

/// How soon others look after what was handed out to a process that died.
const CLAIM: Duration = Duration::from_secs(2);
/// Schedules looked after at once.
const MOST: usize = 100;
/// How often one looks without having been told to; a changed schedule that nobody told of is seen then.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often a process says what it declares, and after how long without a word a schedule is retired: six missed words are
/// no chance. Being wrong costs little, as a retired schedule goes on where it was once it is declared again.
const DECLARE_EVERY: Duration = Duration::from_secs(20);
const RETIRE_AFTER: Duration = Duration::from_secs(120);
/// How long a retired schedule is kept.
const FORGET_AFTER: Duration = Duration::from_hours(30 * 24);
/// How soon it is tried again when Redis did not answer.
const AGAIN: Duration = Duration::from_secs(1);
/// How long one waits for the end of a job that a held time waits for, before somebody looks again.
const WATCH: Duration = Duration::from_secs(5);

pub(crate) struct Ticker {
    client: Client,
    /// What is declared, and of that what is still to be set.
    declared: Vec<(ScheduleName, ScheduleSpec)>,
    to_set: Vec<(ScheduleName, ScheduleSpec)>,
    /// The connection on which it was looked whether all of it is there.
    generation: u64,
    look_every: Duration,
    metrics: Metrics,
    poke: Arc<Notify>,
    /// Waits for the ends of jobs that hold up others.
    watches: JoinSet<ScheduleName>,
    watched: HashSet<ScheduleName>,
    /// Since when every tick was answered.
    steady_since: Instant,
    declare_at: Instant,
}

/// What is to be written down of a schedule, and what it leads to.
struct Step {
    kept: KeptSchedule,
    state: ScheduleState,
    /// Redis' clock when it was decided or done, in ms since the epoch.
    at: u64,
}

impl Ticker {
    pub(crate) fn new(
        client: Client,
        declared: Vec<(ScheduleName, ScheduleSpec)>,
        lease: Duration,
        metrics: Metrics,
        poke: Arc<Notify>,
    ) -> Self {
        Self {
            client,
            to_set: declared.clone(),
            declared,
            generation: 1,
            look_every: LOOK_EVERY.min(lease / 3),
            metrics,
            poke,
            watches: JoinSet::new(),
            watched: HashSet::new(),
            steady_since: Instant::now(),
            declare_at: Instant::now(),
        }
    }

    /// Works for ever; dropped when the worker stops.
    pub(crate) async fn run(mut self) {
        let mut answered = true;
        loop {
            let pause = match self.tick().await {
                Ok(pause) => {
                    answered = true;
                    pause
                }
                Err(error) => {
                    if std::mem::replace(&mut answered, false) {
                        cut_off!(error, "schedules cannot be looked at");
                    }
                    self.steady_since = Instant::now();
                    AGAIN
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.poke.notified() => {}
                Some(ended) = self.watches.join_next() => {
                    if let Ok(name) = ended {
                        self.watched.remove(&name);
                        if let Err(error) = self.client.hasten_schedule(&name).await {
                            tracing::debug!(%error, schedule = %name, "it is looked at again within five seconds");
                        }
                    }
                }
            }
        }
    }

    /// Looks once; tells how long nothing is due then.
    async fn tick(&mut self) -> Result<Duration, Error> {
        self.find_missing().await?;
        self.set_declared().await?;
        let declares = Instant::now() >= self.declare_at;
        let names: Vec<_> = self.declared.iter().map(|(name, _)| name.clone()).collect();
        let tick = self
            .client
            .tick_schedules(&TickOptions {
                claim: CLAIM,
                most: MOST,
                // After an outage, and at the start, others need the time to say what they declare.
                retire_after: (self.steady_since.elapsed() >= RETIRE_AFTER).then_some(RETIRE_AFTER),
                forget_after: FORGET_AFTER,
                declare: if declares { &names } else { &[] },
            })
            .await?;
        let heard = Instant::now();
        if declares {
            self.declare_at = heard + DECLARE_EVERY;
        }
        if !tick.due.is_empty() {
            self.look_after(tick.due, tick.now, heard).await?;
            return Ok(Duration::ZERO);
        }
        let due_in = tick.next_at.map(|at| Duration::from_millis(at.saturating_sub(tick.now)));
        Ok(due_in
            .map_or(self.look_every, |due_in| due_in.min(self.look_every))
            .saturating_sub(heard.elapsed()))
    }

    /// After a new connection, which may lead to new data, finds what is declared and not there. What is there is left as it is:
    /// a newer release may have set it since.
    async fn find_missing(&mut self) -> Result<(), Error> {
        let generation = self.client.redis().generation();
        if generation <= self.generation {
            return Ok(());
        }
        for declared in &self.declared {
            match self.client.schedule(declared.0.as_str())?.show().await {
                Err(error) if error.is_not_found() => {
                    tracing::warn!(schedule = %declared.0, "schedule was gone and is set again");
                    self.to_set.push(declared.clone());
                }
                Err(error) if error.is_temporary() => return Err(error),
                _ => {}
            }
        }
        self.generation = generation;
        Ok(())
    }

    /// Sets what code declares and is not yet set.
    async fn set_declared(&mut self) -> Result<(), Error> {
        while let Some((name, spec)) = self.to_set.last() {
            match self.client.set_schedule(name, spec).await {
                Ok(Declared::Set) => tracing::info!(schedule = %name, "schedule set"),
                Ok(Declared::AsItWas) => {}
                Ok(Declared::SetByHand) => {
                    tracing::warn!(schedule = %name, "schedule was set by hand, which goes before what code declares; remove it to have this one");
                }
                Err(error) if error.is_temporary() => return Err(error),
                Err(error) => {
                    tracing::error!(%error, schedule = %name, "schedule was not set");
                }
            }
            self.to_set.pop();
        }
        Ok(())
    }

    async fn look_after(
        &mut self,
        due: Vec<Result<KeptSchedule, Error>>,
        now: u64,
        heard: Instant,
    ) -> Result<(), Error> {
        let due = due.into_iter().filter_map(|kept| {
            kept.inspect_err(|error| tracing::error!(%error, "a schedule was not looked after")).ok()
        });
        let steps = join_all(due.map(|kept| decide(&self.client, kept, now))).await;
        let steps: Vec<_> = steps
            .into_iter()
            .filter_map(|step| {
                step.inspect_err(|error| cut_off!(error, "a schedule is looked at again")).ok()
            })
            .collect();
        let mut planned = Vec::new();
        for step in self.write_down(steps, now).await? {
            let kept = step.kept.in_state(step.state);
            if kept.state.plan.is_some() {
                planned.push(kept);
            } else {
                self.watch(kept);
            }
        }

        let carried_out =
            join_all(planned.into_iter().map(|kept| carry_out(&self.client, kept, now, heard))).await;
        let steps = carried_out.into_iter().flatten().collect();
        for step in self.write_down(steps, now).await? {
            if let Some(plan) = &step.kept.state.plan {
                self.count(&step.kept, plan, step.at);
            }
            self.watch(step.kept.in_state(step.state));
        }
        Ok(())
    }

    /// Those that were not changed meanwhile: somebody else looks after the others.
    async fn write_down(&self, steps: Vec<Step>, now: u64) -> Result<Vec<Step>, Error> {
        let pairs: Vec<_> = steps.iter().map(|step| (&step.kept, &step.state)).collect();
        let written = self.client.step_schedules(&pairs, now).await?;
        Ok(steps.into_iter().zip(written).filter_map(|(step, written)| written.then_some(step)).collect())
    }

    /// Waits for the end of the job that holds up another.
    fn watch(&mut self, kept: KeptSchedule) {
        if kept.state.held.is_some() && self.watched.insert(kept.name.clone()) {
            let client = self.client.clone();
            self.watches.spawn(async move {
                client.schedule_ends(&kept, WATCH).await;
                kept.name
            });
        }
    }

    fn count(&self, kept: &KeptSchedule, plan: &Plan, now: u64) {
        let name = &kept.name;
        self.metrics.schedule_times(name, "started", plan.starts.len() as u64);
        self.metrics.schedule_times(name, "missed", plan.missed);
        self.metrics.schedule_times(name, "skipped", plan.skipped);
        for start in &plan.starts {
            let nominal = Timestamp::from_millisecond(start.nominal.cast_signed()).unwrap_or_default();
            let due = u64::try_from(kept.spec.due(name, nominal).as_millisecond()).unwrap_or(0);
            self.metrics.schedule_late(Duration::from_millis(now.saturating_sub(due)));
            tracing::debug!(schedule = %name, time = %nominal, "schedule started its job");
        }
        if plan.missed > 0 {
            tracing::warn!(schedule = %name, missed = plan.missed, "times were missed and are not made up");
        }
    }
}

/// What is to be written down: a plan, or when to look again.
async fn decide(client: &Client, kept: KeptSchedule, now: u64) -> Result<Step, Error> {
    if kept.state.plan.is_some() {
        let state = kept.state.clone();
        return Ok(Step { kept, state, at: now });
    }
    let busy = kept.spec.overlap != Overlap::Allow && client.schedule_is_busy(&kept).await?;
    let state = match kept.state.plan(&kept.name, &kept.spec, now, busy) {
        Some(plan) => kept.state.clone().planned(client.bind_plan(&kept, plan).await?),
        None => kept.state.clone(),
    };
    Ok(Step { kept, state, at: now })
}

/// Carries a plan out; `None` if that failed, and somebody does it again within two seconds.
async fn carry_out(client: &Client, kept: KeptSchedule, now: u64, heard: Instant) -> Option<Step> {
    let plan = kept.state.plan.as_ref()?;
    let carried_out = async {
        client.carry_out(&kept, plan).await?;
        let at = now + heard.elapsed().as_millis() as u64;
        Ok::<_, Error>((kept.state.clone().carried_out(&kept.name, &kept.spec, at)?, at))
    };
    match carried_out.await {
        Ok((state, at)) => Some(Step { kept, state, at }),
        Err(error) => {
            tracing::error!(%error, schedule = %kept.name, "schedule could not start its job; it is tried again");
            None
        }
    }
}
