//! The client: what producers, operators' tools and workers hold.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use ergate_shared::{
    DEFAULT_PAYLOAD_LIMIT, EventName, Job, JobId, JobName, Namespace, QueueName,
    key::{QueueKeys, RegistryKeys},
};

use crate::{
    Enqueue, EnqueueAll, Error, JobHandle, Queue, Redis, ServerInfo,
    batch::{Batcher, Enqueues},
    coalesce::until_answered,
    ending::Endings,
    event::batch::EventBatcher,
    handshake::shake_hands,
    let_go::SentIds,
    start::KnownFunctions,
};

/// A handle on one Ergate: cheap to clone, shared by any number of tasks.
///
/// Calls to [`enqueue`](Self::enqueue) from many tasks share round trips by themselves.
///
/// ```no_run
/// # use ergate_client::Client;
/// # async fn example() -> Result<(), ergate_client::Error> {
/// let client = Client::connect("redis://localhost").await?;
/// let stats = client.queue("mail")?.stats().await?;
/// println!("{} ready", stats.ready);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    redis: Redis,
    namespace: Namespace,
    registry: RegistryKeys,
    server: ServerInfo,
    payload_limit: usize,
    deadline: Duration,
    batchers: Mutex<HashMap<QueueName, Batcher>>,
    /// One for each shard.
    events: Vec<EventBatcher>,
    /// The same.
    sent_ids: Vec<SentIds>,
    endings: Endings,
    #[cfg(feature = "testing")]
    recording: Option<crate::Outbox>,
    /// Event names that this process has put on the list of names, and when.
    noted_names: Mutex<HashMap<EventName, (u64, u64)>>,
    functions: KnownFunctions,
    #[cfg(feature = "schema")]
    schemas: crate::event::schema::Schemas,
}

/// An event name is put on the list of names again after this long, in ms.
const NOTE_AGAIN_MS: u64 = 60 * 60 * 1000;
/// Names remembered as noted; beyond, they are noted again.
const MOST_NOTED: usize = 10_000;

/// Options of a [`Client`].
#[derive(Debug, Clone)]
pub struct ClientBuilder {
    namespace: Namespace,
    payload_limit: usize,
    connect_within: Duration,
    deadline: Duration,
    allow_eviction: bool,
}

impl Default for ClientBuilder {
    fn default() -> Self {
        Self {
            namespace: Namespace::default(),
            payload_limit: DEFAULT_PAYLOAD_LIMIT,
            connect_within: Duration::from_secs(5),
            deadline: Duration::from_secs(15),
            allow_eviction: false,
        }
    }
}

impl ClientBuilder {
    /// Sets what every key begins with; default `ergate`. Two namespaces share a Redis and know nothing of each other.
    #[must_use]
    pub fn namespace(mut self, namespace: Namespace) -> Self {
        self.namespace = namespace;
        self
    }

    /// Sets the largest payload in bytes; default 512 KiB.
    #[must_use]
    pub fn payload_limit(mut self, bytes: usize) -> Self {
        self.payload_limit = bytes;
        self
    }

    /// Sets how long [`connect`](Self::connect) goes on trying; default 5 s. Zero tries once.
    #[must_use]
    pub fn connect_within(mut self, within: Duration) -> Self {
        self.connect_within = within;
        self
    }

    /// Sets how long an enqueue goes on trying while Redis is away; default 15 s.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Allows a Redis that deletes keys when memory is full (`allkeys-*`); default refused, since it loses jobs.
    #[must_use]
    pub fn allow_eviction(mut self, allow: bool) -> Self {
        self.allow_eviction = allow;
        self
    }

    /// Connects to a server, a cluster (`redis+cluster://`) or through Sentinels (`redis+sentinel://`).
    ///
    /// # Errors
    /// [`Error::Address`], [`Error::Unreachable`], or [`Error::Server`] for one that is too old or would lose jobs.
    pub async fn connect(self, url: &str) -> Result<Client, Error> {
        let redis = Redis::open(url)?;
        let started = Instant::now();
        redis.connect_within(self.connect_within).await?;
        let registry = RegistryKeys::new(&self.namespace);
        // The connection that was just made may break at once.
        let left = self.connect_within.saturating_sub(started.elapsed());
        let handshake = || shake_hands(&redis, &registry, self.allow_eviction);
        let server = until_answered(left, &"the handshake", handshake).await?;
        Ok(Client { inner: Arc::new(self.inner(redis, registry, server, url)) })
    }

