//! Enqueueing one job: an awaitable builder.

use std::time::Duration;

use ergate_shared::{
    Backoff, FunctionName, Job, JobId, JobName, JobOptions, Key, OnExhausted, Parent, Priority, QueueName,
    RunInput, UniqueScope, duration, fnv::fnv1a, function::is_reserved, record::LONGEST_UNIQUE_KEY,
};

use crate::{Client, Durability, Error, start::StartOptions};

mod receipt;
mod send;
mod unique;

pub use receipt::Receipt;
pub(crate) use receipt::{receipt, unshare};
pub(crate) use send::Ready;
pub use unique::{OnConflict, Unique};

/// The most tags of a job, and the longest of each in bytes.
const MOST_TAGS: usize = 16;
const LONGEST_TAG: usize = 64;

/// A job about to be enqueued: set options, then `.await` it. Nothing happens before.
///
/// # Errors
/// Before anything is sent: [`Error::Option`] for an option outside its range, [`Error::Contract`] for a bad name or id,
/// [`Error::Payload`] for one that is not JSON, [`Error::TooLarge`] for one over the client's limit.
///
/// If it is not enqueued: [`Error::Duplicate`] if its unique key is held and it was to be refused then, [`Error::Dropped`] for a
/// run that an option of its function does not let start.
///
/// If Redis cannot be reached, it is tried again until the client's [deadline](crate::ClientBuilder::deadline), 15 s by default.
/// After an [error of the connection](Error::is_connection) the job may be in or not: enqueue it again under the same
/// [id](Self::id), given from the start. A Redis that is full, or cannot save, refuses it at once.
#[derive(Debug)]
#[must_use = "a job is enqueued when this is awaited"]
pub struct Enqueue {
    client: Client,
    queue: Result<QueueName, ergate_shared::Error>,
    name: Result<JobName, ergate_shared::Error>,
    payload: Result<Vec<u8>, serde_json::Error>,
    version: u16,
    priority: Priority,
    when: When,
    options: JobOptions,
    id: Option<Result<JobId, ergate_shared::Error>>,
    unique: Option<Unique>,
    /// The most that others of its kind may put it off, counted from the first.
    put_off_most: Option<Duration>,
    keys: Vec<Key>,
    /// What its function's options say about its start.
    pub(crate) start: StartOptions,
    /// The function whose run it is, as long as that one's options are not applied.
    pub(crate) function: Option<FunctionName>,
    expires_in: Option<Duration>,
    durability: Durability,
    routed_until: Option<u64>,
    once: bool,
    problem: Option<String>,
}

#[derive(Debug, Clone, Copy)]
enum When {
    Now,
    In(Duration),
    At(u64),
}

impl Enqueue {
    pub(crate) fn typed<J: Job>(client: &Client, job: &J) -> Self {
        let payload = serde_json::to_vec(job);
        let mut enqueue = Self::new(client, QueueName::new(J::QUEUE), JobName::new(J::NAME), payload);
        enqueue.version = J::VERSION;
        enqueue.priority = J::PRIORITY;
        for (name, value) in job.keys() {
            enqueue = enqueue.key(name, value);
        }
        enqueue
    }

    pub(crate) fn raw(client: &Client, queue: QueueName, name: JobName, payload: Vec<u8>) -> Self {
        let checked = serde_json::from_slice::<serde::de::IgnoredAny>(&payload).map(|_| payload);
        Self::new(client, Ok(queue), Ok(name), checked)
    }

    /// A run, as a job of its function's queue.
    pub(crate) fn run(
        client: &Client,
        function: Result<FunctionName, ergate_shared::Error>,
        payload: Result<Vec<u8>, serde_json::Error>,
    ) -> Self {
        let (queue, name, function) = match function {
            Ok(function) => (Ok(function.queue()), Ok(function.job()), Some(function)),
            // One complaint is enough.
            Err(error) => (Err(error), JobName::new("run"), None),
        };
        Self::new(client, queue, name, payload).of_function(function)
    }

    /// Says which function's options are to be applied; a client without Redis knows of none.
    pub(crate) fn of_function(mut self, function: Option<FunctionName>) -> Self {
        self.function = function.filter(|_| !self.client.is_recording());
        self
    }

    /// What the run is started with, if it can be read.
    pub(crate) fn input(&self) -> Option<RunInput> {
        serde_json::from_slice(self.payload.as_ref().ok()?).ok()
    }

    pub(crate) fn with_payload(mut self, input: &RunInput) -> Self {
        self.payload = serde_json::to_vec(input);
        self
    }

