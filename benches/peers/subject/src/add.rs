//! Adding jobs in the rhythm the driver asks for.

use std::time::{Duration, Instant};

use tokio::{task::JoinSet, time::MissedTickBehavior};

use crate::{
    System,
    payload::{Payload, now_us},
    protocol::{Add, Mode, Reply, Request, requests},
};

/// Connects, warms up, waits for `start`, adds, and tells how long that took.
pub(crate) async fn run<S: System>(args: Add) -> anyhow::Result<()> {
    let mut requests = requests();
    let producer = S::connect(&args.redis).await?;
    warm_up::<S>(&producer, &args).await?;

    Reply::Ready { keeps: S::KEEPS }.send();
    while requests.recv().await.is_some_and(|request| request != Request::Start) {}

    let (first_us, clock) = (now_us(), Instant::now());
    match args.mode {
        Mode::Bulk => bulk::<S>(&producer, args.jobs, args.chunk).await?,
        Mode::Concurrent => concurrent::<S>(&producer, args.jobs, args.tasks).await?,
        Mode::Single => single::<S>(&producer, args.jobs).await?,
        Mode::Paced => paced::<S>(&producer, args.jobs, Duration::from_millis(args.every_ms)).await?,
        Mode::Delayed => delayed::<S>(&producer, args.jobs).await?,
    }
    Reply::Added { jobs: args.jobs, seconds: clock.elapsed().as_secs_f64(), first_us }.send();
    Ok(())
}

async fn warm_up<S: System>(producer: &S::Producer, args: &Add) -> anyhow::Result<()> {
    match args.mode {
        Mode::Bulk => bulk::<S>(producer, args.warmup, args.chunk).await,
        Mode::Concurrent => concurrent::<S>(producer, args.warmup, args.tasks).await,
        Mode::Single | Mode::Paced | Mode::Delayed => single::<S>(producer, args.warmup).await,
    }
}

async fn bulk<S: System>(producer: &S::Producer, jobs: usize, chunk: usize) -> anyhow::Result<()> {
    let mut left = jobs;
    while left > 0 {
        let share = left.min(chunk);
        S::add_bulk(producer, vec![Payload::plain(); share]).await?;
        left -= share;
    }
    Ok(())
}

async fn concurrent<S: System>(producer: &S::Producer, jobs: usize, tasks: usize) -> anyhow::Result<()> {
    let mut running = JoinSet::new();
    for task in 0..tasks {
        // The first tasks take what does not divide evenly.
        let share = jobs / tasks + usize::from(task < jobs % tasks);
        let producer = producer.clone();
        running.spawn(async move { single::<S>(&producer, share).await });
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    Ok(())
}

async fn single<S: System>(producer: &S::Producer, jobs: usize) -> anyhow::Result<()> {
    for _ in 0..jobs {
        S::add(producer, Payload::plain()).await?;
    }
    Ok(())
}

async fn paced<S: System>(producer: &S::Producer, jobs: usize, every: Duration) -> anyhow::Result<()> {
    let mut clock = tokio::time::interval(every);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for _ in 0..jobs {
        clock.tick().await;
        S::add(producer, Payload::sent_now()).await?;
    }
    Ok(())
}

/// Delays spread evenly over half a second to one and a half.
async fn delayed<S: System>(producer: &S::Producer, jobs: usize) -> anyhow::Result<()> {
    for job in 0..jobs {
        let delay = Duration::from_secs_f64(0.5 + job as f64 / jobs as f64);
        let due_us = now_us() + delay.as_micros() as u64;
        S::add_in(producer, Payload::due(due_us), delay).await?;
    }
    Ok(())
}
