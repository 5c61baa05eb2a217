//! Commands with a deadline over connections that mend themselves.
//!
//! One [`Redis`] is one connection, made when first used on whichever runtime uses it, shared by all its clones, and
//! given up as soon as it misses a deadline or the server says it is no primary any more. Blocking commands go over
//! connections of their own, from a pool.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use ergate_shared::{clock, script::Call};
use redis::{Cmd, FromRedisValue, Pipeline, RedisError, ServerErrorKind, Value};
use tokio::sync::Mutex;

use crate::{
    Error,
    error::breaks_connection,
    target::{Link, Target},
};

mod dedicated;
mod outage;
mod pause;

pub use dedicated::Dedicated;
pub use pause::Pause;

/// How long a command may take unless said otherwise.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// A handle on Redis; clones share one connection.
#[derive(Clone)]
pub struct Redis {
    shared: Arc<Shared>,
}

struct Shared {
    target: Target,
    deadline: Duration,
    link: Mutex<Option<Link>>,
    /// Counts connections made, so that only the first of many failing calls drops one.
    generation: AtomicU64,
    /// The last of them that a call failed on: neither it nor one before it is used any more. Said without the lock, which may be
    /// held by one who connects.
    broken: AtomicU64,
    /// Redis' clock minus this machine's, in ms, as last seen.
    clock_offset: Arc<AtomicI64>,
    pool: dedicated::Pool,
    outage: Arc<outage::Outage>,
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("address", &self.address()).finish_non_exhaustive()
    }
}

