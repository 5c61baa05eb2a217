//! apalis with its Redis storage. Its default batch of 10 jobs is raised to the number of slots, and it polls ten times
//! a second: without a poll strategy an idle worker would look again only with its heartbeat, every 30 s.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use apalis::prelude::*;
use apalis_redis::{Config, RedisStorage};
use subject::{Meter, Payload, System};
use tokio::time::{Interval, MissedTickBehavior, interval};

const QUEUE: &str = "bench";
const POLL: Duration = Duration::from_millis(100);

struct Apalis;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    subject::run::<Apalis>().await
}

impl System for Apalis {
    type Producer = RedisStorage<Payload>;

    const KEEPS: Option<u64> = None;

    async fn connect(redis: &str) -> anyhow::Result<Self::Producer> {
        let connection = apalis_redis::connect(redis).await?;
        Ok(RedisStorage::new(connection).with_config(Config::default().queue(QUEUE)))
    }

    async fn add(storage: &Self::Producer, payload: Payload) -> anyhow::Result<()> {
        storage.clone().push(payload).await?;
        Ok(())
    }

    async fn add_bulk(storage: &Self::Producer, payloads: Vec<Payload>) -> anyhow::Result<()> {
        storage.clone().push_bulk(payloads).await?;
        Ok(())
    }

    async fn add_in(storage: &Self::Producer, payload: Payload, delay: Duration) -> anyhow::Result<()> {
        storage.clone().push_task(TaskBuilder::new(payload).run_after(delay).build()).await?;
        Ok(())
    }

    async fn work(redis: &str, slots: usize, meter: Meter) -> anyhow::Result<()> {
        let connection = apalis_redis::connect(redis).await?;
        let config = Config::default().queue(QUEUE).batch_size(slots);
        let storage = RedisStorage::new(connection).with_config(config).poll_with_strategy(Ticks::new(POLL));
        // A name is refused while its last owner counts as alive.
        let name = format!("bench-{}", std::process::id());
        let worker = WorkerBuilder::new(name)
            .backend(storage)
            .data(meter.clone())
            .concurrency(slots)
            .parallelize(tokio::spawn)
            .build(handle);

        meter.ready().await;
        worker.run().await?;
        Ok(())
    }
}

/// apalis' own interval sleeps until the next heartbeat if it ends in the very poll in which an empty answer arrives, which
/// a busy machine brings about within seconds: its next delay is then made but not polled, so nothing wakes the worker.
struct Ticks(Interval);

impl Ticks {
    fn new(every: Duration) -> Self {
        let mut clock = interval(every);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self(clock)
    }
}

impl PollStrategy for Ticks {
    fn poll_drive(&mut self, cx: &mut Context<'_>, _: &PollSnapshot) -> Poll<Option<()>> {
        let mut due = Poll::Pending;
        while self.0.poll_tick(cx).is_ready() {
            due = Poll::Ready(Some(()));
        }
        due
    }
}

async fn handle(payload: Payload, meter: Data<Meter>) -> Result<(), BoxDynError> {
    meter.handle(&payload).await;
    Ok(())
}
