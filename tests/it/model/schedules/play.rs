//! Plays operations on the scripts and on the model, and keeps a ledger of what was started.

use std::{collections::BTreeMap, fmt::Debug};

use ergate::{Client, Namespace};
use ergate_shared::{
    ScheduleName,
    key::ScheduleKeys,
    schedule::{CatchUp, Overlap, Plan, ScheduleSpec, ScheduleState},
    script::{self, Call},
};
use jiff::Timestamp;
use redis::FromRedisValue;

use super::{
    kept::{CLAIM, Kept, MEMORY, Next, SILENCE},
    operation::{Change, Cut, NAMES, Operation, Plain},
};
use crate::{
    model::Met,
    story::{
        Story,
        by_hand::{ByHand, Entry},
    },
};

type Done = Result<(), String>;

/// Who is at the terminal.
const PERSON: usize = 2;

pub(super) struct Play {
    client: Client,
    keys: ScheduleKeys,
    jobs: ByHand,
    model: Kept,
    actors: [Vec<Work>; 3],
    /// By the name of a schedule and a time: how often a job was started for it.
    started: BTreeMap<(String, u64), u64>,
    /// Schedules of which every time is to be started, and after when.
    owed_since: BTreeMap<String, u64>,
    births: u64,
    met: Met,
}

/// What somebody has begun to do with a schedule it has read.
#[derive(Debug, Clone)]
struct Work {
    name: ScheduleName,
    /// `None` for one that is new.
    spec: Option<ScheduleSpec>,
    as_read: String,
    stage: Stage,
    /// What is to be done once no plan is left.
    then: Option<Change>,
}

#[derive(Debug, Clone)]
enum Stage {
    Decide,
    CarryOut,
    Finish,
    Change,
}

fn same<T: PartialEq + Debug>(what: &str, redis: T, model: T) -> Done {
    if redis == model { Ok(()) } else { Err(format!("{what}: redis has {redis:?}, the model {model:?}")) }
}

impl Play {
    pub(super) fn new(story: &Story, number: u32) -> Self {
        let namespace: Namespace = format!("schedules-{number}").parse().expect("it is a name");
        let queue = story.client.queue(&format!("ticks-{number}")).expect("it is a name");
        Self {
            client: story.client.clone(),
            keys: ScheduleKeys::new(&namespace),
            jobs: ByHand::on(queue),
            model: Kept::default(),
            actors: Default::default(),
            started: BTreeMap::new(),
            owed_since: BTreeMap::new(),
            births: 0,
            met: Met::default(),
        }
    }

    async fn run<T: FromRedisValue>(&self, call: &Call) -> T {
        self.client.redis().run(call).await.expect("the script runs")
    }

    pub(super) async fn play(&mut self, operation: &Operation) -> Done {
        match operation {
            Operation::Tick { ticker, declares, retires } => self.tick(*ticker, *declares, *retires).await?,
            Operation::Begin { name, change } => self.begin(NAMES[*name], change).await?,
            Operation::Step { actor, busy, cut } => self.step(*actor, *busy, *cut).await?,
            Operation::Dies(actor) => self.actors[*actor].clear(),
            Operation::Remove(name) => {
                let call = script::SCHEDULE_REMOVE.on_schedules(&self.keys).arg(NAMES[*name]);
                self.owed_since.remove(NAMES[*name]);
                same("removed", self.run::<u64>(&call).await, self.model.remove(NAMES[*name]))?;
            }
            Operation::Pass(ms) => self.jobs.pass(*ms),
            Operation::Forget => {
                for id in self.started.keys().map(|(id, _)| id.clone()).collect::<Vec<_>>() {
                    self.jobs.remove(&id).await;
                }
            }
        }
        self.compare().await
    }

