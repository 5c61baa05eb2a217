//! Enqueues of one queue: what goes into the script, and what it says.
//!
//! Calls are numbered, so that the script can tell a call whose reply was lost, or that arrives after it was sent again,
//! from a new one.

use std::{
    borrow::Cow,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use ergate_shared::{JobId, QueueName, key::QueueKeys, script};
use uuid::Uuid;

use crate::{
    Error, Redis,
    coalesce::{Coalescer, Haul, until_answered},
    handle::call_worker,
};

/// The most jobs of one call: enough that a call's fixed cost vanishes, few enough that it takes Redis about a millisecond.
const MOST_JOBS: usize = 1000;
/// The most bytes of one call, unless one job alone has more.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// A job as it goes into the script.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) id: JobId,
    pub(crate) record: Vec<u8>,
    /// Whatever keeps it from being plain: time, own id, unique key, keys, expiry, priority.
    pub(crate) special: Option<Special>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Special {
    /// `""` now, `+ms` or `@ms`.
    pub(crate) when: String,
    pub(crate) own_id: bool,
    /// Until when a router may enqueue it, in ms since the epoch.
    pub(crate) routed_until: Option<u64>,
    pub(crate) window_ms: Option<u64>,
    pub(crate) on_conflict: Cow<'static, str>,
    pub(crate) expiry_ms: Option<u64>,
    /// What options of a function say about the start of a run, as `lua/lib/start.lua` reads it.
    pub(crate) rules: String,
}

/// What became of one job of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Taken {
    New,
    Exists,
    Held(String),
    Late,
    /// Options of its function let it not start.
    Dropped,
    /// It starts once the worker that runs another under this token has ended that.
    Asked(String),
}

/// The call that an enqueue went with: by this one can tell later whether a server has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Made {
    /// Its number.
    pub(crate) number: u64,
    /// The [generation](Redis::generation) of the connection it was answered over.
    pub(crate) over: u64,
}

/// The enqueues of one queue.
pub(crate) struct Enqueues {
    pub(crate) redis: Redis,
    pub(crate) keys: QueueKeys,
    queues_key: String,
    pub(crate) queue: QueueName,
    pub(crate) producer: String,
    deadline: Duration,
    /// Takes everything instead of Redis.
    #[cfg(feature = "testing")]
    recording: Option<crate::Outbox>,
    /// The connection on which the queue was last put into the list of queues.
    registered: AtomicU64,
    enqueued: AtomicU64,
    duplicates: AtomicU64,
}

/// Puts jobs in, those of many callers with one call.
pub(crate) type Batcher = Coalescer<Enqueues>;

impl Batcher {
    /// New jobs and refused duplicates so far.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let haul = self.haul();
        (haul.enqueued.load(Ordering::Relaxed), haul.duplicates.load(Ordering::Relaxed))
    }

    /// Puts jobs in with a call of their own, under a producer and a number that the caller keeps: whoever makes the same
    /// call again within an hour changes nothing, even if the jobs have ended and are gone.
    pub(crate) async fn submit_numbered(
        &self,
        drafts: &[Draft],
        producer: &str,
        number: u64,
    ) -> Result<Vec<Taken>, Error> {
        let deadline = self.haul().deadline;
        let (taken, _) =
            self.haul().call(&drafts.iter().collect::<Vec<_>>(), producer, number, deadline).await?;
        Ok(taken)
    }
}

impl Haul for Enqueues {
    type Item = Draft;
    type Outcome = (Taken, Made);
    const MOST_ITEMS: usize = MOST_JOBS;
    const MOST_BYTES: usize = MOST_BYTES;

    fn size(draft: &Draft) -> usize {
        draft.record.len()
    }

    fn deadline(&self) -> Duration {
        self.deadline
    }

    async fn send(
        &self,
        drafts: Vec<&Draft>,
        number: u64,
        left: Duration,
    ) -> Result<Vec<(Taken, Made)>, Error> {
        #[cfg(feature = "testing")]
        if let Some(outbox) = &self.recording {
            let taken = outbox.take(&self.queue, &drafts);
            return Ok(taken.into_iter().map(|taken| (taken, Made::default())).collect());
        }
        let (taken, over) = self.call(&drafts, &self.producer, number, left).await?;
        Ok(taken.into_iter().map(|taken| (taken, Made { number, over })).collect())
    }
}

