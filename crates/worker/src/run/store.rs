//! Where a run's journal is kept.

use std::{future::Future, pin::Pin, sync::atomic::Ordering};

use ergate_client::{Enqueue, link::Pause};
use ergate_shared::{
    EventRecord, FailureKind, JobId, Parent, QueueName, WaitRef, WorkerId,
    key::QueueKey,
    run::{Entry, Op, entry_field},
};

use serde_json::value::RawValue;

use super::Unneeded;
use crate::{Context, Failure, attempt, context::Reason, cut_off::cut_off, failure::Course};

/// A future that can be held beside others.
pub(crate) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Entries read by one command.
const ENTRIES_AT_ONCE: u32 = 1000;

/// An entry to be written.
#[derive(Debug)]
pub(crate) struct Write {
    /// The open entry it resolves: if somebody else did that already, it is not taken.
    pub(crate) closes: Option<u32>,
    /// Whether it waits for something from outside.
    pub(crate) opens: bool,
    pub(crate) entry: Entry,
    /// The entry as it is kept.
    pub(crate) text: String,
}

/// What became of a write.
#[derive(Debug)]
pub(crate) struct Recorded {
    /// Entries that others wrote meanwhile, after those that were known.
    pub(crate) unknown: Vec<String>,
    /// How many entries there were before.
    pub(crate) before: u32,
    /// The number of each entry written; 0 for one that was not taken. One not over `before` is among the unknown.
    pub(crate) numbers: Vec<u32>,
}

/// Keeps a run's journal. A store whose lease is lost never answers again: whoever waits for it is dropped.
pub(crate) trait Store: Send + Sync {
    /// The time all deadlines are measured by, in ms since the epoch.
    fn now_ms(&self) -> u64;

    /// What the jitter of the next delay is drawn from: at least 0, below 1.
    fn chance(&self) -> f64 {
        attempt::chance()
    }

    /// Who performs the run, for failure records.
    fn worker(&self) -> String;

    /// All entries, as JSON.
    fn load(&self) -> Boxed<'_, Result<Vec<String>, Failure>>;

    /// Writes entries after the `known` ones.
    fn record(&self, known: u32, writes: &[Write]) -> Boxed<'static, Recorded>;

    /// Lets the run wait for the event that its open entry `entry` describes, unless one came already: that is returned.
    fn register<'a>(&'a self, entry: u32, wait: &'a Op) -> Boxed<'a, Result<Option<EventRecord>, Failure>>;

    /// Starts a job, in this queue, whose result is delivered to the open entry `entry`. Under its id it is started once, however often
    /// this is called.
    fn start<'a>(
        &'a self,
        entry: u32,
        queue: &'a QueueName,
        job: &'a JobId,
        enqueue: Enqueue,
    ) -> Boxed<'a, Result<(), Failure>>;

    /// What is to happen instead of a step's body; only tests have something.
    fn instead(&self, step: &str) -> Option<Instead> {
        let _ = step;
        None
    }

    /// The code has named a step, remembered or not.
    fn asked(&self, step: &str) {
        let _ = step;
    }
}

/// What a test wants to happen instead of a step's body.
#[derive(Debug, Clone)]
#[cfg_attr(not(feature = "testing"), allow(dead_code, reason = "only tests make one"))]
pub(crate) enum Instead {
    /// It returns this, as JSON.
    Return(Box<RawValue>),
    /// It fails for good.
    Fail(String),
    /// The run is not gone on with.
    Stop,
    /// It never returns, as if it waited for ever.
    Wait,
}

/// The journal of a run this worker has leased.
pub(crate) struct LeasedRun {
    context: Context,
}

impl LeasedRun {
    pub(crate) fn new(context: Context) -> Self {
        Self { context }
    }
}

impl Store for LeasedRun {
    fn now_ms(&self) -> u64 {
        self.context.inner.client.redis().now_ms()
    }

    fn worker(&self) -> String {
        WorkerId::of_token(&self.context.inner.token).to_string()
    }