    fn inner(self, redis: Redis, registry: RegistryKeys, server: ServerInfo, url: &str) -> Inner {
        let events = EventBatcher::of_all_shards(
            &redis,
            &self.namespace,
            self.deadline,
            #[cfg(feature = "testing")]
            None,
        );
        Inner {
            sent_ids: SentIds::of_all_shards(&redis, &self.namespace),
            redis,
            namespace: self.namespace,
            registry,
            server,
            payload_limit: self.payload_limit,
            deadline: self.deadline,
            batchers: Mutex::default(),
            events,
            endings: Endings::new(url),
            noted_names: Mutex::default(),
            functions: KnownFunctions::default(),
            #[cfg(feature = "schema")]
            schemas: crate::event::schema::Schemas::default(),
            #[cfg(feature = "testing")]
            recording: None,
        }
    }

    #[cfg(feature = "testing")]
    pub(crate) fn build_recording(self, redis: Redis, url: &str, outbox: crate::Outbox) -> Client {
        let registry = RegistryKeys::new(&self.namespace);
        let events = EventBatcher::of_all_shards(&redis, &self.namespace, self.deadline, Some(&outbox));
        let mut inner = self.inner(redis, registry, ServerInfo::default(), url);
        inner.events = events;
        inner.recording = Some(outbox);
        Client { inner: Arc::new(inner) }
    }
}

/// A client that does not keep the connection alive.
#[derive(Clone)]
pub(crate) struct WeakClient {
    inner: std::sync::Weak<Inner>,
}

