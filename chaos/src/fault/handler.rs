//! What handlers must not do.

use std::time::Duration;

use anyhow::bail;
use fastrand::Rng;

use super::{Fault, extra};
use crate::{
    ground::Ground,
    stage::Stage,
    work::jobs::{Bad, Sin},
};

/// Handlers that block all threads of the runtime for longer than a lease. No lease may be lost by that.
pub const fn block<G: Ground>() -> Fault<G> {
    Fault { name: "runtime blocked", strike: |stage, chance| Box::pin(block_all(stage, chance)) }
}

/// A handler that panics twice.
pub const fn panic<G: Ground>() -> Fault<G> {
    Fault { name: "handler panics", strike: |stage, chance| Box::pin(panic_some(stage, chance)) }
}

/// A handler that takes all memory its process may have, so that it is aborted; a new one takes its place.
pub const fn hog<G: Ground>() -> Fault<G> {
    Fault { name: "worker out of memory", strike: |stage, chance| Box::pin(take_memory(stage, chance)) }
}

async fn sin<G: Ground>(stage: &Stage<G>, chance: &mut Rng, sin: Sin) -> anyhow::Result<()> {
    extra::enqueue(stage, vec![format!("bad-{:08x}", chance.u32(..))], || Bad { sin }).await
}

async fn block_all<G: Ground>(stage: &mut Stage<G>, chance: &mut Rng) -> anyhow::Result<()> {
    let lasts = stage.plan.lease.as_millis() as u64 + 300;
    // Some of them meet in one process, so that both its threads are blocked.
    for _ in 0..2 * stage.workers.len() {
        sin(stage, chance, Sin::Block(lasts)).await?;
    }
    tokio::time::sleep(Duration::from_millis(lasts)).await;
    Ok(())
}

async fn panic_some<G: Ground>(stage: &mut Stage<G>, chance: &mut Rng) -> anyhow::Result<()> {
    for _ in 0..5 {
        sin(stage, chance, Sin::Panic).await?;
    }
    Ok(())
}

async fn take_memory<G: Ground>(stage: &mut Stage<G>, chance: &mut Rng) -> anyhow::Result<()> {
    sin(stage, chance, Sin::Hog(1)).await?;
    for _ in 0..6000 {
        if stage.bury()? > 0 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bail!("a handler that takes memory without end ended no worker")
}
