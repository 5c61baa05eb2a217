//! Plays operations on the scripts and on the model, and compares.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
};

use ergate::{JobState, Key, Limit, UniqueScope};
use ergate_shared::key::QueueKey;
use proptest::sample::Index;

use super::{
    operation::{Job, Operation, Settling, When, key_name},
    queue::Queue,
};
use crate::story::by_hand::{ByHand, Entry, LEASE, Leased, START, failure, ids};

const CRASH_LIMIT: u32 = 3;
/// A look at all jobs costs more than most operations.
const LOOK_AT_ALL_EVERY: usize = 4;

type Done = Result<(), String>;

/// A queue in Redis beside its model.
pub(super) struct Rehearsal {
    redis: ByHand,
    model: Queue,
    seats: [Seat; 2],
    /// Every id that was ever enqueued.
    known: Vec<String>,
    /// Counts jobs, and with them payloads, so that no two records are alike.
    made: usize,
    joined: usize,
    played: usize,
}

/// A worker: who it is in the queue, and what it believes it holds.
#[derive(Debug, Default)]
struct Seat {
    worker: Option<String>,
    held: Vec<Leased>,
}

fn same<T: PartialEq + Debug>(what: &str, redis: T, model: T) -> Done {
    if redis == model { Ok(()) } else { Err(format!("{what}: redis has {redis:?}, the model {model:?}")) }
}

impl Rehearsal {
    pub(super) fn of(queue: ergate::Queue) -> Self {
        Self {
            redis: ByHand::on(queue),
            model: Queue::default(),
            seats: Default::default(),
            known: Vec::new(),
            made: 0,
            joined: 0,
            played: 0,
        }
    }

    pub(super) async fn play(&mut self, operation: &Operation) -> Done {
        let now = self.redis.now;
        match operation {
            Operation::EnqueuePlain { count, twice } => {
                let entries: Vec<_> = (0..*count).map(|_| self.entry()).collect();
                self.enqueue(&entries, *twice).await?;
            }
            Operation::Enqueue { job, twice } => {
                let entries = [self.entry(), self.special(job)];
                self.enqueue(&entries, *twice).await?;
            }
            Operation::Turn { first, ask, settle } => self.turn(usize::from(*first), *ask, settle).await?,
            Operation::Pass(ms) => self.redis.pass(*ms),
            Operation::Heartbeat(first) => self.heartbeat(usize::from(*first)).await?,
            Operation::Reap => self.reap().await?,
            Operation::Leave(first) => self.leave(usize::from(*first)).await?,
            Operation::Cancel(job) => {
                let Some(id) = self.pick(job) else { return Ok(()) };
                same(
                    "cancel",
                    self.redis.cancel(&id, "why").await,
                    self.model.cancel(&id, "why", now).to_owned(),
                )?;
            }
            Operation::Remove(job) => {
                let Some(id) = self.pick(job) else { return Ok(()) };
                same("remove", self.redis.remove(&id).await, self.model.remove(&id).to_owned())?;
            }
            Operation::Retry(job) => {
                let Some(id) = self.pick(job) else { return Ok(()) };
                same("retry", self.redis.retry(&id).await, self.model.retry(&id, now))?;
            }
            Operation::Promote(job) => {
                let Some(id) = self.pick(job) else { return Ok(()) };
                same("promote", self.redis.reschedule(&id, "").await, self.model.reschedule(&id, now, now))?;
            }
            Operation::Postpone(job, ms) => {
                let Some(id) = self.pick(job) else { return Ok(()) };
                let outcome = self.redis.reschedule(&id, &format!("+{ms}")).await;
                same("postpone", outcome, self.model.reschedule(&id, now + ms, now))?;
            }
            Operation::Update { job, stale } => self.update(job, *stale).await?,
            Operation::Pause => {
                self.redis.queue().pause().await.map_err(|error| error.to_string())?;
                self.model.paused = true;
            }
            Operation::Resume => {
                self.redis.queue().resume().await.map_err(|error| error.to_string())?;
                self.model.paused = false;
            }
            Operation::Limit(most) => {
                let limit = most.map(|most| most as u32);
                self.redis.queue().set_concurrency(limit).await.map_err(|error| error.to_string())?;
                self.model.concurrency = *most;
            }
            Operation::LimitKeys(name, most) => self.limit_keys(key_name(*name), *most).await?,
            Operation::PauseKey(name, value, pauses) => {
                let key = Key::new(key_name(*name), value.to_string()).expect("it is short");
                let queue = self.redis.queue();
                let done = if *pauses { queue.pause_key(&key).await } else { queue.resume_key(&key).await };
                done.map_err(|error| error.to_string())?;
                if *pauses {
                    self.model.paused_keys.insert(key);
                } else {
                    self.model.paused_keys.remove(&key);
                }
            }
            Operation::Sweep => same("sweep", self.redis.sweep().await, self.model.sweep(now))?,
        }
        self.compare().await
    }

