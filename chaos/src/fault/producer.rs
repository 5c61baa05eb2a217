//! What happens to producer processes.

use fastrand::Rng;

use super::Fault;
use crate::{ground::Ground, stage::Stage};

/// SIGKILL; the one that takes its place sends everything again, under the same ids.
pub const fn kill<G: Ground>() -> Fault<G> {
    Fault { name: "producer killed", strike: |stage, chance| Box::pin(kill_one(stage, chance)) }
}

async fn kill_one<G: Ground>(stage: &mut Stage<G>, chance: &mut Rng) -> anyhow::Result<()> {
    let number = chance.usize(..stage.producers.len());
    stage.producers[number].process.sigkill();
    stage.producers[number] = stage.producer(number)?;
    Ok(())
}
