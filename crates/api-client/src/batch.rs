//! Natural batching of enqueues: while one call is in flight the next jobs pile up, and the next call takes them all.
//!
//! No linger timer and no task that waits: the first caller spawns a flusher, which ends when nothing is left. There is
//! one call in flight per queue and client, and calls are numbered, so that the script can tell a call whose reply was
//! lost, or that arrives after it was sent again, from a new one.

use std::{
    borrow::Cow,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use ergate_shared::{JobId, QueueName, key::QueueKeys, script};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::{Error, Redis, link::longer};

/// The most jobs of one call: enough that a call's fixed cost vanishes, few enough that it takes Redis about a millisecond.
const MOST_JOBS: usize = 1000;
/// The most bytes of one call, unless one job alone has more.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// A job as it goes into the script.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) id: JobId,
    pub(crate) record: Vec<u8>,
    /// Whatever keeps it from being plain: time, own id, unique key, keys, expiry, priority.
    pub(crate) special: Option<Special>,
}

#[derive(Debug, Default)]
pub(crate) struct Special {
    /// `""` now, `+ms` or `@ms`.
    pub(crate) when: String,
    pub(crate) own_id: bool,
    pub(crate) window_ms: Option<u64>,
    pub(crate) on_conflict: Cow<'static, str>,
    pub(crate) expiry_ms: Option<u64>,
}

/// What became of one job of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Taken {
    New,
    Exists,
    Held(String),
}

type Reply = Result<Vec<Taken>, Arc<Error>>;

struct Request {
    drafts: Vec<Draft>,
    reply: oneshot::Sender<Reply>,
}

#[derive(Clone)]
pub(crate) struct Batcher {
    shared: Arc<Shared>,
}

struct Shared {
    redis: Redis,
    keys: QueueKeys,
    queues_key: String,
    queue: QueueName,
    producer: String,
    deadline: Duration,
    /// Takes everything instead of Redis.
    #[cfg(feature = "testing")]
    recording: Option<crate::Outbox>,
    state: Mutex<State>,
    enqueued: AtomicU64,
    duplicates: AtomicU64,
}

#[derive(Default)]
struct State {
    pending: Vec<Request>,
    flushing: bool,
    /// The number of the last call.
    calls: u64,
    /// The connection on which the queue was last put into the list of queues.
    registered: u64,
}

