//! Workers by hand: they lease runs, write journals and let go; each call may meet with an accident.

use std::collections::BTreeSet;

use ergate::Tries;
use ergate_shared::{
    run::{Entry as Read, Op},
    script,
};
use proptest::sample::Index;

use super::{
    journal::{self, Write},
    operation::{Act, Cut},
    play::{Done, Play, same},
    world::{Event, Recorded, Settled, State, Wait},
};
use crate::story::by_hand::{LEASE, Settle};

/// As no run crashes its workers for good here.
const CRASH_LIMIT: u32 = 1_000_000;

const LOOKS_BACK: u64 = 30_000;
const DAY: u64 = 86_400_000;
const FIELD: &str = "data.number";

/// Who it is in the queue, and what it holds.
#[derive(Debug, Default)]
pub(super) struct Worker {
    pub(super) name: Option<String>,
    held: Vec<Held>,
}

/// A run as its worker knows it.
#[derive(Debug, Clone)]
struct Held {
    id: String,
    token: String,
    known: Vec<String>,
    failures: u32,
    /// What was written without an answer.
    doubt: Vec<Write>,
}

/// A call with all it says.
#[derive(Debug, Clone)]
pub(super) enum Letter {
    Event { key: String, own: String, event: Event },
    Record { run: String, token: String, known: usize, writes: Vec<Write> },
    Settle { worker: String, settle: Settle, to: Settled },
    Delivery { run: String, entry: u32, text: String },
}

impl Held {
    fn step(&self, mark: char) -> String {
        let steps: BTreeSet<_> = journal::steps(&self.known).into_iter().map(|(step, _)| step).collect();
        let names = (0..).map(|number| format!("{mark}{number}"));
        names.into_iter().find(|name| !steps.contains(name)).expect("there is always one more")
    }

    fn is_open(&self, entry: u32) -> bool {
        journal::steps(&self.known).iter().all(|(_, closes)| *closes != Some(entry))
    }

    fn open_waits(&self) -> impl Iterator<Item = (u32, Wait)> + '_ {
        journal::waits(&self.known).into_iter().filter(|(entry, _)| self.is_open(*entry))
    }
}

impl Play {
    pub(super) async fn lease(&mut self, worker: usize, ask: usize) -> Done {
        if let Some(name) = self.workers[worker].name.clone()
            && self.jobs.heartbeat(&name).await.code == "lapsed"
        {
            self.jobs.reap(&name, u32::MAX).await;
            self.reaped(&name);
            self.workers[worker] = Worker::default();
        }
        if self.workers[worker].name.is_none() {
            self.made += 1;
            let name = format!("w{}", self.made);
            self.jobs.join(&name).await;
            self.workers[worker].name = Some(name);
        }
        let name = self.workers[worker].name.clone().expect("it has joined");
        let now = self.jobs.now;
        let turn = self.jobs.turn(&name, ask, &[]).await;
        same("turn", turn.code.as_str(), "ok")?;
        self.world.promote(now);
        let ready = self.world.runs.values().filter(|run| run.state == State::Ready).count();
        same("leased", turn.leased.len(), ready.min(ask))?;
        for leased in turn.leased {
            let run =
                self.world.runs.get_mut(&leased.id).ok_or_else(|| format!("{} is no run", leased.id))?;
            same(&leased.id, &run.state, &State::Ready)?;
            same("entries", leased.steps as usize, run.journal.len())?;
            same("failures", leased.tries.failures, run.failures)?;
            run.state = State::Leased(leased.token.clone());
            let (id, token, known) = (leased.id, leased.token, run.journal.clone());
            let failures = leased.tries.failures;
            self.workers[worker].held.push(Held { id, token, known, failures, doubt: Vec::new() });
        }
        Ok(())
    }

    pub(super) async fn act(&mut self, worker: usize, run: &Index, act: &Act, cut: Cut) -> Done {
        if self.workers[worker].held.is_empty() {
            return Ok(());
        }
        let place = run.index(self.workers[worker].held.len());
        let held = self.workers[worker].held[place].clone();
        let now = self.jobs.now;
        if !held.doubt.is_empty() {
            let writes = held.doubt.clone();
            return self.write(worker, place, writes, Cut::None).await;
        }
        let to = match act {
            Act::Done => {
                return self.write(worker, place, vec![journal::done(held.step('s'), now)], cut).await;
            }
            Act::Wait(number, within) => {
                let wait = Wait { number: *number, since: now - LOOKS_BACK, until: now + within };
                let writes = vec![journal::wait(held.step('w'), now, &wait)];
                return self.write(worker, place, writes, cut).await;
            }
            Act::Invoke => {
                self.made += 1;
                let child = format!("child-{}", self.made);
                let queue = self.jobs.queue().name().to_string();
                let entry = journal::invoke(held.step('i'), now, &queue, &child, now + DAY);
                // Two steps that are done at once are written at once.
                let writes = vec![journal::done(held.step('s'), now), entry];
                return self.write(worker, place, writes, cut).await;
            }
            Act::Register => return self.register(worker, place, cut).await,
            Act::GiveUp => {
                let over = held.open_waits().find(|(_, wait)| wait.until <= now);
                let Some((entry, _)) = over else { return Ok(()) };
                return self.write(worker, place, vec![journal::timed_out(entry, now)], cut).await;
            }
            Act::Suspend(ms) => Settled::Suspended(now + ms, held.known.len() as u32),
            Act::Complete => Settled::Completed,
            Act::Fail => Settled::Failed(held.failures + 1),
            Act::TryAgain(ms) => Settled::TryAgain(*ms, held.failures + 1),
        };
        self.workers[worker].held.remove(place);
        let worker = self.workers[worker].name.clone().expect("it holds something");
        let settle = settle(&held, &to);
        let letter = Letter::Settle { worker, settle, to };
        match cut {
            Cut::Late => self.bag.push((now, letter)),
            Cut::Twice => {
                self.deliver(&letter).await?;
                self.deliver(&letter).await?;
            }
            Cut::None | Cut::ReplyLost => self.deliver(&letter).await?,
        }
        Ok(())
    }

