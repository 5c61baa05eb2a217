//! Options of durable functions: what they do to runs that start, whoever starts them.

use std::sync::{Arc, Mutex};

use ergate::{EventRecord, Metrics, RunHandle, prelude::*};
use serde_json::{Value, json};

use crate::{
    story::{RunningWorker, Story},
    support::{until, until_some},
};

mod concurrency;
mod endings;
mod gates;
mod pace;
mod priority;
mod removal;
mod started_again;
mod versions;

/// The event most functions here are started by.
const PAID: &str = "shop/paid";

/// What functions of a test did, in order; clones share it.
#[derive(Debug, Clone, Default)]
struct Ledger(Arc<Mutex<Vec<String>>>);

impl Ledger {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    /// The same as the body of a step.
    async fn record(&self, what: &str) -> Result<()> {
        self.note(what);
        Ok(())
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

fn worker(story: &Story, ledger: &Ledger, function: Function<Ledger>) -> RunningWorker {
    let metrics = Metrics::new();
    let worker = Worker::new(story.client.clone(), ledger.clone()).metrics(metrics.clone());
    RunningWorker::start(worker.function(function), metrics)
}

/// Waits until a function is declared as it is to be.
async fn until_declared(story: &Story, function: &str) {
    until(&format!("function {function} is declared"), async || {
        story.client.functions().await.unwrap().contains_key(&function.parse().unwrap())
    })
    .await;
}

async fn send(story: &Story, data: Value) -> ergate::EventReceipt {
    story.client.send_raw(PAID, data).await.unwrap()
}

/// What became of an event, once it has been routed.
async fn started(story: &Story, event: &ergate::EventReceipt) -> ergate::Started {
    until_some("the event is routed", async || story.client.event(&event.id).await.unwrap().started).await
}

/// The run an event started.
async fn run_of(story: &Story, event: &ergate::EventReceipt) -> RunHandle {
    let started = started(story, event).await;
    let run = started.runs.first().expect("it started a run");
    story.client.run(run.function.as_str(), run.run.as_str()).unwrap()
}