    fn load(&self) -> Boxed<'_, Result<Vec<String>, Failure>> {
        Box::pin(async move {
            let mut texts = Vec::new();
            let count = self.context.inner.steps;
            let mut from = 1;
            while from <= count {
                let to = count.min(from + ENTRIES_AT_ONCE - 1);
                for (number, text) in (from..=to).zip(self.read(from, to).await) {
                    texts.push(text.ok_or_else(|| self.lacks(number))?);
                }
                from = to + 1;
            }
            Ok(texts)
        })
    }

    fn record(&self, known: u32, writes: &[Write]) -> Boxed<'static, Recorded> {
        let context = self.context.clone();
        let answer = context.inner.recorder.record(&context.inner.id, &context.inner.token, known, writes);
        let closed: Vec<u32> = writes.iter().filter_map(|write| write.closes).collect();
        Box::pin(async move {
            // The recorder answers every request unless the runtime ends.
            if let Ok(Some(recorded)) = answer.await {
                context.inner.recorded.store(true, Ordering::Release);
                Unneeded::of_entries(&context, &closed).withdraw(&context.inner.client);
                return recorded;
            }
            context.inner.stop.ask(Reason::Lost);
            std::future::pending().await
        })
    }

    fn register<'a>(&'a self, entry: u32, wait: &'a Op) -> Boxed<'a, Result<Option<EventRecord>, Failure>> {
        Box::pin(self.wait(entry, wait))
    }

    fn start<'a>(
        &'a self,
        entry: u32,
        queue: &'a QueueName,
        job: &'a JobId,
        enqueue: Enqueue,
    ) -> Boxed<'a, Result<(), Failure>> {
        let inner = &self.context.inner;
        let parent = Parent { queue: inner.queue.clone(), run: inner.id.clone(), entry };
        let enqueue = enqueue.id(job.as_str()).parent(parent).routed(u64::MAX);
        Box::pin(async move {
            let receipt = enqueue.insist_in(queue).await.map_err(Failure::fatal)?;
            // Nobody would tell this run of the end of the one that stands for it.
            if receipt.id != *job {
                let why = format!("job {job} was not started: job {} holds its unique key", receipt.id);
                return Err(Failure::fatal(why));
            }
            Ok(())
        })
    }
}

impl LeasedRun {
    async fn wait(&self, entry: u32, wait: &Op) -> Result<Option<EventRecord>, Failure> {
        let Op::Wait { event, condition, since, due } = wait else { return Ok(None) };
        let inner = &self.context.inner;
        let reference = WaitRef { queue: inner.queue.clone(), run: inner.id.clone(), entry };
        inner.waits.registered(entry, event, *due);
        let mut pause = Pause::first();
        loop {
            match inner.client.register_wait(event, &reference, condition, *since, *due).await {
                Ok(found) => {
                    if found.is_some() {
                        inner.waits.ended(entry);
                    }
                    return Ok(found);
                }
                Err(error) if error.is_temporary() => {
                    cut_off!(error, run.id = %inner.id, "wait could not be registered; it is tried again");
                    pause.wait().await;
                }
                Err(error) => return Err(Failure::fatal(error)),
            }
        }
    }

    /// Goes on until Redis answers: once the lease is lost, the attempt is dropped with this.
    async fn read(&self, from: u32, to: u32) -> Vec<Option<String>> {
        let inner = &self.context.inner;
        let keys = inner.client.keys(&inner.queue);
        let mut command = redis::cmd("HMGET");
        command.arg(keys.get(QueueKey::journal));
        for number in from..=to {
            command.arg(entry_field(inner.id.as_str(), number));
        }
        let mut pause = Pause::first();
        loop {
            match inner.client.redis().command("a run's journal", &command).await {
                Ok(found) => return found,
                Err(error) => {
                    cut_off!(error, run.id = %inner.id, "journal could not be read; it is tried again");
                    pause.wait().await;
                }
            }
        }
    }

    fn lacks(&self, number: u32) -> Failure {
        let error = anyhow::anyhow!("journal of run {} lacks entry {number}", self.context.inner.id);
        Failure::of_kind(FailureKind::Decode, Course::Fatal, error)
    }
}
