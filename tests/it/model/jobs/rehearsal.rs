//! Plays operations on the scripts and on the model, and compares.

use std::{collections::BTreeSet, fmt::Debug};

use ergate::{JobState, UniqueScope};
use ergate_shared::key::QueueKey;

use super::{
    letter::{Letter, key, limit_of, rate_of},
    operation::{Cut, Job, Operation, When, key_name},
    queue::Queue,
};
use crate::{
    model::Met,
    story::by_hand::{ByHand, Entry, LEASE, Leased, START, Settle},
};

mod look;

pub(super) const CRASH_LIMIT: u32 = 2;
/// A look at all jobs costs more than most operations.
const LOOK_AT_ALL_EVERY: usize = 4;
/// No call is under way longer than this, in ms: what producers did last is remembered for an hour.
const LONGEST_WAY: u64 = 600_000;

pub(super) type Done = Result<(), String>;

/// A queue in Redis beside its model.
pub(super) struct Rehearsal {
    pub(super) redis: ByHand,
    pub(super) model: Queue,
    pub(super) seats: [Seat; 2],
    /// Every id that was ever enqueued.
    pub(super) known: Vec<String>,
    /// How many calls each producer has made.
    pub(super) calls: [u64; 2],
    /// Counts jobs, and with them payloads, so that no two records are alike.
    pub(super) made: usize,
    pub(super) joined: usize,
    /// Calls that have not arrived, and when they were sent.
    bag: Vec<(u64, Letter)>,
    played: usize,
    /// Whether Redis has no memory left for what grows, whenever something comes that must be heard then.
    scarce: bool,
    /// Whether it has none now.
    full: bool,
    pub(super) met: Met,
}

/// A worker: who it is in the queue, and what it believes.
#[derive(Debug, Default)]
pub(super) struct Seat {
    pub(super) worker: Option<String>,
    pub(super) held: Vec<Leased>,
    /// What it said without an answer.
    pub(super) unsure: Vec<Settle>,
    /// All it ever held.
    pub(super) noted: Vec<Leased>,
}

pub(super) fn same<T: PartialEq + Debug>(what: &str, redis: T, model: T) -> Done {
    if redis == model { Ok(()) } else { Err(format!("{what}: redis has {redis:?}, the model {model:?}")) }
}

impl Rehearsal {
    pub(super) fn of(queue: ergate::Queue) -> Self {
        Self {
            redis: ByHand::on(queue),
            model: Queue::default(),
            seats: Default::default(),
            known: Vec::new(),
            calls: [0; 2],
            made: 0,
            joined: 0,
            bag: Vec::new(),
            played: 0,
            scarce: false,
            full: false,
            met: Met::default(),
        }
    }

    pub(super) async fn play(&mut self, operation: &Operation) -> Done {
        match operation {
            Operation::Cut(cut, operation) => {
                for letter in self.write(operation).await {
                    self.send_cut(*cut, letter).await?;
                }
            }
            Operation::Arrives(one) => {
                let now = self.redis.now;
                self.bag.retain(|(sent_at, _)| sent_at + LONGEST_WAY > now);
                if !self.bag.is_empty() {
                    let (_, letter) = self.bag.remove(one.index(self.bag.len()));
                    self.deliver(&letter).await?;
                }
            }
            operation => {
                let letters = self.write(operation).await;
                for letter in letters {
                    let reply = self.deliver(&letter).await?;
                    self.told(&letter, reply);
                }
                self.play_uncut(operation).await?;
            }
        }
        self.compare().await
    }

    async fn send_cut(&mut self, cut: Cut, letter: Letter) -> Done {
        match cut {
            Cut::ReplyLost => {
                self.deliver(&letter).await?;
                self.in_doubt(&letter);
            }
            Cut::Twice => {
                self.deliver(&letter).await?;
                let reply = self.deliver(&letter).await?;
                self.told(&letter, reply);
            }
            Cut::Late => {
                self.in_doubt(&letter);
                self.bag.push((self.redis.now, letter));
            }
        }
        Ok(())
    }

    /// What is sent in no letter: people who wait for the answer, time, and death.
    async fn play_uncut(&mut self, operation: &Operation) -> Done {
        if let Operation::Restart = operation {
            // It has come up with the room it was given at first.
            self.full = false;
        }
        self.fill_up().await;
        let (now, queue) = (self.redis.now, self.redis.queue().clone());
        let done = match operation {
            Operation::Pass(ms) => {
                self.redis.pass(*ms);
                Ok(())
            }
            Operation::Fill(full) => {
                self.scarce = *full;
                Ok(())
            }
            Operation::Dies(first) => {
                self.seats[usize::from(*first)] = Seat::default();
                Ok(())
            }
            Operation::Recover(first) => return self.recover(usize::from(*first)).await,
            Operation::JoinAgain(first) => return self.join_again(usize::from(*first)).await,
            Operation::Sweep => {
                let swept = self.redis.sweep().await;
                self.met.insert(("queue/sweep", "ok".to_owned()));
                return same("sweep", swept, self.model.sweep(now));
            }
            Operation::Reconcile => return self.reconcile().await,
            Operation::Pause => {
                self.model.paused = true;
                queue.pause().await
            }
            Operation::Resume => {
                self.model.paused = false;
                queue.resume().await
            }
            Operation::Concurrency(most) => {
                self.model.concurrency = *most;
                queue.set_concurrency(most.map(|most| most as u32)).await
            }
            Operation::Rate(pace) => {
                self.model.set_rate(*pace);
                queue.set_rate(pace.map(rate_of)).await
            }
            Operation::LimitKeys(name, limit) => {
                let name = key_name(*name);
                self.model.limits.set(name, *limit);
                match limit {
                    Some(limit) => queue.set_limit(&limit_of(name, limit)).await,
                    None => queue.clear_limit(name).await,
                }
            }
            Operation::PauseKey(name, value, pauses) => {
                let key = key(*name, *value);
                self.model.limits.pause(key.clone(), *pauses);
                self.redis.pause_key(&key, *pauses).await;
                Ok(())
            }
            _ => Ok(()),
        };
        done.map_err(|error| error.to_string())
    }