impl Enqueues {
    /// What became of each job, and the generation of the connection that said so.
    async fn call(
        &self,
        drafts: &[&Draft],
        producer: &str,
        number: u64,
        deadline: Duration,
    ) -> Result<(Vec<Taken>, u64), Error> {
        let plain = || drafts.iter().filter(|draft| draft.special.is_none());
        let mut call = script::JOB_ENQUEUE
            .on(&self.keys)
            .arg("")
            .arg(producer)
            .number(number)
            .number(plain().count() as u64);
        for draft in plain() {
            call.push(draft.id.as_str());
            call.push(&draft.record);
        }
        for draft in drafts {
            let Some(special) = &draft.special else { continue };
            let optional = |ms: Option<u64>| ms.map(|ms| ms.to_string()).unwrap_or_default();
            call.push(draft.id.as_str());
            call.push(&draft.record);
            call.push(&special.when);
            call.push(special.own());
            call.push(optional(special.window_ms));
            call.push(special.on_conflict.as_bytes());
            call.push(optional(special.expiry_ms));
            call.push(&special.rules);
        }
        let ((now, _, outcomes), over): ((u64, String, Vec<String>), u64) =
            until_answered(deadline, &self.queue, || async {
                self.register().await?;
                self.redis.run_and_tell(&call).await
            })
            .await?;
        self.redis.saw_time(now);
        let taken = read(drafts, outcomes)?;
        for taken in &taken {
            if let Taken::Asked(token) = taken {
                call_worker(&self.redis, &self.keys, token).await;
            }
        }
        let new = taken.iter().filter(|taken| matches!(taken, Taken::New | Taken::Asked(_))).count();
        self.enqueued.fetch_add(new as u64, Ordering::Relaxed);
        self.duplicates.fetch_add((taken.len() - new) as u64, Ordering::Relaxed);
        Ok((taken, over))
    }
}

impl Special {
    /// Whether the id is the caller's own, and until when a router may use it, as the script reads it.
    fn own(&self) -> String {
        match self.routed_until {
            Some(until) => format!("!{until}"),
            None if self.own_id => "1".to_owned(),
            None => String::new(),
        }
    }
}

fn read(drafts: &[&Draft], outcomes: Vec<String>) -> Result<Vec<Taken>, Error> {
    let mut outcomes = outcomes.into_iter();
    drafts
        .iter()
        .map(|draft| {
            if draft.special.is_none() {
                return Ok(Taken::New);
            }
            let outcome = outcomes.next().unwrap_or_else(|| "no reply for one of the jobs".to_owned());
            match outcome.as_str() {
                "" => Ok(Taken::New),
                "exists" => Ok(Taken::Exists),
                "late" => Ok(Taken::Late),
                "dropped" => Ok(Taken::Dropped),
                other => match other.split_once(' ') {
                    Some(("held", holder)) => Ok(Taken::Held(holder.to_owned())),
                    Some(("asked", token)) => Ok(Taken::Asked(token.to_owned())),
                    _ => Err(ergate_shared::Error::Reply { script: "job/enqueue", reply: outcome }.into()),
                },
            }
        })
        .collect()
}

impl Enqueues {
    pub(crate) fn new(
        redis: Redis,
        keys: QueueKeys,
        queues_key: String,
        queue: QueueName,
        deadline: Duration,
        #[cfg(feature = "testing")] recording: Option<crate::Outbox>,
    ) -> Self {
        let producer = Uuid::now_v7().simple().to_string();
        Self {
            redis,
            keys,
            queues_key,
            queue,
            producer,
            deadline,
            #[cfg(feature = "testing")]
            recording,
            registered: AtomicU64::new(0),
            enqueued: AtomicU64::new(0),
            duplicates: AtomicU64::new(0),
        }
    }

    /// Puts the queue into the list of queues once per connection, as a new one may lead to new data.
    async fn register(&self) -> Result<(), Error> {
        let generation = self.redis.generation();
        if self.registered.load(Ordering::Relaxed) == generation && generation > 0 {
            return Ok(());
        }
        let mut add = redis::cmd("SADD");
        add.arg(&self.queues_key).arg(self.queue.as_str());
        self.redis.command::<()>("SADD", &add).await?;
        self.registered.store(self.redis.generation(), Ordering::Relaxed);
        Ok(())
    }
}