impl Batcher {
    pub(crate) fn new(
        redis: Redis,
        keys: QueueKeys,
        queues_key: String,
        queue: QueueName,
        deadline: Duration,
        #[cfg(feature = "testing")] recording: Option<crate::Outbox>,
    ) -> Self {
        let producer = Uuid::now_v7().simple().to_string();
        let shared = Shared {
            redis,
            keys,
            queues_key,
            queue,
            producer,
            deadline,
            #[cfg(feature = "testing")]
            recording,
            state: Mutex::default(),
            enqueued: AtomicU64::new(0),
            duplicates: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// New jobs and refused duplicates so far.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.shared.enqueued.load(Ordering::Relaxed), self.shared.duplicates.load(Ordering::Relaxed))
    }

    /// Puts jobs in with the next call; all of them in the same one.
    pub(crate) async fn submit(&self, drafts: Vec<Draft>) -> Reply {
        #[cfg(feature = "testing")]
        if let Some(outbox) = &self.shared.recording {
            return Ok(outbox.take(&self.shared.queue, drafts));
        }
        let (reply, answer) = oneshot::channel();
        let start = {
            let mut state = self.shared.state();
            state.pending.push(Request { drafts, reply });
            !std::mem::replace(&mut state.flushing, true)
        };
        if start {
            // A task of its own, so that a caller that goes away does not take the others' jobs along.
            tokio::spawn(Arc::clone(&self.shared).flush());
        }
        answer
            .await
            .unwrap_or_else(|_| Err(Arc::new(Error::Server("the runtime is shutting down".to_owned()))))
    }

    /// Puts jobs in with a call of their own, under a producer and a number that the caller keeps: whoever makes the same
    /// call again within an hour changes nothing, even if the jobs have ended and are gone.
    pub(crate) async fn submit_numbered(
        &self,
        drafts: &[Draft],
        producer: &str,
        number: u64,
    ) -> Result<Vec<Taken>, Error> {
        self.shared.send(&drafts.iter().collect::<Vec<_>>(), producer, number).await
    }
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the next call takes, with its number; `None` once nothing is left.
    fn next_batch(&self) -> Option<(Vec<Request>, u64)> {
        let mut state = self.state();
        let (mut jobs, mut bytes, mut requests) = (0, 0, 0);
        for request in &state.pending {
            jobs += request.drafts.len();
            bytes += request.drafts.iter().map(|draft| draft.record.len()).sum::<usize>();
            if requests > 0 && (jobs > MOST_JOBS || bytes > MOST_BYTES) {
                break;
            }
            requests += 1;
        }
        if requests == 0 {
            state.flushing = false;
            return None;
        }
        state.calls += 1;
        let batch = state.pending.drain(..requests).collect();
        Some((batch, state.calls))
    }

    async fn flush(self: Arc<Self>) {
        while let Some((batch, number)) = self.next_batch() {
            let drafts: Vec<_> = batch.iter().flat_map(|request| &request.drafts).collect();
            let outcome = self.send(&drafts, &self.producer, number).await;
            match outcome {
                Ok(mut taken) => {
                    for request in batch.into_iter().rev() {
                        let own = taken.split_off(taken.len() - request.drafts.len());
                        let _ = request.reply.send(Ok(own));
                    }
                }
                Err(error) => {
                    let error = Arc::new(error);
                    for request in batch {
                        let _ = request.reply.send(Err(Arc::clone(&error)));
                    }
                }
            }
        }
    }

    /// Sends one call until it is answered or the deadline is over.
    async fn send(&self, drafts: &[&Draft], producer: &str, number: u64) -> Result<Vec<Taken>, Error> {
        let started = Instant::now();
        let mut pause = Duration::from_millis(20);
        let drafts = || drafts.iter().copied();
        let mut call = script::JOB_ENQUEUE
            .on(&self.keys)
            .arg("")
            .arg(producer)
            .number(number)
            .number(drafts().filter(|draft| draft.special.is_none()).count() as u64);
        for draft in drafts().filter(|draft| draft.special.is_none()) {
            call.push(draft.id.as_str());
            call.push(&draft.record);
        }
        for draft in drafts() {
            let Some(special) = &draft.special else { continue };
            let optional = |ms: Option<u64>| ms.map(|ms| ms.to_string()).unwrap_or_default();
            call.push(draft.id.as_str());
            call.push(&draft.record);
            call.push(&special.when);
            call.push(if special.own_id { "1" } else { "" });
            call.push(optional(special.window_ms));
            call.push(special.on_conflict.as_bytes());
            call.push(optional(special.expiry_ms));
        }
        loop {
            let sent = async {
                self.register().await?;
                self.redis.run::<(u64, String, Vec<String>)>(&call).await
            };
            match sent.await {
                Ok((now, _, outcomes)) => {
                    self.redis.saw_time(now);
                    let taken = self.read(drafts(), outcomes)?;
                    let new = taken.iter().filter(|taken| **taken == Taken::New).count();
                    self.enqueued.fetch_add(new as u64, Ordering::Relaxed);
                    self.duplicates.fetch_add((taken.len() - new) as u64, Ordering::Relaxed);
                    return Ok(taken);
                }
                Err(error) if error.is_connection() && started.elapsed() + pause < self.deadline => {
                    tracing::debug!(queue = %self.queue, %error, "enqueue is sent again");
                    tokio::time::sleep(pause).await;
                    pause = longer(pause);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn read<'a>(
        &self,
        drafts: impl Iterator<Item = &'a Draft>,
        outcomes: Vec<String>,
    ) -> Result<Vec<Taken>, Error> {
        let mut outcomes = outcomes.into_iter();
        drafts
            .map(|draft| {
                if draft.special.is_none() {
                    return Ok(Taken::New);
                }
                let outcome = outcomes.next().unwrap_or_else(|| "no reply for one of the jobs".to_owned());
                match outcome.as_str() {
                    "" => Ok(Taken::New),
                    "exists" => Ok(Taken::Exists),
                    other => match other.strip_prefix("held ") {
                        Some(holder) => Ok(Taken::Held(holder.to_owned())),
                        None => {
                            Err(ergate_shared::Error::Reply { script: "job/enqueue", reply: outcome }.into())
                        }
                    },
                }
            })
            .collect()
    }

    /// Puts the queue into the list of queues once per connection, as a new one may lead to new data.
    async fn register(&self) -> Result<(), Error> {
        let generation = self.redis.generation();
        if self.state().registered == generation && generation > 0 {
            return Ok(());
        }
        let mut add = redis::cmd("SADD");
        add.arg(&self.queues_key).arg(self.queue.as_str());
        self.redis.command::<()>("SADD", &add).await?;
        self.state().registered = self.redis.generation();
        Ok(())
    }
}
