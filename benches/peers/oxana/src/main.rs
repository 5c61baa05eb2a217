//! oxana; it forgets a job when it is done. Its dispatcher sleeps 10 s after finding a queue empty, and nothing wakes it;
//! here it looks ten times a second, as apalis does.

use std::{convert::Infallible, time::Duration};

use oxana::{JobContext, Storage};
use serde::{Deserialize, Serialize};
use subject::{Meter, Payload, System};

const POLL: Duration = Duration::from_millis(100);

struct Oxana;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    subject::run::<Oxana>().await
}

impl System for Oxana {
    type Producer = Storage;

    const KEEPS: Option<u64> = Some(0);

    async fn connect(redis: &str) -> anyhow::Result<Self::Producer> {
        Ok(Storage::from_url(redis)?)
    }

    async fn add(storage: &Self::Producer, payload: Payload) -> anyhow::Result<()> {
        storage.enqueue(Bench, Noop(payload)).await?;
        Ok(())
    }

    async fn add_bulk(storage: &Self::Producer, payloads: Vec<Payload>) -> anyhow::Result<()> {
        storage.enqueue_list(Bench, payloads.into_iter().map(Noop)).await?;
        Ok(())
    }

    /// `enqueue_in` takes whole seconds, so the due time is given.
    async fn add_in(storage: &Self::Producer, payload: Payload, delay: Duration) -> anyhow::Result<()> {
        storage.enqueue_at(Bench, Noop(payload), (std::time::SystemTime::now() + delay).into()).await?;
        Ok(())
    }

    async fn work(redis: &str, slots: usize, meter: Meter) -> anyhow::Result<()> {
        let runtime = Storage::from_url(redis)?
            .runtime(meter.clone())
            .dequeue_timeout(POLL)
            .queue_with_concurrency::<Bench>(slots)
            .worker::<Handler, Noop>();

        meter.ready().await;
        runtime.run().await?;
        Ok(())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Noop(Payload);

impl oxana::Job for Noop {}

#[derive(Serialize)]
struct Bench;

impl oxana::Queue for Bench {
    fn to_config() -> oxana::QueueConfig {
        oxana::QueueConfig::as_static("bench")
    }
}

struct Handler(Meter);

impl oxana::FromContext<Meter> for Handler {
    fn from_context(meter: &Meter) -> Self {
        Self(meter.clone())
    }
}

#[async_trait::async_trait]
impl oxana::Worker<Noop> for Handler {
    type Error = Infallible;

    async fn process(&self, job: Noop, _: &JobContext) -> Result<(), Infallible> {
        self.0.handle(&job.0).await;
        Ok(())
    }
}