    pub(crate) fn in_queue(mut self, queue: QueueName) -> Self {
        self.queue = Ok(queue);
        self
    }

    fn new(
        client: &Client,
        queue: Result<QueueName, ergate_shared::Error>,
        name: Result<JobName, ergate_shared::Error>,
        payload: Result<Vec<u8>, serde_json::Error>,
    ) -> Self {
        Self {
            client: client.clone(),
            queue,
            name,
            payload,
            version: 1,
            priority: Priority::default(),
            when: When::Now,
            options: JobOptions::default(),
            id: None,
            unique: None,
            put_off_most: None,
            keys: Vec::new(),
            start: StartOptions::default(),
            function: None,
            expires_in: None,
            durability: Durability::default(),
            routed_until: None,
            once: false,
            problem: None,
        }
    }

    /// Puts it into another queue than its type declares.
    pub fn queue(mut self, queue: &str) -> Self {
        self.queue = queue.parse();
        self
    }

    /// Sets its place within the queue; default: what its type declares.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Lets it wait this long, by Redis' clock; default none. At most ten years.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.check(delay, "delay");
        self.when = When::In(delay);
        self
    }

    /// Lets it wait until then; a time that is past means now.
    pub fn run_at(mut self, time: jiff::Timestamp) -> Self {
        self.when = When::At(u64::try_from(time.as_millisecond()).unwrap_or(0));
        self
    }

    /// Sets the tries after the first; default: what its type declares.
    pub fn retries(mut self, retries: u32) -> Self {
        self.options.retries = Some(retries);
        self
    }

    /// Sets the delay between tries; default: what its type declares.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.options.backoff = Some(backoff);
        self
    }

    /// Sets the longest one attempt may run; default: what its type declares.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.check(timeout, "timeout");
        if timeout.is_zero() {
            self.problem = Some("timeout 0s leaves no time to run".to_owned());
        }
        self.options.timeout = Some(timeout);
        self
    }

    /// Sets all that is said beyond what its type declares, and the version of its payload.
    pub(crate) fn declared(mut self, options: JobOptions, version: u16) -> Self {
        (self.options, self.version) = (options, version);
        self
    }

    /// Sets what becomes of it after its last attempt; default: what its type declares.
    pub fn on_exhausted(mut self, then: OnExhausted) -> Self {
        self.options.on_exhausted = Some(then);
        self
    }

    /// Lets it be enqueued only if no other job of its queue holds the key, which has 1 to 255 bytes.
    pub fn unique(mut self, unique: Unique) -> Self {
        if let Some(window) = unique.window {
            self.check(window, "unique window");
        }
        if unique.key.is_empty() || unique.key.len() > LONGEST_UNIQUE_KEY {
            let length = unique.key.len();
            self.problem =
                Some(format!("unique key has {length} bytes, 1 to {LONGEST_UNIQUE_KEY} are allowed"));
        }
        self.unique = Some(unique);
        self
    }

    /// Says what limits of the queue count it by, such as `.key("account", "acme")`: at most two keys of different names;
    /// default: what its type declares. A key replaces one of the same name.
    ///
    /// Jobs with keys take turns: the key that was served longest ago is next. Which limits there are says
    /// [`Queue::set_limit`](crate::Queue::set_limit); without any, they only take turns.
    pub fn key(mut self, name: &str, value: impl Into<String>) -> Self {
        match Key::new(name, value) {
            Ok(key) if is_reserved(key.name()) => {
                self.problem = Some(format!("key {name} begins as those that options of functions make"));
            }
            Ok(key) => {
                self.keys.retain(|known| known.name() != key.name());
                self.keys.push(key);
            }
            Err(error) => self.problem = Some(error.to_string()),
        }
        self
    }

    /// Lets it start once no other was enqueued under `key` for `period`, with the payload of the last.
    ///
    /// Only one job comes of it: as long as it has not started, others enqueued under the key give it their payload and put it
    /// off, and their receipts name it. It takes the place of [`unique`](Self::unique) and [`delay`](Self::delay).
    pub fn debounce(self, key: impl Into<String>, period: Duration) -> Self {
        let mut debounced = self.unique(Unique::until_started(key)).delay(period);
        if let Some(unique) = &mut debounced.unique {
            unique.on_conflict = OnConflict::PutOff;
        }
        debounced
    }

    /// Sets how long others may put off a job with [`debounce`](Self::debounce), counted from the first; default for ever.
    pub fn debounce_at_most(mut self, most: Duration) -> Self {
        self.check(most, "debounce");
        self.put_off_most = Some(most);
        self
    }

    /// Short for [`Unique::within`], keyed by the job's name and payload.
    pub fn unique_for(self, window: Duration) -> Self {
        let payload = self.payload.as_ref().map_or(&[][..], Vec::as_slice);
        let name = self.name.as_ref().map_or("", JobName::as_str);
        let key = format!("{name}:{:016x}", fnv1a(payload));
        self.unique(Unique::within(key, window))
    }

    /// Sets its id, of at most 128 bytes without white space or control characters; default a new one. A job of the queue that is
    /// there under this id, even an ended one that is still kept, makes the receipt a duplicate, and nothing is enqueued. The id of a
    /// run whose function takes batches stays taken for a day, as its event may be in another run.
    pub fn id(mut self, id: impl AsRef<str>) -> Self {
        self.id = Some(JobId::new(id));
        self
    }

    /// Dead-letters it if it has not started by then; default never.
    pub fn expires_in(mut self, time: Duration) -> Self {
        self.check(time, "expiry");
        self.expires_in = Some(time);
        self
    }

    /// Adds words to find it by: at most 16, of at most 64 bytes.
    pub fn tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.options.tags.extend(tags.into_iter().map(Into::into));
        if self.options.tags.len() > MOST_TAGS {
            self.problem = Some(format!("{} tags, the most is {MOST_TAGS}", self.options.tags.len()));
        }
        if let Some(tag) = self.options.tags.iter().find(|tag| tag.is_empty() || tag.len() > LONGEST_TAG) {
            self.problem =
                Some(format!("tag {tag:?} has {} bytes, 1 to {LONGEST_TAG} are allowed", tag.len()));
        }
        self
    }

    /// Keeps the caller's trace with the job, as the W3C `traceparent` header has it; default none. Workers do nothing with it: a
    /// handler or middleware finds it in the options of the job's record.
    pub fn traceparent(mut self, traceparent: impl Into<String>) -> Self {
        self.options.traceparent = Some(traceparent.into());
        self
    }

    /// Sets how safe it must be before this returns; default [`Durability::Fast`].
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// For the engine: has its result delivered to a run that waits for it.
    #[doc(hidden)]
    pub fn parent(mut self, parent: Parent) -> Self {
        self.options.parent = Some(parent);
        self
    }

    /// For routers: keeps its id taken even after it has ended and been forgotten, until
    /// [`acknowledged`](Client::acknowledged); refuses it after `until`, in ms since the epoch by Redis' clock; and takes a
    /// payload of any size, since the event in it has been measured already.
    #[doc(hidden)]
    pub fn routed(mut self, until: u64) -> Self {
        self.routed_until = Some(until);
        self
    }

    /// For the engine: keeps its id taken even after it has ended and been forgotten, for a day or until it is
    /// [let go](Client::let_start_go).
    #[doc(hidden)]
    pub fn once(mut self) -> Self {
        self.once = true;
        self
    }

    /// Lets it be enqueued as `on_conflict` says if another holds the key, which is one of a function's options.
    pub(crate) fn gated(self, key: String, on_conflict: OnConflict) -> Self {
        let scope =
            if on_conflict == OnConflict::PutOff { UniqueScope::Started } else { UniqueScope::Finished };
        self.unique(Unique { on_conflict, ..Unique::new(key, scope, None) })
    }

    /// For a start that may join another. It has no unique key: what is held would be told as what was joined. An id of the caller's
    /// is kept taken, as there may be no run by which a repetition would be told.
    pub(crate) fn joining(mut self) -> Self {
        if self.unique.is_some() {
            self.problem = Some("a start of a function that takes batches has no unique key".to_owned());
        }
        self.once |= self.id.is_some();
        self
    }

    /// The queue it goes to.
    ///
    /// # Errors
    /// If that has no valid name.
    #[doc(hidden)]
    pub fn queue_name(&self) -> Result<&QueueName, &ergate_shared::Error> {
        self.queue.as_ref()
    }

    fn check(&mut self, time: Duration, what: &str) {
        if time > duration::LONGEST {
            self.problem = Some(format!("{what} of {} is over ten years", duration::show(time)));
        }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The queue it goes to and its id, which is made now if there is none.
    pub(crate) fn named(&mut self) -> Result<(QueueName, JobId), Error> {
        let id = self.id.take().unwrap_or_else(|| Ok(JobId::generate()))?;
        self.id = Some(Ok(id.clone()));
        match &self.queue {
            Ok(queue) => Ok((queue.clone(), id)),
            Err(_) => Err(Error::Option("its queue has no valid name".to_owned())),
        }
    }

    /// Whether a run waits for its result.
    pub(crate) fn has_parent(&self) -> bool {
        self.options.parent.is_some()
    }
}