    async fn limit_keys(&mut self, name: &str, most: Option<u64>) -> Done {
        let queue = self.redis.queue();
        let done = match most {
            Some(most) => {
                self.model.limits.insert(name.to_owned(), most);
                queue.set_limit(&Limit::per_key(name).concurrency(most as u32)).await
            }
            None => {
                self.model.limits.remove(name);
                queue.clear_limit(name).await
            }
        };
        done.map_err(|error| error.to_string())
    }

    fn pick(&self, job: &Index) -> Option<String> {
        (!self.known.is_empty()).then(|| job.get(&self.known).clone())
    }

    fn entry(&mut self) -> Entry {
        self.made += 1;
        let mut entry = Entry::new(format!("job-{:03}", self.made));
        entry.payload = self.made.to_string().into_bytes();
        entry
    }

    fn special(&mut self, job: &Job) -> Entry {
        let mut entry = self.entry().priority(job.priority);
        entry.when = match job.when {
            When::Now => String::new(),
            When::In(ms) => format!("+{ms}"),
            When::AtStartPlus(ms) => format!("@{}", START + ms),
        };
        if let Some(number) = job.own_id {
            entry.id = format!("own-{number}");
            entry.own_id = true;
        }
        if let Some((scope, key, window, replace)) = job.unique {
            let key = format!("key-{key}");
            entry = match scope {
                0 => entry.unique(UniqueScope::Started, &key),
                1 => entry.unique(UniqueScope::Finished, &key),
                _ => entry.unique_within(&key, window),
            };
            if replace {
                entry = entry.replace();
            }
        }
        for (first, value) in [(true, job.keys.0), (false, job.keys.1)] {
            if let Some(value) = value {
                entry = entry.key(key_name(first), value);
            }
        }
        entry.expiry = job.expiry;
        entry
    }

    async fn enqueue(&mut self, entries: &[Entry], twice: bool) -> Done {
        let now = self.redis.now;
        let outcomes = self.redis.enqueue_all(entries).await;
        let due = |entry: &Entry| match entry.when.split_at_checked(1) {
            Some(("+", ms)) => now + ms.parse::<u64>().expect("a number"),
            Some(("@", at)) => at.parse().expect("a number"),
            _ => now,
        };
        // A call puts in its plain jobs first.
        let model: Vec<_> = entries.iter().map(|entry| self.model.enqueue(entry, due(entry), now)).collect();
        same("enqueue", &outcomes, &model)?;
        for entry in entries {
            if !self.known.contains(&entry.id) {
                self.known.push(entry.id.clone());
            }
        }
        if twice {
            same("enqueue again", self.redis.enqueue_again(entries).await, model)?;
        }
        Ok(())
    }