    async fn tick(&mut self, ticker: usize, declares: bool, retires: bool) -> Done {
        let now = self.jobs.now;
        let declares: &[&str] = if declares { &NAMES } else { &[] };
        let mut call = script::SCHEDULE_TICK
            .on_schedules(&self.keys)
            .arg(now.to_string())
            .number(CLAIM)
            .number(100_u64)
            .arg(if retires { SILENCE.to_string() } else { String::new() })
            .number(MEMORY);
        for name in declares {
            call.push(name);
        }
        let (_, due, next): (u64, Vec<(String, String, String)>, i64) = self.run(&call).await;
        let (expected, first) = self.model.tick(now, retires, declares);
        same("handed out", due.iter().map(|(name, ..)| name.clone()).collect(), expected)?;
        same("next", next, first.map_or(-1, |at| at as i64))?;
        for (name, definition, state) in due {
            self.met.insert(("schedule/tick", "handed out".to_owned()));
            let name: ScheduleName = name.parse().expect("it is a name");
            let spec = ScheduleSpec::read(&name, &definition).expect("it reads");
            let stage = stage_of(&name, &state);
            self.actors[ticker].push(Work { name, spec: Some(spec), as_read: state, stage, then: None });
        }
        for name in self.owed_since.keys().cloned().collect::<Vec<_>>() {
            if !self.model.definitions.contains_key(&name) {
                self.met.insert(("schedule/tick", "forgotten".to_owned()));
                self.owed_since.remove(&name);
            }
        }
        Ok(())
    }

    async fn begin(&mut self, name: &str, change: &Change) -> Done {
        let call = script::SCHEDULE_READ.on_schedules(&self.keys).arg(self.jobs.now.to_string()).arg(name);
        let (_, mut found): (u64, Vec<Option<(String, String, String)>>) = self.run(&call).await;
        let found = found.remove(0);
        let expected = self.model.definitions.get(name).map(|definition| {
            let retired = self.model.retired.get(name).map(u64::to_string).unwrap_or_default();
            (definition.clone(), self.model.states[name].clone(), retired)
        });
        same("read", &found, &expected)?;
        let name: ScheduleName = name.parse().expect("it is a name");
        let work = match (found, change) {
            (None, Change::Set(_)) => Work {
                name,
                spec: None,
                as_read: String::new(),
                stage: Stage::Change,
                then: Some(change.clone()),
            },
            (None, _) => return Ok(()),
            (Some((definition, as_read, _)), _) => {
                let spec = Some(ScheduleSpec::read(&name, &definition).expect("it reads"));
                let stage = match stage_of(&name, &as_read) {
                    Stage::Decide => Stage::Change,
                    plan => plan,
                };
                Work { name, spec, as_read, stage, then: Some(change.clone()) }
            }
        };
        self.actors[PERSON].push(work);
        Ok(())
    }

    async fn step(&mut self, actor: usize, busy: bool, cut: Cut) -> Done {
        if self.actors[actor].is_empty() {
            return Ok(());
        }
        let work = self.actors[actor].remove(0);
        let goes_on = self.work(work.clone(), busy).await?;
        match cut {
            Cut::None => self.actors[actor].extend(goes_on),
            // Who has no answer begins anew: here, with what comes up next.
            Cut::ReplyLost => {}
            Cut::Twice => {
                let again = self.work(work, busy).await?;
                self.actors[actor].extend(again);
            }
        }
        Ok(())
    }

