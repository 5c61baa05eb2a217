//! Plays operations on the scripts and on the model, and compares.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
};

use ergate::JobState;
use ergate_shared::{
    key::{NameKeys, QueueKey, ShardKeys},
    run::{Journal, before},
    script::{self, Call},
};
use proptest::sample::Index;
use redis::FromRedisValue;

use super::{
    journal::{self, EVENT},
    operation::{Cut, Operation},
    router::Router,
    worker::{Letter, Worker},
    world::{State, World},
};
use crate::{
    model::Met,
    story::{
        Story,
        by_hand::{ByHand, Entry},
    },
};

pub(super) type Done = Result<(), String>;

/// Events are kept this long under their name, in ms.
const KEEP_RECENT: u64 = 60_000;
/// Nothing is under way longer than this, in ms.
const LONGEST_WAY: u64 = 600_000;

pub(super) struct Play {
    pub(super) jobs: ByHand,
    pub(super) shard: ShardKeys,
    pub(super) name: NameKeys,
    pub(super) world: World,
    pub(super) workers: [Worker; 2],
    pub(super) routers: [Router; 2],
    /// Every run there ever was.
    pub(super) known: Vec<String>,
    /// Run: who invoked it, and at which entry.
    pub(super) parents: BTreeMap<String, (String, u32)>,
    /// Counts what is to be unlike all others.
    pub(super) made: usize,
    pub(super) bag: Vec<(u64, Letter)>,
    calls: u64,
    /// Whether memory is full when workers and routers go on with what they have.
    full: bool,
    pub(super) met: Met,
}

pub(super) fn same<T: PartialEq + Debug>(what: &str, redis: T, model: T) -> Done {
    if redis == model { Ok(()) } else { Err(format!("{what}: redis has {redis:?}, the model {model:?}")) }
}

impl Play {
    pub(super) fn new(story: &Story, number: u32) -> Self {
        let namespace = format!("runs-{number}").parse().expect("it is a name");
        let queue = story.client.queue(&format!("fn/f{number}")).expect("it is a name");
        Self {
            jobs: ByHand::on(queue),
            shard: ShardKeys::new(&namespace, 0),
            name: NameKeys::new(&namespace, &EVENT.parse().expect("it is a name")),
            world: World::default(),
            workers: Default::default(),
            routers: [Router::named("r0"), Router::named("r1")],
            known: Vec::new(),
            parents: BTreeMap::new(),
            made: 0,
            bag: Vec::new(),
            calls: 0,
            full: false,
            met: Met::default(),
        }
    }

    /// Some runs are there and held from the beginning.
    pub(super) async fn begin_with(&mut self, runs: usize) -> Done {
        let ids: Vec<_> = (1..=runs).map(|number| format!("first-{number}")).collect();
        self.start(&ids, self.jobs.now).await?;
        self.lease(0, runs).await
    }

    pub(super) fn meets(&mut self, script: &'static str, code: &str) {
        self.met.insert((script, code.to_owned()));
    }

    pub(super) async fn play(&mut self, operation: &Operation) -> Done {
        match operation {
            Operation::Send { number, own, ahead, cut } => self.send(*number, *own, *ahead, *cut).await?,
            Operation::Read(router) => self.read(*router).await?,
            Operation::Route { router, cut } => self.route(*router, *cut).await?,
            Operation::RouteAll(router) => self.route_all(*router).await?,
            Operation::RouterDies(router) => self.routers[*router].batch = None,
            Operation::Tend { router, again } => self.tend(*router, *again).await?,
            Operation::Clean => self.clean().await?,
            Operation::Lease { worker, ask } => self.lease(*worker, *ask).await?,
            Operation::Act { worker, run, act, cut } => self.act(*worker, run, act, *cut).await?,
            Operation::WorkerDies(worker) => self.worker_dies(*worker).await?,
            Operation::Tell(cut) => self.tell(*cut).await?,
            Operation::Cancel(run) => self.cancel(run).await?,
            Operation::Retry(run) => self.retry(run).await?,
            Operation::Remove(run) => self.remove(run).await?,
            Operation::Fork { run, step, cut } => self.fork(run, step, *cut).await?,
            Operation::Arrives(letter) => {
                let now = self.jobs.now;
                self.bag.retain(|(sent_at, _)| sent_at + LONGEST_WAY > now);
                if !self.bag.is_empty() {
                    let (_, letter) = self.bag.remove(letter.index(self.bag.len()));
                    self.deliver(&letter).await?;
                }
            }
            Operation::Fill(full) => self.full = *full,
            Operation::Pass(ms) => self.jobs.pass(*ms),
            Operation::Look => self.look().await?,
        }
        self.compare().await
    }

