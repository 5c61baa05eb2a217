//! The official Rust port of BullMQ, with its defaults: completed jobs are kept, locks last 30 s.

use std::time::Duration;

use bullmq::{
    BulkJob, Job, Queue, Worker,
    options::{QueueOptions, RedisConnectionOptions, WorkerOptions},
};
use subject::{Meter, Payload, System};

const QUEUE: &str = "bench";
const JOB: &str = "noop";

struct BullMqOfficial;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    subject::run::<BullMqOfficial>().await
}

impl System for BullMqOfficial {
    type Producer = std::sync::Arc<Queue>;

    const KEEPS: Option<u64> = None;

    async fn connect(redis: &str) -> anyhow::Result<Self::Producer> {
        let queue = Queue::with_options(QUEUE, QueueOptions::new().connection(connection(redis))).await?;
        Ok(queue.into())
    }

    async fn add(queue: &Self::Producer, payload: Payload) -> anyhow::Result<()> {
        queue.add(JOB, payload).await?;
        Ok(())
    }

    async fn add_bulk(queue: &Self::Producer, payloads: Vec<Payload>) -> anyhow::Result<()> {
        let jobs = payloads.into_iter().map(|payload| BulkJob::new(JOB, payload)).collect();
        queue.add_bulk(jobs).await?;
        Ok(())
    }

    async fn add_in(queue: &Self::Producer, payload: Payload, delay: Duration) -> anyhow::Result<()> {
        queue.add(JOB, payload).delay(delay).await?;
        Ok(())
    }

    async fn work(redis: &str, slots: usize, meter: Meter) -> anyhow::Result<()> {
        let handler = {
            let meter = meter.clone();
            move |job: Job, _| {
                let meter = meter.clone();
                let payload = serde_json::from_value(job.data().clone());
                async move {
                    meter.handle(&payload?).await;
                    Ok(serde_json::Value::Null)
                }
            }
        };
        let options = WorkerOptions::new().connection(connection(redis)).concurrency(slots).manual_start();
        let worker = Worker::with_options(QUEUE, handler, options).await?;

        meter.ready().await;
        worker.run().await?;
        while worker.next_event().await.is_some() {}
        Ok(())
    }
}

fn connection(redis: &str) -> RedisConnectionOptions {
    RedisConnectionOptions::new().url(redis)
}