    /// Does one thing, and returns what is left to do.
    async fn work(&mut self, work: Work, busy: bool) -> Result<Option<Work>, String> {
        let now = self.jobs.now;
        let name = work.name.clone();
        let state = || ScheduleState::read(&name, &work.as_read).expect("it reads");
        match (&work.stage, &work.spec) {
            (Stage::Decide, Some(spec)) => {
                let following = match state().plan(&name, spec, now, busy && spec.overlap != Overlap::Allow) {
                    Some(plan) => state().planned(plan),
                    None => state(),
                };
                let stage = following.plan.is_some().then_some(Stage::CarryOut);
                let written = self.write(&work, &following, spec, "planned").await?;
                Ok(written.zip(stage).map(|(as_read, stage)| Work { as_read, stage, ..work }))
            }
            (Stage::CarryOut, Some(spec)) => {
                if let Some(plan) = &state().plan {
                    self.carry_out(&name, spec, &state(), plan).await?;
                }
                Ok(Some(Work { stage: Stage::Finish, ..work }))
            }
            (Stage::Finish, Some(spec)) => {
                let following = state().carried_out(&name, spec, now).expect("the ids are short");
                let written = self.write(&work, &following, spec, "carried out").await?;
                let then = work.then.clone();
                Ok(written.zip(then).map(|(as_read, _)| Work { as_read, stage: Stage::Change, ..work }))
            }
            (_, spec) => {
                match (work.then.clone(), spec) {
                    (Some(Change::Set(plain)), _) => self.set(&work, &plain).await?,
                    (Some(Change::Pause), Some(spec)) => {
                        let written = self.write(&work, &state().paused(now), spec, "paused").await?;
                        if written.is_some() {
                            self.owed_since.remove(name.as_str());
                        }
                    }
                    (Some(Change::Resume), Some(spec)) => {
                        let is_paused = state().paused_at.is_some();
                        let written = self.write(&work, &state().resumed(spec, now), spec, "resumed").await?;
                        if written.is_some() && is_paused {
                            self.owed_since.insert(name.to_string(), now);
                        }
                    }
                    _ => {}
                }
                Ok(None)
            }
        }
    }

    /// Takes the schedule from the state that was read to another, and returns that if nobody was quicker.
    async fn write(
        &mut self,
        work: &Work,
        state: &ScheduleState,
        spec: &ScheduleSpec,
        what: &str,
    ) -> Result<Option<String>, String> {
        let (name, following) = (work.name.to_string(), state.write());
        let look_at = state.due(&work.name, spec, self.jobs.now);
        let next = Next { name, as_read: work.as_read.clone(), following, look_at };
        let call = script::SCHEDULE_STEP
            .on_schedules(&self.keys)
            .arg(&next.name)
            .arg(&next.as_read)
            .arg(&next.following)
            .arg(look_at.map(|at| at.to_string()).unwrap_or_default());
        let codes: Vec<String> = self.run(&call).await;
        let expected = self.model.step(&next);
        same(what, codes[0].as_str(), expected)?;
        let met = if expected == "ok" { what } else { expected };
        self.met.insert(("schedule/step", met.to_owned()));
        Ok((expected == "ok").then_some(next.following))
    }

    async fn carry_out(
        &mut self,
        name: &ScheduleName,
        spec: &ScheduleSpec,
        state: &ScheduleState,
        plan: &Plan,
    ) -> Done {
        let Some(last) = plan.starts.last() else { return Ok(()) };
        let mut entries = Vec::new();
        for start in &plan.starts {
            let mut entry = Entry::new(start.starting(name, spec).expect("the id is short").id.as_str());
            entry.own_id = true;
            entries.push(entry);
        }
        let (code, outcomes) =
            self.jobs.enqueue_as(&state.producer(), last.number, self.jobs.now, &entries).await;
        self.met.insert(("job/enqueue", code.clone()));
        if code == "repeated" {
            return Ok(());
        }
        for ((start, entry), outcome) in plan.starts.iter().zip(entries).zip(outcomes) {
            if outcome.is_empty() {
                let count = self.started.entry((entry.id, start.nominal)).or_default();
                *count += 1;
                same("starts of one time", *count, 1)?;
            }
        }
        Ok(())
    }