    /// Calls a script that must work when memory is full.
    pub(super) async fn run_when_full<T: FromRedisValue>(&self, call: &Call) -> T {
        if !self.full {
            return self.jobs.run(call).await;
        }
        self.jobs.fill(true).await;
        let reply = self.jobs.run(call).await;
        self.jobs.fill(false).await;
        reply
    }

    fn pick(&self, run: &Index) -> Option<String> {
        (!self.known.is_empty()).then(|| run.get(&self.known).clone())
    }

    /// Starts runs as a router or a parent does, and returns what became of each.
    pub(super) async fn start(&mut self, ids: &[String], until: u64) -> Result<Vec<String>, String> {
        let (now, mut entries) = (self.jobs.now, Vec::new());
        for id in ids {
            let mut entry = Entry::new(id).routed();
            entry.owned_until = Some(until);
            entry.tells = true;
            entries.push(entry);
            if !self.known.contains(id) {
                self.known.push(id.clone());
            }
        }
        self.calls += 1;
        let (code, outcomes) = self.jobs.enqueue_as("starter", self.calls, now, &entries).await;
        same("start", code.as_str(), "ok")?;
        let expected = ids.iter().map(|id| self.world.start(id, until, now).to_owned()).collect();
        for outcome in &outcomes {
            self.meets("job/enqueue", if outcome.is_empty() { "ok" } else { outcome });
        }
        same("starts", &outcomes, &expected)?;
        Ok(outcomes)
    }

    async fn cancel(&mut self, run: &Index) -> Done {
        let Some(id) = self.pick(run) else { return Ok(()) };
        let expected = match self.world.runs.get(&id).map(|run| run.state.clone()) {
            None => "gone",
            Some(State::Ready | State::Scheduled(_)) => {
                self.world.end(&id, State::Cancelled);
                "ok"
            }
            Some(State::Leased(token)) => {
                self.world.cancels.insert(id.clone(), token);
                "asked"
            }
            Some(_) => "ended",
        };
        same("cancel", self.jobs.cancel(&id, "why").await.as_str(), expected)
    }

