//! Runs that have a journal and yet no waits for the events that cancel them: those that were started over from a step, and those
//! that had ended and were made to go on by hand. It is the journal that tells, and it is read anyway.

use std::sync::Arc;

use ergate_client::Enqueue;
use ergate_shared::{
    EventRecord, JobId, QueueName,
    function::FunctionOptions,
    run::{Entry, Op},
};

use super::{super::given, began_at, watch};
use crate::{
    Context, Failure, Result,
    run::{Boxed, Instead, Recorded, Store, Write},
};

/// Within this, in ms, of having been started over an entry may still be one that was copied, as clocks differ.
const SLACK: u64 = 10_000;

/// A journal at whose reading the waits are kept, if the run may lack them. The first of its own steps says that it has them, so
/// that others cost no call.
pub(super) struct StartedAgain {
    journal: Box<dyn Store>,
    context: Context,
    options: Arc<FunctionOptions>,
}

impl StartedAgain {
    pub(super) fn new(journal: Box<dyn Store>, context: &Context, options: &Arc<FunctionOptions>) -> Self {
        Self { journal, context: context.clone(), options: Arc::clone(options) }
    }

    /// Since when events cancel the run, if it may have no waits.
    fn lacks_waits_since(&self, texts: &[String]) -> Result<Option<u64>> {
        // What was delivered since it was started again is of no step, and does not say that a worker had it.
        let mut latest = texts.iter().rev().filter_map(|text| Entry::from_json(text).ok());
        let Some(last) = latest.find(|entry| !is_delivered(entry)) else { return Ok(None) };
        if matches!(last.op, Op::Again) {
            return Ok(Some(last.at));
        }
        let origin = given(&self.context.inner.record)?.rerun_of;
        let began_at = began_at(&self.options, &self.context);
        let is_copied = last.at <= began_at.saturating_add(SLACK);
        Ok((is_copied && origin.is_some_and(|origin| origin.from.is_some())).then_some(began_at))
    }
}

fn is_delivered(entry: &Entry) -> bool {
    entry.step.is_empty() && matches!(entry.op, Op::Resolved { .. })
}

impl Store for StartedAgain {
    fn load(&self) -> Boxed<'_, Result<Vec<String>, Failure>> {
        Box::pin(async {
            let texts = self.journal.load().await?;
            if let Some(since) = self.lacks_waits_since(&texts)? {
                watch(&self.options, &self.context, since).await?;
            }
            Ok(texts)
        })
    }

    fn now_ms(&self) -> u64 {
        self.journal.now_ms()
    }

    fn chance(&self) -> f64 {
        self.journal.chance()
    }

    fn worker(&self) -> String {
        self.journal.worker()
    }

    fn record(&self, known: u32, writes: &[Write]) -> Boxed<'static, Recorded> {
        self.journal.record(known, writes)
    }

    fn register<'a>(&'a self, entry: u32, wait: &'a Op) -> Boxed<'a, Result<Option<EventRecord>, Failure>> {
        self.journal.register(entry, wait)
    }

    fn start<'a>(
        &'a self,
        entry: u32,
        queue: &'a QueueName,
        job: &'a JobId,
        enqueue: Enqueue,
    ) -> Boxed<'a, Result<(), Failure>> {
        self.journal.start(entry, queue, job, enqueue)
    }

    fn instead(&self, step: &str) -> Option<Instead> {
        self.journal.instead(step)
    }

    fn asked(&self, step: &str) {
        self.journal.asked(step);
    }
}