    async fn turn(&mut self, seat: usize, ask: usize, settle: &[(Index, Settling)]) -> Done {
        let now = self.redis.now;
        if self.seats[seat].worker.is_none() {
            self.joined += 1;
            let worker = format!("w{}", self.joined);
            self.redis.join(&worker).await;
            self.model.workers.insert(worker.clone(), now + LEASE);
            self.seats[seat].worker = Some(worker);
        }
        let worker = self.seats[seat].worker.clone().expect("it has joined");
        let mut settles = Vec::new();
        for (index, settling) in settle {
            let held = &mut self.seats[seat].held;
            if held.is_empty() {
                break;
            }
            let job = held.remove(index.index(held.len()));
            settles.push(match settling {
                Settling::Complete => job.complete("7"),
                Settling::Retry(delay) => job.retry(*delay),
                Settling::Snooze(delay) => job.snooze(*delay),
                Settling::HandBack => job.hand_back(),
                Settling::Bury => job.bury(),
                Settling::Discard => job.discard(),
                Settling::Cancel => job.cancel("not needed"),
            });
        }
        // A call settles its plain completions first.
        settles.sort_by_key(|settle| !settle.kind.is_empty());

        let turn = self.redis.turn(&worker, ask, &settles).await;
        let stale: Vec<_> = settles
            .iter()
            .filter(|settle| !self.model.settle(settle, now))
            .map(|settle| settle.id.clone())
            .collect();
        same("stale", turn.stale, stale)?;
        let token = turn.leased.first().map(|job| job.token.clone()).unwrap_or_else(|| format!("{worker}.-"));
        let code = self.model.lease(&worker, &token, ask, now, &ids(&turn.leased))?;
        same("code", turn.code.as_str(), code)?;
        if self.model.has_keys() {
            self.adopt_expired().await;
        }
        for job in &turn.leased {
            let model = self.model.leased(&job.id);
            same("what came with the lease", (&job.record, job.tries), (&model.record, model.tries))?;
        }
        same("held", turn.held, self.model.held(&worker))?;
        let next = self.model.next_due().map_or(-1, |due| due.saturating_sub(now) as i64);
        same("next", turn.next, next)?;
        if !self.model.ready().is_empty() {
            same("more", turn.more, true)?;
        }
        self.seats[seat].held.extend(turn.leased);
        if code == "lapsed" {
            self.seats[seat].worker = None;
        }
        Ok(())
    }

    /// A call whose room was filled by jobs with keys may have seen expired ones before.
    async fn adopt_expired(&mut self) {
        let now = self.redis.now;
        for id in self.model.expired_in_front(now) {
            if self.redis.state(&id).await == Some(JobState::Dead) {
                self.model.expire_started(&id, now);
            }
        }
    }

    async fn heartbeat(&mut self, seat: usize) -> Done {
        let Some(worker) = self.seats[seat].worker.clone() else { return Ok(()) };
        let now = self.redis.now;
        let beat = self.redis.heartbeat(&worker).await;
        if !self.model.is_alive(&worker, now) {
            self.seats[seat].worker = None;
            return same("heartbeat", beat.code.as_str(), "lapsed");
        }
        let asked = self.model.heartbeat(&worker, now + LEASE);
        same("heartbeat", beat.code.as_str(), "ok")?;
        same("held", beat.held, self.model.held(&worker))?;
        let told: BTreeSet<_> = beat.cancelled.into_iter().collect();
        same("cancelled", told, asked.into_iter().collect())
    }

    async fn reap(&mut self) -> Done {
        let now = self.redis.now;
        let workers: Vec<_> = self.model.workers.keys().cloned().collect();
        for worker in workers {
            let reaped = self.redis.reap(&worker, CRASH_LIMIT).await;
            if self.model.is_alive(&worker, now) {
                same("reap", reaped, ("alive".to_owned(), 0, 0))?;
                continue;
            }
            let (returned, dead) = self.model.reap(&worker, CRASH_LIMIT, &failure("crashed"), now);
            same("reap", reaped, ("ok".to_owned(), returned, dead))?;
        }
        Ok(())
    }

    async fn leave(&mut self, seat: usize) -> Done {
        let Some(worker) = self.seats[seat].worker.take() else { return Ok(()) };
        let holding = self.redis.leave(&worker).await;
        same("leave", holding, self.model.held(&worker))?;
        if holding == 0 {
            self.model.workers.remove(&worker);
        }
        Ok(())
    }

    async fn update(&mut self, job: &Index, stale: bool) -> Done {
        let Some(id) = self.pick(job) else { return Ok(()) };
        let mut before = self.model.jobs.get(&id).map(|job| job.record.clone()).unwrap_or_default();
        if stale {
            before.push(0);
        }
        let mut after = before.clone();
        after.extend(b" edited");
        let outcome = self.redis.update(&id, &before, &after).await;
        same("update", outcome, self.model.update(&id, &before, &after))
    }