    /// Leaves no memory before a call that must be heard then, if it is scarce.
    pub(super) async fn fill_up(&mut self) {
        self.fill(self.scarce).await;
    }

    pub(super) async fn fill(&mut self, full: bool) {
        if self.full != full {
            self.redis.fill(full).await;
            self.full = full;
        }
    }

    /// As a worker does that was told of another number of jobs than it knows.
    async fn recover(&mut self, seat: usize) -> Done {
        let Some(worker) = self.seats[seat].worker.clone() else { return Ok(()) };
        let leases = self.redis.leases_of(&worker).await;
        same("leases", &leases, &self.model.leased_by(&worker))?;
        let held = leases.iter().map(|(id, _)| self.model.leased(id));
        self.seats[seat].held = held.collect();
        self.seats[seat].unsure.clear();
        Ok(())
    }

    async fn join_again(&mut self, seat: usize) -> Done {
        let Some(worker) = self.seats[seat].worker.clone() else { return Ok(()) };
        if !self.model.workers.contains_key(&worker) {
            return Ok(());
        }
        self.fill(false).await;
        self.redis.call_waiter(&worker).await;
        self.met.insert(("worker/join", "taken".to_owned()));
        same("join", self.redis.try_join(&worker).await.as_str(), "taken")
    }

    /// Nothing is to be repaired, whatever happened.
    async fn reconcile(&mut self) -> Done {
        self.fill(false).await;
        let workers: Vec<_> = (1..=self.joined).map(|number| format!("w{number}")).collect();
        let withdrawn = redis::cmd("HKEYS").arg(self.redis.key(QueueKey::withdrawn)).to_owned();
        let withdrawn = self.redis.queue().client().redis().command::<Vec<String>>("HKEYS", &withdrawn).await;
        let withdrawn = withdrawn.map_err(|error| error.to_string())?;
        // An entry of a job that is gone may stand in the list, as long as its mark does.
        let unmarked: Vec<_> = self.known.iter().filter(|id| !withdrawn.contains(id)).cloned().collect();
        for (kind, suspects) in [
            ("record", &self.known),
            ("unlisted", &unmarked),
            ("holder", &workers),
            ("flow", &vec!["0".to_owned()]),
        ] {
            same(kind, self.redis.repair(kind, suspects).await, 0)?;
        }
        Ok(())
    }

    pub(super) fn entry(&mut self) -> Entry {
        self.made += 1;
        let mut entry = Entry::new(format!("job-{:03}", self.made));
        entry.payload = self.made.to_string().into_bytes();
        entry
    }

    pub(super) fn special(&mut self, job: &Job) -> Entry {
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
        if let Some(unique) = &job.unique {
            let key = format!("key-{}", unique.key);
            entry = match unique.scope {
                0 => entry.unique(UniqueScope::Started, &key),
                1 => entry.unique(UniqueScope::Finished, &key),
                _ => entry.unique_within(&key, unique.window),
            };
            entry.on_conflict = unique.on_conflict;
        }
        for (first, value) in [(true, job.keys.0), (false, job.keys.1)] {
            if let Some(value) = value {
                entry = entry.key(key_name(first), value);
            }
        }
        entry.expiry = job.expiry;
        entry.tells = job.tells;
        entry
    }

    /// Runs and removes all that is left, and looks for what it leaves behind; says which transitions there were.
    pub(super) async fn clear_away(mut self) -> Result<Met, String> {
        self.compare_all().await?;
        self.scarce = false;
        self.fill(false).await;
        self.play(&Operation::Reconcile).await?;
        self.play(&Operation::Resume).await?;
        self.play(&Operation::Concurrency(None)).await?;
        self.play(&Operation::Rate(None)).await?;
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
        self.play(&Operation::Turn { first: false, ask: 0, settle: Vec::new() }).await?;
        self.play(&Operation::Leave(false)).await?;
        self.seats = Default::default();
        loop {
            self.play(&Operation::Turn { first: false, ask: 100, settle: Vec::new() }).await?;
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

        let stays = [
            QueueKey::meta,
            QueueKey::outbox,
            QueueKey::producers,
            QueueKey::wake,
            QueueKey::workers,
            QueueKey::held,
        ];
        let mut left = BTreeSet::new();
        for key in QueueKey::all().filter(|key| !stays.contains(key)) {
            let exists = redis::cmd("EXISTS").arg(self.redis.key(key)).to_owned();
            let exists: bool =
                self.redis.queue().client().redis().command("EXISTS", &exists).await.expect("redis answers");
            if exists {
                left.insert(key.name());
            }
        }
        same("what is left behind", left, BTreeSet::new())?;
        // So that the server is as quick to start again after thousands of sequences.
        let mut delete = redis::cmd("DEL");
        for key in stays {
            delete.arg(self.redis.key(key));
        }
        let deleted = self.redis.queue().client().redis().command::<u64>("DEL", &delete).await;
        deleted.map_err(|error| error.to_string())?;
        Ok(self.met)
    }
}