    async fn write(&mut self, worker: usize, place: usize, writes: Vec<Write>, cut: Cut) -> Done {
        let held = &self.workers[worker].held[place];
        let (run, token, known) = (held.id.clone(), held.token.clone(), held.known.len());
        let letter = Letter::Record { run, token, known, writes };
        if cut == Cut::Late {
            self.bag.push((self.jobs.now, letter.clone()));
        } else {
            let recorded = self.record(&letter).await?;
            if cut == Cut::None {
                self.told(worker, place, &letter, recorded);
                return Ok(());
            }
        }
        let Letter::Record { writes, .. } = &letter else { return Ok(()) };
        if cut == Cut::Twice {
            let recorded = self.record(&letter).await?;
            self.told(worker, place, &letter, recorded);
        } else {
            self.workers[worker].held[place].doubt.clone_from(writes);
        }
        Ok(())
    }

    fn told(&mut self, worker: usize, place: usize, letter: &Letter, recorded: Recorded) {
        let Letter::Record { writes, .. } = letter else { return };
        let (code, before, unknown, numbers) = recorded;
        if code == "lost" {
            self.workers[worker].held.remove(place);
            return;
        }
        let held = &mut self.workers[worker].held[place];
        held.known.extend(unknown);
        let written = writes.iter().zip(numbers).filter(|(_, number)| *number > before);
        held.known.extend(written.map(|(write, _)| write.text.clone()));
        held.doubt.clear();
        held.failures = 0;
    }

    /// Registers the waits that are open as far as is known, and starts what is invoked: as a replay does.
    async fn register(&mut self, worker: usize, place: usize, cut: Cut) -> Done {
        let (held, now) = (self.workers[worker].held[place].clone(), self.jobs.now);
        for (entry, text) in (1..).zip(&held.known) {
            let op = Read::from_json(text).expect("it reads").op;
            if let Op::Invoke { job, .. } = op
                && held.is_open(entry)
            {
                self.start(&[job.to_string()], now + DAY).await?;
            }
        }
        let waits: Vec<_> = held.open_waits().filter(|(_, wait)| wait.until > now).collect();
        for (entry, wait) in waits {
            let who = format!("{} {} {entry}", self.jobs.queue().name(), held.id);
            let mut found = self.look_back(&who, &wait).await?;
            if cut == Cut::Twice {
                found = self.look_back(&who, &wait).await?;
            }
            if let Some(record) = found {
                return self.write(worker, place, vec![journal::found(entry, now, &record)], cut).await;
            }
        }
        Ok(())
    }

    /// The record of an event that was meant, or `None` once the wait is kept.
    async fn look_back(&mut self, who: &str, wait: &Wait) -> Result<Option<String>, String> {
        let now = self.jobs.now;
        let condition = journal::condition(wait.number);
        let (field, term) = condition.indexed();
        same("field", field, FIELD)?;
        let json = serde_json::to_string(&condition).expect("it is JSON");
        let kept = format!("{term} {} {}\n{json}", wait.since, wait.until);
        let (mut looked, mut looked_at_all) = ("0".to_owned(), "0".to_owned());
        loop {
            let call = script::EVENT_WAIT
                .on_name(&self.name)
                .arg(now.to_string())
                .arg(who)
                .arg(field)
                .arg(&term)
                .arg(&kept)
                .number(wait.since)
                .number(wait.until)
                .arg(&looked)
                .arg(&looked_at_all)
                .number(1);
            let mut reply = self.jobs.run::<Vec<redis::Value>>(&call).await.into_iter().skip(1);
            let mut word =
                || reply.next().map(|value| redis::from_redis_value::<String>(value).expect("text"));
            let code = word().expect("a code");
            self.meets("event/wait", &code);
            if !self.world.waits.contains_key(who) && !self.world.is_indexed {
                self.world.is_indexed = true;
                self.world.last = (now * 1000).max(self.world.last + 1);
            }
            if code == "kept" {
                if !self.world.waits.contains_key(who) {
                    same("missed", self.world.look_back(wait).next(), None)?;
                    self.world.waits.retain(|_, wait| wait.until > now);
                    self.world.waits.insert(who.to_owned(), wait.clone());
                }
                return Ok(None);
            }
            let (place, body) = (word().expect("a place"), word().expect("a body"));
            let mut lines = body.splitn(3, '\n').skip(1);
            let came = lines.next().and_then(|came| came.parse().ok()).unwrap_or(0);
            let record = lines.next().unwrap_or_default().to_owned();
            let is_meant = self
                .world
                .events
                .values()
                .any(|event| event.record == record && event.came == came && event.number == wait.number);
            if is_meant && came >= wait.since && came <= wait.until {
                return Ok(Some(record));
            }
            if code == "look" { looked_at_all = place } else { looked = place }
        }
    }