    /// The numbers after each operation, and everything else that can be seen after each few.
    async fn compare(&mut self) -> Done {
        let stats = self.redis.queue().stats().await.map_err(|error| error.to_string())?;
        if !stats.adds_up() {
            return Err(format!("does not add up: {stats:?}"));
        }
        for state in JobState::ALL {
            same(state.as_str(), stats.count(state), self.model.count(state))?;
        }
        self.played += 1;
        if self.played.is_multiple_of(LOOK_AT_ALL_EVERY) { self.compare_all().await } else { Ok(()) }
    }

    async fn compare_all(&self) -> Done {
        let (now, model) = (self.redis.now, &self.model);
        for (id, seen) in self.known.iter().zip(self.redis.inspect(&self.known).await) {
            let seen = seen.map(|job| (job.state, job.detail, job.record, job.tries, job.failure));
            let expected = model.jobs.get(id).map(|job| {
                let (state, detail) = job.state.told();
                (state, detail, job.record.clone(), job.tries, job.failure.clone())
            });
            same(id, seen, expected)?;
        }
        let mut look = redis::pipe();
        look.hgetall(self.redis.key(QueueKey::unique));
        for key in [QueueKey::windows, QueueKey::expiring] {
            look.zrange_withscores(self.redis.key(key), 0, -1);
        }
        type Seen = (BTreeMap<String, String>, BTreeMap<String, u64>, BTreeMap<String, u64>);
        let seen = self.redis.queue().client().redis().pipeline("a look", &look).await;
        let (unique, windows, expiring): Seen = seen.map_err(|error| error.to_string())?;
        let held = unique.into_iter().filter(|(key, _)| windows.get(key).is_none_or(|until| *until > now));
        let expected =
            model.unique.keys().filter_map(|key| Some((key.clone(), model.holder_of(key, now)?.to_owned())));
        same::<BTreeMap<_, _>>("unique keys", held.collect(), expected.collect())?;
        let expected = model.jobs.iter().filter_map(|(id, job)| Some((id.clone(), job.expires_at?)));
        same::<BTreeMap<_, _>>("expiries", expiring, expected.collect())
    }

    /// Runs and removes all that is left, and looks for what it leaves behind.
    pub(super) async fn clear_away(mut self) -> Done {
        self.compare_all().await?;
        self.play(&Operation::Resume).await?;
        self.play(&Operation::Limit(None)).await?;
        for name in [true, false] {
            self.play(&Operation::LimitKeys(name, None)).await?;
            for value in 0..3 {
                self.play(&Operation::PauseKey(name, value, false)).await?;
            }
        }
        self.redis.pass(2 * LEASE);
        self.play(&Operation::Reap).await?;
        self.redis.pass(15 * 86_400_000);
        self.play(&Operation::Sweep).await?;
        self.seats = Default::default();
        loop {
            self.turn(0, 100, &[]).await?;
            self.compare_all().await?;
            if self.model.count(JobState::Ready) == 0 {
                break;
            }
        }
        let worker = self.seats[0].worker.clone().unwrap_or_default();
        let held: Vec<_> = self.seats[0].held.drain(..).map(|job| job.discard()).collect();
        self.redis.turn(&worker, 0, &held).await;
        for id in &self.known {
            self.redis.remove(id).await;
        }
        self.redis.sweep().await;
        // What is left of the ready list are withdrawn entries: a turn drops them.
        self.redis.turn(&worker, 100, &[]).await;
        // And what was asked of jobs that had ended by then is dropped by a heartbeat.
        self.redis.heartbeat(&worker).await;

        let stays = [QueueKey::meta, QueueKey::producers, QueueKey::wake, QueueKey::workers, QueueKey::held];
        let mut left = Vec::new();
        for key in QueueKey::all().filter(|key| !stays.contains(key)) {
            let exists = redis::cmd("EXISTS").arg(self.redis.key(key)).to_owned();
            let exists: bool =
                self.redis.queue().client().redis().command("EXISTS", &exists).await.expect("redis answers");
            if exists {
                left.push(key);
            }
        }
        same("what is left behind", left, Vec::new())
    }
}