    async fn set(&mut self, work: &Work, plain: &Plain) -> Done {
        let now = self.jobs.now;
        let index = NAMES.iter().position(|name| *name == work.name.as_str()).expect("it is one of them");
        let (name, spec) = plain.spec(index, self.jobs.queue().name().as_str());
        let (state, is_anew) = match &work.spec {
            None => {
                self.births += 1;
                (ScheduleState::new(format!("{name}-{}", self.births), &spec, now), true)
            }
            Some(before) => {
                let state = ScheduleState::read(&name, &work.as_read).expect("it reads");
                match before.recurrence == spec.recurrence {
                    true => (ScheduleState { revision: state.revision + 1, ..state }, false),
                    false => (state.set(&spec, now), true),
                }
            }
        };
        let look_at = state.due(&name, &spec, now);
        let next =
            Next { name: name.to_string(), as_read: work.as_read.clone(), following: state.write(), look_at };
        let call = script::SCHEDULE_SET
            .on_schedules(&self.keys)
            .arg(now.to_string())
            .arg(&next.name)
            .arg(&next.as_read)
            .arg(spec.write())
            .arg(&next.following)
            .arg(look_at.map(|at| at.to_string()).unwrap_or_default())
            .arg(if plain.by_code { "1" } else { "" });
        let (_, code): (u64, String) = self.run(&call).await;
        let expected = self.model.set(&next, &spec.write(), plain.by_code, now);
        same("set", code.as_str(), expected)?;
        self.met.insert(("schedule/set", code));
        if expected == "ok" && is_anew && state.paused_at.is_none() {
            self.owed_since.insert(next.name, now);
        }
        Ok(())
    }

    async fn compare(&self) -> Done {
        let keys = &self.keys;
        let mut look = redis::pipe();
        look.hgetall(&keys.definitions).hgetall(&keys.states);
        for times in [&keys.due, &keys.declared, &keys.retired] {
            look.zrange_withscores(times, 0, -1);
        }
        type Texts = BTreeMap<String, String>;
        type Times = BTreeMap<String, u64>;
        let seen = self.client.redis().pipeline("a look", &look).await;
        let (definitions, states, due, declared, retired): (Texts, Texts, Times, Times, Times) =
            seen.map_err(|error| error.to_string())?;
        same("kept", &Kept { definitions, states, due, declared, retired }, &self.model)
    }

    /// Everybody dies, and one ticker does all that is left: then no time is missing.
    pub(super) async fn end(mut self) -> Result<Met, String> {
        self.actors = Default::default();
        self.jobs.pass(CLAIM);
        loop {
            self.tick(0, true, false).await?;
            if self.actors[0].is_empty() {
                break;
            }
            while !self.actors[0].is_empty() {
                self.step(0, false, Cut::None).await?;
            }
            self.compare().await?;
        }
        let now = self.jobs.now;
        for (name, since) in &self.owed_since {
            let name: ScheduleName = name.parse().expect("it is a name");
            let spec = ScheduleSpec::read(&name, &self.model.definitions[name.as_str()]).expect("it reads");
            let state = ScheduleState::read(&name, &self.model.states[name.as_str()]).expect("it reads");
            same("a plan is left", state.plan.is_some(), false)?;
            // Under other policies, or after those of another, times may be passed over.
            if spec.catch_up != CatchUp::All(1000) || spec.overlap != Overlap::Allow || state.revision > 1 {
                continue;
            }
            let at = |ms: u64| Timestamp::from_millisecond(ms as i64).expect("it is in range");
            for time in spec.recurrence.after(at(*since)).take_while(|time| *time <= at(now)) {
                let id = spec.target.id(&name, time).expect("it is short").to_string();
                let nominal = time.as_millisecond() as u64;
                let count = self.started.get(&(id, nominal)).copied().unwrap_or(0);
                same(&format!("starts of {name} for {time}, set at {since}"), count, 1)?;
            }
        }
        Ok(self.met)
    }
}

fn stage_of(name: &ScheduleName, state: &str) -> Stage {
    let has_plan = ScheduleState::read(name, state).expect("it reads").plan.is_some();
    if has_plan { Stage::CarryOut } else { Stage::Decide }
}
