//! A queue worked by hand: the scripts are called as a client and a worker call them, and every call says what time it is.

use std::collections::BTreeMap;

use ergate::{JobName, JobRecord, Key, Lane, Priority, Tries, UniqueScope};
use ergate_shared::{
    ending,
    key::QueueKey,
    script::{self, Call},
};
use redis::FromRedisValue;

use super::Story;

mod entry;
mod jobs;
mod leased;

pub(crate) use entry::{Entry, plain};
pub(crate) use leased::{Leased, Settle, failure, ids};

/// The time at which stories by hand begin, in ms since the epoch.
pub(crate) const START: u64 = 1_700_000_000_000;
/// How long the lease of a worker by hand is, in ms.
pub(crate) const LEASE: u64 = 15_000;
/// Bytes of log kept of a job.
pub(crate) const MOST_LOG: usize = 20;

/// One queue, its scripts and a clock that is set.
#[derive(Debug, Clone)]
pub(crate) struct ByHand {
    queue: ergate::Queue,
    producer: String,
    calls: u64,
    turns: u64,
    /// What every call says the time is, in ms since the epoch.
    pub(crate) now: u64,
}

/// What a turn answered.
#[derive(Debug, Clone)]
pub(crate) struct Turn {
    pub(crate) code: String,
    pub(crate) held: u64,
    /// In ms until a job falls due or a rate opens; -1 none.
    pub(crate) next: i64,
    pub(crate) more: bool,
    pub(crate) leased: Vec<Leased>,
    pub(crate) stale: Vec<String>,
}

/// What a heartbeat answered.
#[derive(Debug, Clone)]
pub(crate) struct Beat {
    pub(crate) code: String,
    pub(crate) held: u64,
    /// In ms until a job falls due or the rate of a key opens; -1 none.
    pub(crate) next: i64,
    /// Whether jobs wait to be leased.
    pub(crate) backlog: bool,
    /// In ms until the first lease of all workers ends.
    pub(crate) first_end: i64,
    /// Whether ends are kept that somebody is to be told of.
    pub(crate) told: bool,
    pub(crate) cancelled: Vec<String>,
}

impl Story {
    /// The story's queue, worked by hand.
    pub(crate) fn by_hand(&self) -> ByHand {
        ByHand::on(self.queue())
    }
}

impl ByHand {
    pub(crate) fn on(queue: ergate::Queue) -> Self {
        Self { queue, producer: "by hand".to_owned(), calls: 0, turns: 0, now: START }
    }

    pub(crate) fn queue(&self) -> &ergate::Queue {
        &self.queue
    }

    /// Lets time pass, in ms.
    pub(crate) fn pass(&mut self, ms: u64) {
        self.now += ms;
    }

    pub(crate) fn key(&self, key: QueueKey) -> &str {
        self.queue.keys().get(key)
    }

    pub(crate) async fn run<T: FromRedisValue>(&self, call: &Call) -> T {
        self.queue.client().redis().run(call).await.unwrap_or_else(|error| {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            panic!("script {} failed: {error}: {source:?}", call.script.name)
        })
    }

    /// Leaves Redis no memory for what grows, or room again.
    pub(crate) async fn fill(&self, full: bool) {
        let mut set = redis::cmd("CONFIG");
        set.arg("SET").arg("maxmemory").arg(u8::from(full));
        let set = self.queue.client().redis().command::<String>("CONFIG", &set).await;
        set.expect("redis takes settings");
    }

    /// A call of a script that is told the time first.
    pub(crate) fn call(&self, script: &'static script::Script) -> Call {
        script.on(self.queue.keys()).arg(self.now.to_string())
    }

    /// Puts the queue on the list of queues, as clients do before they first enqueue into it.
    async fn list(&self) {
        let client = self.queue.client();
        let mut add = redis::cmd("SADD");
        add.arg(&client.registry_keys().queues).arg(self.queue.name().as_str());
        client.redis().command::<()>("SADD", &add).await.unwrap();
    }

    /// Enqueues with one call, and returns what became of each job: `""`, `exists` or `held <id>`.
    pub(crate) async fn enqueue_all(&mut self, entries: &[Entry]) -> Vec<String> {
        self.calls += 1;
        let (code, outcomes) = self.enqueue_as(&self.producer, self.calls, self.now, entries).await;
        assert_eq!(code, "ok");
        outcomes
    }

    /// Enqueues one job, and returns what became of it: `""`, `exists` or `held <id>`.
    pub(crate) async fn enqueue(&mut self, entry: Entry) -> String {
        self.enqueue_all(&[entry]).await.remove(0)
    }