    async fn retry(&mut self, run: &Index) -> Done {
        let Some(id) = self.pick(run) else { return Ok(()) };
        let now = self.jobs.now;
        let outcome = self.jobs.retry(&id).await;
        let expected = match self.world.runs.get_mut(&id) {
            None => "gone",
            Some(run) => match run.state {
                State::Ready => "ready",
                State::Scheduled(_) => "scheduled",
                State::Leased(_) => "leased",
                State::Completed | State::Cancelled | State::Dead => {
                    (run.state, run.failures) = (State::Ready, 0);
                    if !run.journal.is_empty() {
                        run.journal.push(format!(r#"{{"step":"","at":{now},"op":"again"}}"#));
                        self.meets("job/retry", "again");
                    }
                    "ok"
                }
            },
        };
        same("retry", outcome.as_str(), expected)
    }

    async fn remove(&mut self, run: &Index) -> Done {
        let Some(id) = self.pick(run) else { return Ok(()) };
        let expected = match self.world.runs.get(&id).map(|run| run.state.clone()) {
            None => "gone",
            Some(State::Leased(_)) => "leased",
            Some(State::Ready | State::Scheduled(_)) => {
                self.world.end(&id, State::Cancelled);
                self.world.runs.remove(&id);
                "ok"
            }
            Some(_) => {
                self.world.runs.remove(&id);
                "ok"
            }
        };
        same("remove", self.jobs.remove(&id).await.as_str(), expected)
    }

    async fn fork(&mut self, run: &Index, step: &Index, cut: Cut) -> Done {
        let Some(origin) = self.pick(run) else { return Ok(()) };
        let journal = self.world.runs.get(&origin).map(|run| run.journal.clone()).unwrap_or_default();
        let mut read = Journal::default();
        for text in &journal {
            read.append(ergate_shared::run::Entry::from_json(text).expect("it reads"), text.len());
        }
        let steps: BTreeSet<_> = read.entries().iter().map(|entry| entry.step.clone()).collect();
        let step = steps.into_iter().collect::<Vec<_>>().get(step.index(journal.len().max(1))).cloned();
        let copies = step.and_then(|step| before(&read, &step)).unwrap_or_default();
        self.made += 1;
        let id = format!("fork-{}", self.made);
        let mut entry = Entry::new(&id);
        entry.tells = true;
        let mut call =
            self.jobs.call(&script::RUN_FORK).arg(&origin).arg(&id).arg(entry.record(self.jobs.now));
        for copy in &copies {
            call.push(copy.number.to_string());
            call.push(copy.text.as_deref().unwrap_or_default());
        }
        let mut codes = Vec::new();
        for _ in 0..if cut == Cut::Twice { 2 } else { 1 } {
            let (_, code): (u64, String) = self.jobs.run(&call).await;
            self.meets("run/fork", &code);
            codes.push(code);
        }
        if !self.world.runs.contains_key(&origin) {
            return same("fork", codes[0].as_str(), "gone");
        }
        same("fork", codes[0].as_str(), "ok")?;
        same("fork again", codes.get(1).map_or("exists", String::as_str), "exists")?;
        self.world.started(&id);
        let texts = copies.into_iter().map(|copy| match copy.text {
            Some(text) => text,
            None => journal[copy.number as usize - 1].clone(),
        });
        self.world.runs.get_mut(&id).expect("just started").journal = texts.collect();
        self.known.push(id);
        Ok(())
    }

    /// Brings the first of the ends that are to be told to the run that waits for it.
    pub(super) async fn tell(&mut self, cut: Cut) -> Done {
        let outbox = self.jobs.key(QueueKey::outbox).to_owned();
        let redis = self.jobs.queue().client().redis().clone();
        let mut read = redis::cmd("XRANGE");
        read.arg(&outbox).arg("-").arg("+").arg("COUNT").arg(1);
        let first: Vec<(String, BTreeMap<String, Vec<u8>>)> =
            redis.command("XRANGE", &read).await.map_err(|error| error.to_string())?;
        let id = first.first().map(|(_, fields)| String::from_utf8_lossy(&fields["id"]).into_owned());
        same("first in the outbox", id.as_ref(), self.world.outbox.front())?;
        let (Some(id), Some((place, _))) = (id, first.first()) else { return Ok(()) };
        if let Some((parent, entry)) = self.parents.get(&id).cloned() {
            let text = journal::result(entry, self.jobs.now, &id).text;
            self.deliver(&Letter::Delivery { run: parent.clone(), entry, text: text.clone() }).await?;
            if cut == Cut::Twice {
                self.deliver(&Letter::Delivery { run: parent, entry, text }).await?;
            }
        }
        if cut == Cut::None || cut == Cut::Twice {
            let delete = redis::cmd("XDEL").arg(&outbox).arg(place).to_owned();
            let _: u64 = redis.command("XDEL", &delete).await.map_err(|error| error.to_string())?;
            self.world.outbox.pop_front();
        }
        Ok(())
    }

    async fn clean(&mut self) -> Done {
        let now = self.jobs.now;
        let call =
            script::EVENT_CLEAN.on_name(&self.name).arg(now.to_string()).number(KEEP_RECENT).number(1000);
        let (_, code): (u64, String) = self.run_when_full(&call).await;
        self.world.recent.retain(|_, place| *place > now.saturating_sub(KEEP_RECENT) * 1000);
        self.world.waits.retain(|_, wait| wait.until > now);
        let is_empty = self.world.recent.is_empty() && self.world.waits.is_empty();
        if is_empty {
            (self.world.last, self.world.is_indexed) = (0, false);
        }
        self.meets("event/clean", &code);
        same("clean", code.as_str(), if is_empty { "empty" } else { "ok" })
    }

    /// What people see of journals.
    async fn look(&mut self) -> Done {
        let mut call = script::RUN_TAIL.on(self.jobs.queue().keys()).number(2).number(10_000);
        for id in &self.known {
            call.push(id);
        }
        let tails: Vec<Vec<redis::Value>> = self.jobs.run(&call).await;
        for (id, tail) in self.known.iter().zip(tails) {
            let run = self.world.runs.get(id);
            let count = run.map_or(0, |run| run.journal.len());
            let mut expected = vec![count.to_string()];
            for number in count.saturating_sub(2) + 1..=count {
                let run = run.expect("it has entries");
                let open = if run.open.contains(&(number as u32)) { "1" } else { "" };
                expected.extend([number.to_string(), run.journal[number - 1].clone(), open.to_owned()]);
            }
            let texts: Result<Vec<String>, _> = tail.into_iter().map(redis::from_redis_value).collect();
            same(id, texts.map_err(|error| error.to_string())?, expected)?;
        }
        Ok(())
    }

    pub(super) async fn compare(&mut self) -> Done {
        let ids = &self.known;
        for (id, seen) in ids.iter().zip(self.jobs.inspect(ids).await) {
            let seen = seen.map(|job| {
                let detail = if job.state == JobState::Leased { job.detail } else { String::new() };
                (job.state, detail, job.tries.failures)
            });
            let expected = self.world.runs.get(id).map(|run| {
                let (state, detail) = match &run.state {
                    State::Ready => (JobState::Ready, String::new()),
                    State::Scheduled(_) => (JobState::Scheduled, String::new()),
                    State::Leased(token) => (JobState::Leased, token.clone()),
                    State::Completed => (JobState::Completed, String::new()),
                    State::Cancelled => (JobState::Cancelled, String::new()),
                    State::Dead => (JobState::Dead, String::new()),
                };
                (state, detail, run.failures)
            });
            same(id, seen, expected)?;
        }
        let mut look = redis::pipe();
        look.hgetall(self.jobs.key(QueueKey::journal));
        for hash in [&self.name.waits, &self.name.bodies, &self.shard.started] {
            look.cmd("HKEYS").arg(hash);
        }
        type Seen = (BTreeMap<String, String>, BTreeSet<String>, BTreeSet<String>, BTreeSet<String>);
        let seen = self.jobs.queue().client().redis().pipeline("a look", &look).await;
        let (journal, waits, recent, routed): Seen = seen.map_err(|error| error.to_string())?;
        let mut expected = BTreeMap::new();
        for (id, run) in &self.world.runs {
            for (number, text) in (1..).zip(&run.journal) {
                expected.insert(format!("{id}.{number}"), text.clone());
            }
            expected.extend(run.open.iter().map(|number| (format!("{id}.{number}.open"), String::new())));
        }
        same("journals", journal, expected)?;
        same("waits", waits, self.world.waits.keys().cloned().collect())?;
        same("recent events", recent, self.world.recent.keys().cloned().collect())?;
        let expected = self.world.events.iter().filter(|(_, event)| event.routed);
        same("routed events", routed, expected.map(|(key, _)| key.clone()).collect())?;
        self.is_sound()
    }
}