impl Redis {
    /// Reads an address; nothing is connected yet.
    ///
    /// # Errors
    /// [`Error::Address`] if it cannot be read.
    pub fn open(url: &str) -> Result<Self, Error> {
        let target = Target::parse(url)?;
        let pool = dedicated::Pool::new(&target)?;
        let (link, generation, broken) = Default::default();
        let (clock_offset, outage) = Default::default();
        let shared =
            Shared { target, deadline: DEADLINE, link, generation, broken, clock_offset, pool, outage };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Another connection to the same place, for a runtime of its own, whose commands may take `deadline` each.
    #[must_use]
    pub fn separate(&self, deadline: Duration) -> Self {
        let shared = &self.shared;
        let shared = Shared {
            target: shared.target.clone(),
            deadline,
            link: Mutex::default(),
            generation: AtomicU64::default(),
            broken: AtomicU64::default(),
            clock_offset: Arc::clone(&shared.clock_offset),
            pool: shared.pool.clone(),
            outage: Arc::clone(&shared.outage),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The address for people: no user, no password.
    pub fn address(&self) -> String {
        self.shared.target.address()
    }

    /// Whether keys of different queues may lie on different nodes.
    pub fn is_cluster(&self) -> bool {
        self.shared.target.is_cluster()
    }

    /// How many connections have been made so far; it grows with every one that broke.
    pub fn generation(&self) -> u64 {
        self.shared.generation.load(Ordering::Acquire)
    }

    /// Redis' clock in ms since the epoch, as well as it is known here.
    pub fn now_ms(&self) -> u64 {
        clock::unix_ms().saturating_add_signed(self.shared.clock_offset.load(Ordering::Relaxed))
    }

    /// Takes what a script said of the time.
    pub fn saw_time(&self, now_ms: u64) {
        let offset = now_ms as i64 - clock::unix_ms() as i64;
        self.shared.clock_offset.store(offset, Ordering::Relaxed);
    }

    /// Tries until it is connected or `within` is over.
    ///
    /// # Errors
    /// [`Error::Unreachable`] with the address, how often and how long it was tried.
    pub async fn connect_within(&self, within: Duration) -> Result<(), Error> {
        let started = Instant::now();
        let (mut tries, mut pause) = (0, Pause::first());
        loop {
            tries += 1;
            let Err(source) = self.link().await else { return Ok(()) };
            let worth_it = breaks_connection(&source) || source.is_connection_refusal();
            if started.elapsed() + pause.length() >= within || !worth_it {
                return Err(Error::Unreachable {
                    address: self.address(),
                    tries,
                    after: started.elapsed(),
                    source,
                });
            }
            pause.wait().await;
        }
    }

    async fn link(&self) -> Result<(Link, u64), RedisError> {
        let mut link = self.shared.link.lock().await;
        if self.generation() <= self.shared.broken.load(Ordering::Acquire) {
            *link = None;
        }
        if link.is_none() {
            *link = Some(self.shared.target.connect().await?);
            self.shared.generation.fetch_add(1, Ordering::AcqRel);
        }
        Ok((link.clone().expect("it was just made"), self.generation()))
    }

    /// Lets no call use the connection again that one failed on; one that has replaced it stays. Takes no time: who has waited for
    /// a connection until their deadline is not to wait behind others for it.
    fn give_up(&self, generation: u64) {
        self.shared.broken.fetch_max(generation, Ordering::AcqRel);
    }

    async fn within(
        &self,
        what: &'static str,
        call: impl AsyncFnOnce(Link, u64) -> Result<Value, RedisError>,
    ) -> Result<Value, Error> {
        let answer = self.attempt(what, call).await;
        self.shared.outage.heard(&answer, || self.address());
        answer
    }

    async fn attempt(
        &self,
        what: &'static str,
        call: impl AsyncFnOnce(Link, u64) -> Result<Value, RedisError>,
    ) -> Result<Value, Error> {
        let deadline = self.shared.deadline;
        let started = Instant::now();
        // The connection that the call is made on; 0 for none yet.
        let on = AtomicU64::new(0);
        let attempt = async {
            let (link, generation) = self.link().await.map_err(|source| (source, None))?;
            on.store(generation, Ordering::Relaxed);
            call(link, generation).await.map_err(|source| (source, Some(generation)))
        };
        match tokio::time::timeout(deadline, attempt).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err((source, Some(generation)))) => {
                if breaks_connection(&source) {
                    self.give_up(generation);
                }
                Err(Error::Redis { what, source })
            }
            Ok(Err((source, None))) => Err(Error::Unreachable {
                address: self.address(),
                tries: 1,
                after: started.elapsed(),
                source,
            }),
            Err(_) => {
                self.give_up(on.load(Ordering::Relaxed));
                Err(Error::TimedOut { address: self.address(), what, after: deadline })
            }
        }
    }

    /// Runs a script.
    ///
    /// A server that does not know it (restarted, failed over, flushed) is sent the text.
    ///
    /// # Errors
    /// [`Error::TimedOut`] and other errors of the connection leave open whether it was carried out.
    pub async fn run<T: FromRedisValue>(&self, call: &Call) -> Result<T, Error> {
        decode(call.script.name, self.run_value(call).await?)
    }

    /// Runs a script whose arguments depend on the connection they go over: `make` is given its [`generation`](Self::generation).
    ///
    /// # Errors
    /// As [`Redis::run`].
    pub async fn run_over<T: FromRedisValue>(
        &self,
        what: &'static str,
        make: impl FnOnce(u64) -> Call,
    ) -> Result<T, Error> {
        let value = self.within(what, async |link, generation| send(link, &make(generation)).await).await?;
        decode(what, value)
    }

    /// Runs a script, and tells the [`generation`](Self::generation) of the connection that it went over.
    pub(crate) async fn run_and_tell<T: FromRedisValue>(&self, call: &Call) -> Result<(T, u64), Error> {
        let over = AtomicU64::new(0);
        let value = self.within(call.script.name, async |link, generation| {
            over.store(generation, Ordering::Relaxed);
            send(link, call).await
        });
        let value = value.await?;
        Ok((decode(call.script.name, value)?, over.into_inner()))
    }

    // The three that follow are not generic, so that each is compiled once and not for every type of reply.

    async fn run_value(&self, call: &Call) -> Result<Value, Error> {
        self.within(call.script.name, async |link, _| send(link, call).await).await
    }

    async fn command_value(&self, what: &'static str, command: &Cmd) -> Result<Value, Error> {
        self.within(what, async |mut link, _| link.send(command).await).await
    }

    async fn pipeline_value(&self, what: &'static str, pipeline: &Pipeline) -> Result<Value, Error> {
        self.within(what, async |mut link, _| link.send_all(pipeline).await.map(Value::Array)).await
    }

    /// Runs one command.
    ///
    /// # Errors
    /// As [`Redis::run`].
    pub async fn command<T: FromRedisValue>(&self, what: &'static str, command: &Cmd) -> Result<T, Error> {
        decode(what, self.command_value(what, command).await?)
    }

    /// Runs several commands in one round trip; in a cluster all their keys must lie in one slot.
    ///
    /// # Errors
    /// As [`Redis::run`].
    pub async fn pipeline<T: FromRedisValue>(
        &self,
        what: &'static str,
        pipeline: &Pipeline,
    ) -> Result<T, Error> {
        decode(what, self.pipeline_value(what, pipeline).await?)
    }

    /// A connection of one's own, for blocking commands; it goes back to the pool when dropped.
    ///
    /// # Errors
    /// [`Error::Unreachable`] if none can be made, [`Error::TimedOut`] if that takes over 5 s.
    pub async fn dedicated(&self) -> Result<Dedicated, Error> {
        self.shared.pool.get(self.address(), Arc::clone(&self.shared.outage)).await
    }
}

fn decode<T: FromRedisValue>(what: &'static str, value: Value) -> Result<T, Error> {
    T::from_redis_value(value)
        .map_err(|error| ergate_shared::Error::Reply { script: what, reply: error.to_string() }.into())
}

/// A server that does not know the script is sent its text.
async fn send(mut link: Link, call: &Call) -> Result<Value, RedisError> {
    match link.send(&call.by_sha()).await {
        Err(error) if error.kind() == redis::ErrorKind::Server(ServerErrorKind::NoScript) => {
            link.send(&call.by_text()).await
        }
        other => other,
    }
}
