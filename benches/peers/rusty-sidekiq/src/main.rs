//! rusty-sidekiq with a pool of a connection per slot, which its blocking fetch needs. It fetches with BRPOP, so a
//! killed worker loses the jobs it holds, and it has no call that adds many jobs.

use std::time::Duration;

use bb8::Pool;
use sidekiq::{Processor, ProcessorConfig, RedisConnectionManager, RedisPool, Worker};
use subject::{Meter, Payload, System};
use tokio::task::JoinSet;

const QUEUE: &str = "bench";
/// Connections for adding: as many as there are tasks in mode `concurrent`.
const PRODUCERS: u32 = 100;

struct Sidekiq;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    subject::run::<Sidekiq>().await
}

impl System for Sidekiq {
    type Producer = RedisPool;

    const KEEPS: Option<u64> = Some(0);

    async fn connect(redis: &str) -> anyhow::Result<Self::Producer> {
        pool(redis, PRODUCERS).await
    }

    async fn add(pool: &Self::Producer, payload: Payload) -> anyhow::Result<()> {
        Noop::opts().perform_async(pool, payload).await.map_err(unshared)
    }

    async fn add_bulk(pool: &Self::Producer, payloads: Vec<Payload>) -> anyhow::Result<()> {
        let mut running = JoinSet::new();
        for share in payloads.chunks(payloads.len().div_ceil(PRODUCERS as usize)) {
            let (pool, share) = (pool.clone(), share.to_vec());
            running.spawn(async move {
                for payload in share {
                    Self::add(&pool, payload).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(ended) = running.join_next().await {
            ended??;
        }
        Ok(())
    }

    async fn add_in(pool: &Self::Producer, payload: Payload, delay: Duration) -> anyhow::Result<()> {
        Noop::opts().perform_in(pool, delay, payload).await.map_err(unshared)
    }

    async fn work(redis: &str, slots: usize, meter: Meter) -> anyhow::Result<()> {
        // Blocking fetches hold their connections, so the heartbeat and the poller need some of their own.
        let pool = pool(redis, slots as u32 + 10).await?;
        let config = ProcessorConfig::default().num_workers(slots);
        let mut processor = Processor::new(pool, vec![QUEUE.to_string()]).with_config(config);
        processor.register(Noop(meter.clone()));

        meter.ready().await;
        processor.run().await;
        Ok(())
    }
}

struct Noop(Meter);

#[async_trait::async_trait]
impl Worker<Payload> for Noop {
    fn opts() -> sidekiq::WorkerOpts<Payload, Self> {
        sidekiq::WorkerOpts::new().queue(QUEUE)
    }

    async fn perform(&self, payload: Payload) -> sidekiq::Result<()> {
        self.0.handle(&payload).await;
        Ok(())
    }
}

async fn pool(redis: &str, connections: u32) -> anyhow::Result<RedisPool> {
    let manager = RedisConnectionManager::new(redis)?;
    Ok(Pool::builder().max_size(connections).build(manager).await?)
}

fn unshared(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow::anyhow!("{error}")
}
