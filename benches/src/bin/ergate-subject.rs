//! Ergate as a benchmark subject, with its defaults: 1,000 completed jobs a queue are kept, a lease lasts 15 s.

use std::future::pending;

use ergate::prelude::*;
use subject::{Meter, Payload, System};

struct Ergate;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    subject::run::<Ergate>().await
}

impl System for Ergate {
    type Producer = Client;

    const KEEPS: Option<u64> = Some(1_000);

    async fn connect(redis: &str) -> anyhow::Result<Client> {
        Ok(Client::connect(redis).await?)
    }

    async fn add(client: &Client, payload: Payload) -> anyhow::Result<()> {
        client.enqueue(Noop(payload)).await?;
        Ok(())
    }

    async fn add_bulk(client: &Client, payloads: Vec<Payload>) -> anyhow::Result<()> {
        client.enqueue_all(payloads.into_iter().map(Noop)).await?;
        Ok(())
    }

    async fn add_in(client: &Client, payload: Payload, delay: Duration) -> anyhow::Result<()> {
        client.enqueue(Noop(payload)).delay(delay).await?;
        Ok(())
    }

    async fn work(redis: &str, slots: usize, meter: Meter) -> anyhow::Result<()> {
        let client = Client::connect(redis).await?;
        meter.ready().await;
        Worker::new(client, meter).queue(Noop::QUEUE, slots).job(noop).run_until(pending()).await?;
        Ok(())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Noop(Payload);

impl Job for Noop {
    const NAME: &str = "noop";
    const QUEUE: &str = "bench";
}

async fn noop(job: Noop, State(meter): State<Meter>) -> Result<()> {
    meter.handle(&job.0).await;
    Ok(())
}