    /// Sends the last call once more, as after a lost reply: the jobs have to be those of that call, and the time its time.
    pub(crate) async fn enqueue_again(&mut self, entries: &[Entry]) -> Vec<String> {
        let (code, outcomes) = self.enqueue_as(&self.producer, self.calls, self.now, entries).await;
        assert_eq!(code, "repeated");
        outcomes
    }

    /// One call of a producer, by its number, with records as they were written then: `ok` or `repeated`, and what became of
    /// each job.
    pub(crate) async fn enqueue_as(
        &self,
        producer: &str,
        number: u64,
        written_at: u64,
        entries: &[Entry],
    ) -> (String, Vec<String>) {
        if number == 1 {
            self.list().await;
        }
        let plain = || entries.iter().filter(|entry| entry.is_plain());
        let mut call =
            self.call(&script::JOB_ENQUEUE).arg(producer).number(number).number(plain().count() as u64);
        for entry in plain() {
            call.push(&entry.id);
            call.push(entry.record(written_at));
        }
        let optional = |ms: Option<u64>| ms.map(|ms| ms.to_string()).unwrap_or_default();
        for entry in entries.iter().filter(|entry| !entry.is_plain()) {
            call.push(&entry.id);
            call.push(entry.record(written_at));
            call.push(&entry.when);
            call.push(match (entry.routed, entry.own_id) {
                (true, _) => format!("!{}", entry.owned_until.unwrap_or(self.now + 10_000)),
                (false, own_id) => if own_id { "1" } else { "" }.to_owned(),
            });
            call.push(optional(entry.window));
            call.push(entry.on_conflict);
            call.push(optional(entry.expiry));
            call.push(&entry.rules);
        }
        let (_, code, others): (u64, String, Vec<String>) = self.run(&call).await;
        let mut others = others.into_iter();
        let outcomes = entries.iter().map(|entry| match entry.is_plain() {
            true => String::new(),
            false => others.next().expect("one outcome per job that is not plain"),
        });
        (code, outcomes.collect())
    }

    pub(crate) async fn join(&self, worker: &str) {
        assert_eq!(self.try_join(worker).await, "ok", "{worker}");
    }

    /// Answers `ok` or `taken`.
    /// Has a worker look at its queues again.
    pub(crate) async fn call_waiter(&self, worker: &str) {
        let bell = self.queue.keys().call(&ergate_shared::WorkerId::of_token(worker));
        let _: u64 = self.run(&script::WAITER_CALL.on_bell(&bell).arg("0").number(60_u32)).await;
    }

    pub(crate) async fn try_join(&self, worker: &str) -> String {
        let call = self.call(&script::WORKER_JOIN).arg(worker).number(LEASE);
        let (_, code): (u64, String) = self.run(&call).await;
        code
    }

    pub(crate) async fn pause_key(&self, key: &Key, pauses: bool) {
        let pauses = if pauses { "1" } else { "" };
        let call = self.call(&script::QUEUE_PAUSE_KEY).arg(key.to_string()).arg(pauses);
        let _: (u64, u64) = self.run(&call).await;
    }

    /// Answers how many jobs keep the worker from leaving.
    pub(crate) async fn leave(&self, worker: &str) -> u64 {
        let call = script::WORKER_LEAVE.on(self.queue.keys()).arg(worker);
        let (code, held): (String, u64) = self.run(&call).await;
        assert_eq!(code == "ok", held == 0);
        held
    }

    pub(crate) async fn heartbeat(&self, worker: &str) -> Beat {
        let call = self.call(&script::WORKER_HEARTBEAT).arg(worker).number(LEASE);
        let (_, code, held, next, backlog, first_end, told, cancelled): (
            u64,
            String,
            u64,
            i64,
            u64,
            i64,
            u64,
            Vec<(String, String)>,
        ) = self.run(&call).await;
        let cancelled = cancelled.into_iter().map(|(id, _)| id).collect();
        Beat { code, held, next, backlog: backlog == 1, first_end, told: told == 1, cancelled }
    }

    /// Leases up to `ask` jobs.
    pub(crate) async fn lease(&mut self, worker: &str, ask: usize) -> Vec<Leased> {
        self.turn(worker, ask, &[]).await.leased
    }

    /// Settles and leases nothing; panics if an outcome came too late.
    pub(crate) async fn settle(&mut self, worker: &str, settles: &[Settle]) {
        let turn = self.turn(worker, 0, settles).await;
        assert_eq!(turn.stale, Vec::<String>::new());
    }

    pub(crate) async fn turn(&mut self, worker: &str, ask: usize, settles: &[Settle]) -> Turn {
        let token = self.token(worker);
        self.turn_as(worker, &token, ask, settles).await
    }

    /// The token of a worker's next turn.
    pub(crate) fn token(&mut self, worker: &str) -> String {
        self.turns += 1;
        format!("{worker}.{}", self.turns)
    }