impl WeakClient {
    pub(crate) fn upgrade(&self) -> Option<Client> {
        self.inner.upgrade().map(|inner| Client { inner })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("redis", &self.inner.redis)
            .field("namespace", &self.inner.namespace)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Connects with default options.
    ///
    /// # Errors
    /// As [`ClientBuilder::connect`].
    pub async fn connect(url: &str) -> Result<Self, Error> {
        Self::builder().connect(url).await
    }

    /// Options first.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// Enqueues a job: `.await` what it returns, after setting options if need be. What may go wrong then: see [`Enqueue`].
    #[allow(clippy::needless_pass_by_value, reason = "a job that is enqueued is given away")]
    pub fn enqueue<J: Job>(&self, job: J) -> Enqueue {
        Enqueue::typed(self, &job)
    }

    /// Enqueues a job whose type is not known here, with its payload as JSON text.
    ///
    /// # Errors
    /// [`Error::Payload`] if the payload is not JSON; checked when awaited, like everything else.
    pub fn enqueue_raw(&self, queue: QueueName, name: JobName, payload: impl Into<Vec<u8>>) -> Enqueue {
        Enqueue::raw(self, queue, name, payload.into())
    }

    /// Enqueues many jobs of one type: all or none up to [`ATOMIC_BATCH`](crate::ATOMIC_BATCH) jobs and 4 MiB of one queue, in
    /// batches above. [`EnqueueAll`] tells what an error leaves open.
    pub fn enqueue_all<J: Job>(&self, jobs: impl IntoIterator<Item = J>) -> EnqueueAll {
        EnqueueAll::new(jobs.into_iter().map(|job| self.enqueue(job)).collect())
    }

    /// A queue, by name.
    ///
    /// # Errors
    /// If the name is not valid.
    pub fn queue(&self, name: &str) -> Result<Queue, Error> {
        Ok(Queue::new(self.clone(), name.parse()?))
    }

    /// A job, by queue and id; whether it exists is seen when it is asked.
    ///
    /// # Errors
    /// If the name or id is not valid.
    pub fn job(&self, queue: &str, id: &str) -> Result<JobHandle, Error> {
        Ok(JobHandle::new(self.queue(queue)?, JobId::new(id)?))
    }

    /// What the server is.
    pub fn server(&self) -> &ServerInfo {
        &self.inner.server
    }

    /// What every key begins with.
    pub fn namespace(&self) -> &Namespace {
        &self.inner.namespace
    }

    /// The connection, for scripts and commands of one's own.
    pub fn redis(&self) -> &Redis {
        &self.inner.redis
    }

    /// The keys of a queue.
    pub fn keys(&self, queue: &QueueName) -> QueueKeys {
        QueueKeys::new(&self.inner.namespace, queue)
    }

    /// The keys that concern all queues.
    pub fn registry_keys(&self) -> &RegistryKeys {
        &self.inner.registry
    }

    /// The largest payload in bytes.
    pub fn payload_limit(&self) -> usize {
        self.inner.payload_limit
    }

    /// Whether it shares everything with `other`.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// What this client and its clones have enqueued so far: per queue, new jobs and refused duplicates.
    pub fn produced(&self) -> Vec<(QueueName, u64, u64)> {
        let batchers = self.inner.batchers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        batchers
            .iter()
            .map(|(queue, batcher)| {
                let (enqueued, duplicates) = batcher.counts();
                (queue.clone(), enqueued, duplicates)
            })
            .collect()
    }

    /// How many events this client and its clones have sent so far, and how many more were refused as duplicates.
    pub fn sent(&self) -> (u64, u64) {
        let counts = self.inner.events.iter().map(EventBatcher::counts);
        counts.fold((0, 0), |sum, counts| (sum.0 + counts.0, sum.1 + counts.1))
    }

    #[cfg(feature = "schema")]
    pub(crate) fn schemas(&self) -> &crate::event::schema::Schemas {
        &self.inner.schemas
    }

    /// Whether an event's name is to be noted: it was not within the hour, or on another connection, whose data may be other data.
    pub(crate) fn is_to_be_noted(&self, name: &EventName, now_ms: u64) -> bool {
        let noted = self.inner.noted_names.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let generation = self.redis().generation();
        noted.get(name).is_none_or(|(at, on)| at + NOTE_AGAIN_MS <= now_ms || *on != generation)
    }

    /// Remembers that it was noted.
    pub(crate) fn was_noted(&self, name: &EventName, now_ms: u64) {
        let mut noted = self.inner.noted_names.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if noted.len() >= MOST_NOTED {
            noted.clear();
        }
        noted.insert(name.clone(), (now_ms, self.redis().generation()));
    }

    pub(crate) fn known_functions(&self) -> &KnownFunctions {
        &self.inner.functions
    }

    /// Whether what is enqueued is kept in memory, and there is no Redis to ask.
    pub(crate) fn is_recording(&self) -> bool {
        #[cfg(feature = "testing")]
        if self.inner.recording.is_some() {
            return true;
        }
        false
    }

    pub(crate) fn event_batcher(&self, shard: usize) -> &EventBatcher {
        &self.inner.events[shard]
    }

    pub(crate) fn sent_ids(&self, shard: usize) -> &SentIds {
        &self.inner.sent_ids[shard]
    }

    pub(crate) fn downgrade(&self) -> WeakClient {
        WeakClient { inner: Arc::downgrade(&self.inner) }
    }

    pub(crate) fn deadline(&self) -> Duration {
        self.inner.deadline
    }

    pub(crate) fn endings(&self) -> &Endings {
        &self.inner.endings
    }

    pub(crate) fn batcher(&self, queue: &QueueName) -> Batcher {
        let mut batchers = self.inner.batchers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(batcher) = batchers.get(queue) {
            return batcher.clone();
        }
        let batcher = Batcher::new(Enqueues::new(
            self.inner.redis.clone(),
            self.keys(queue),
            self.inner.registry.queues.clone(),
            queue.clone(),
            self.inner.deadline,
            #[cfg(feature = "testing")]
            self.inner.recording.clone(),
        ));
        batchers.entry(queue.clone()).or_insert(batcher).clone()
    }
}