    /// A call arrives, at Redis and at the model.
    pub(super) async fn deliver(&mut self, letter: &Letter) -> Done {
        match letter {
            Letter::Event { key, own, event } => self.arrive(key, own, event).await,
            Letter::Record { .. } => self.record(letter).await.map(drop),
            Letter::Settle { worker, settle, to } => {
                let token = self.jobs.token(worker);
                let turn = self.jobs.turn_as(worker, &token, 0, std::slice::from_ref(settle)).await;
                let in_time = self.world.settle(&settle.id, &settle.token, to, self.jobs.now);
                self.world.promote(self.jobs.now);
                self.meets("worker/turn", if in_time { settle.kind } else { "stale" });
                same("settled", turn.stale.is_empty(), in_time)
            }
            Letter::Delivery { run, entry, text } => {
                let call = self.jobs.call(&script::RUN_DELIVER).arg(run).number(*entry).arg(text);
                let (_, codes): (u64, Vec<String>) = self.run_when_full(&call).await;
                self.meets("run/deliver", &codes[0]);
                same("delivered", codes[0].as_str(), self.world.deliver(run, *entry, text))
            }
        }
    }

    async fn record(&mut self, letter: &Letter) -> Result<Recorded, String> {
        let Letter::Record { run, token, known, writes } = letter else {
            return Err("it is no record".to_owned());
        };
        let mut call = script::RUN_RECORD
            .on(self.jobs.queue().keys())
            .arg(run)
            .arg(token)
            .number(*known as u64)
            .number(writes.len() as u64);
        for write in writes {
            call.push(write.closes.map(|number| number.to_string()).unwrap_or_default());
            call.push(if write.opens { "1" } else { "" });
            call.push(&write.text);
        }
        let recorded = self.run_when_full::<Vec<Recorded>>(&call).await.remove(0);
        same("recorded", &recorded, &self.world.record(run, token, *known, writes))?;
        self.meets("run/record", &recorded.0);
        for (write, number) in writes.iter().zip(&recorded.3) {
            if *number == 0 {
                self.meets("run/record", "closed");
            } else if *number <= recorded.1 {
                self.meets("run/record", "written before");
            }
            let op = Read::from_json(&write.text).expect("it reads").op;
            if let Op::Invoke { job, .. } = op {
                self.parents.insert(job.to_string(), (run.clone(), *number));
            }
        }
        Ok(recorded)
    }

    pub(super) fn reaped(&mut self, worker: &str) {
        for (id, run) in &mut self.world.runs {
            if let State::Leased(token) = run.state.clone()
                && token.split('.').next() == Some(worker)
            {
                run.state = State::Ready;
                if self.world.cancels.remove(id) == Some(token) {
                    run.state = State::Cancelled;
                    self.world.outbox.push_back(id.clone());
                }
            }
        }
    }

    pub(super) async fn worker_dies(&mut self, worker: usize) -> Done {
        let Some(name) = self.workers[worker].name.clone() else { return Ok(()) };
        self.workers[worker] = Worker::default();
        // The other one lives on.
        for _ in 0..2 {
            self.jobs.pass(LEASE / 2 + 1);
            if let Some(other) = &self.workers[1 - worker].name {
                self.jobs.heartbeat(other).await;
            }
        }
        let (code, ..) = self.jobs.reap(&name, CRASH_LIMIT).await;
        same("reap", code.as_str(), "ok")?;
        self.reaped(&name);
        Ok(())
    }
}

fn settle(held: &Held, to: &Settled) -> Settle {
    let tried = |failures| Some(Tries { failures, ..Tries::default() });
    let (kind, delay, tries, detail) = match to {
        Settled::Suspended(due, known) => ("suspend", *due, None, known.to_string()),
        Settled::TryAgain(ms, failures) => ("retry", *ms, tried(*failures), String::new()),
        Settled::Completed => ("tell", 0, None, "1".to_owned()),
        Settled::Failed(failures) => ("dead", 0, tried(*failures), "{}".to_owned()),
    };
    Settle { id: held.id.clone(), token: held.token.clone(), kind, delay, tries, detail }
}