    /// A turn that leases under this token.
    pub(crate) async fn turn_as(&self, worker: &str, token: &str, ask: usize, settles: &[Settle]) -> Turn {
        let completed = || settles.iter().filter(|settle| settle.kind.is_empty());
        let mut call = self
            .call(&script::WORKER_TURN)
            .arg(worker)
            .arg(token)
            .number(ask as u64)
            .number(completed().count() as u64);
        // Each under a token of its own: the script takes any grouping.
        for settle in completed() {
            call.push(&settle.token);
            call.push("1");
        }
        let (mut end, now) = (Vec::new(), self.now);
        for settle in completed() {
            call.push(&settle.id);
            call.push(ending::write(&mut end, ending::COMPLETED, now, settle.detail.as_ref()));
        }
        for settle in settles.iter().filter(|settle| !settle.kind.is_empty()) {
            call.push(settle.kind);
            call.push(&settle.id);
            call.push(&settle.token);
            call.push(settle.delay.to_string());
            call.push(settle.tries.map(Tries::to_text).unwrap_or_default());
            match settle.kind {
                "complete" | "tell" => {
                    call.push(ending::write(&mut end, ending::COMPLETED, now, settle.detail.as_ref()));
                }
                _ => call.push(&settle.detail),
            }
        }
        type Reply = (
            u64,
            String,
            u64,
            i64,
            u64,
            Vec<String>,
            Vec<Vec<u8>>,
            Vec<Option<String>>,
            Vec<Option<u32>>,
            Vec<String>,
        );
        let (_, code, held, next, more, ids, records, tries, steps, stale): Reply = self.run(&call).await;
        let leased = ids
            .into_iter()
            .zip(records)
            .zip(tries.into_iter().chain(std::iter::repeat(None)))
            .zip(steps.into_iter().chain(std::iter::repeat(None)))
            .map(|(((id, record), tries), steps)| Leased {
                id,
                token: token.to_owned(),
                record,
                tries: tries.map(|text| Tries::parse(&text).unwrap()).unwrap_or_default(),
                steps: steps.unwrap_or(0),
            })
            .collect();
        Turn { code, held, next, more: more == 1, leased, stale }
    }

    /// Every lease with its token, by id.
    pub(crate) async fn leases(&self) -> BTreeMap<String, String> {
        let get = redis::cmd("HGETALL").arg(self.key(QueueKey::leased)).to_owned();
        self.queue.client().redis().command("HGETALL", &get).await.unwrap()
    }

    /// What a worker holds, in the order of the ids.
    pub(crate) async fn leases_of(&self, worker: &str) -> Vec<(String, String)> {
        let leases = self.leases().await.into_iter();
        leases.filter(|(_, token)| token.split('.').next() == Some(worker)).collect()
    }

    /// Takes back what a worker holds, in the order of the ids; answers `alive` or `ok`, and how many jobs went back and how
    /// many are dead.
    pub(crate) async fn reap(&self, worker: &str, crash_limit: u32) -> (String, u64, u64) {
        self.reap_these(worker, crash_limit, &self.leases_of(worker).await).await
    }

    /// The same, of what was read of its leases.
    pub(crate) async fn reap_these(
        &self,
        worker: &str,
        crash_limit: u32,
        leases: &[(String, String)],
    ) -> (String, u64, u64) {
        let mut call =
            self.call(&script::WORKER_REAP).arg(worker).number(crash_limit).arg(failure("crashed")).arg("1");
        for (id, token) in leases {
            call.push(id);
            call.push(token);
        }
        let (_, code, returned, dead): (u64, String, u64, u64) = self.run(&call).await;
        (code, returned, dead)
    }

    /// Answers the ids whose lease is lost.
    pub(crate) async fn note(&self, kind: &str, job: &Leased, text: &str) -> Vec<String> {
        let call = script::WORKER_NOTE.on(self.queue.keys()).number(MOST_LOG as u64);
        self.run(&call.arg(kind).arg(&job.id).arg(&job.token).arg(text)).await
    }

    /// Answers how many repairs were made.
    pub(crate) async fn repair(&self, kind: &str, suspects: &[String]) -> u64 {
        let mut call = script::QUEUE_REPAIR.on(self.queue.keys()).arg(kind);
        for suspect in suspects {
            call.push(suspect);
        }
        let (repaired, _): (u64, String) = self.run(&call).await;
        repaired
    }

    /// Answers how many were trimmed, and how many were past their expiry.
    pub(crate) async fn sweep(&self) -> (u64, u64) {
        let call = self.call(&script::QUEUE_SWEEP).number(500).number(0);
        let (_, code, trimmed, expired, _): (u64, String, u64, u64, u64) = self.run(&call).await;
        assert_eq!(code, "ok");
        (trimmed, expired)
    }
}
