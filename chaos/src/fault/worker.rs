//! What happens to worker processes.

use std::time::Duration;

use fastrand::Rng;

use super::{Fault, extra};
use crate::{diary::Did, ground::Ground, ledger::now_ns, stage::Stage};

/// SIGKILL; a new one takes its place.
pub const fn kill<G: Ground>() -> Fault<G> {
    Fault { name: "worker killed", strike: |stage, chance| Box::pin(kill_one(stage, chance)) }
}

/// SIGSTOP for longer than a lease, then SIGCONT: it wakes up with leases that others have by then.
pub const fn freeze<G: Ground>() -> Fault<G> {
    Fault { name: "worker frozen", strike: |stage, chance| Box::pin(freeze_one(stage, chance)) }
}

/// SIGTERM, as at a deploy; a new one takes its place.
pub const fn stop<G: Ground>() -> Fault<G> {
    Fault { name: "worker told to stop", strike: |stage, chance| Box::pin(stop_one(stage, chance)) }
}

/// The same while it runs jobs that take longer than its shutdown deadline: it hands them back.
pub const fn stop_at_work<G: Ground>() -> Fault<G> {
    Fault {
        name: "worker told to stop at work",
        strike: |stage, chance| Box::pin(stop_one_at_work(stage, chance)),
    }
}

/// SIGSTOP for longer than a lease, and SIGCONT while its handlers have work left: they are told that it is not theirs any more.
pub const fn freeze_at_work<G: Ground>() -> Fault<G> {
    Fault {
        name: "worker frozen at work",
        strike: |stage, chance| Box::pin(freeze_one_at_work(stage, chance)),
    }
}

/// A deploy: every worker is told to stop and followed by one of the other release, in turn.
pub const fn deploy<G: Ground>() -> Fault<G> {
    Fault { name: "deploy of the other release", strike: |stage, chance| Box::pin(deploy_all(stage, chance)) }
}

fn one_to_go<G: Ground>(stage: &Stage<G>, chance: &mut Rng) -> usize {
    chance.usize(stage.plan.spared..stage.workers.len())
}

async fn kill_one<G: Ground>(stage: &mut Stage<G>, chance: &mut Rng) -> anyhow::Result<()> {
    let place = one_to_go(stage, chance);
    let mut victim = stage.replace(place)?;
    victim.process.sigkill();
    // Noted after it is gone, so that it can have done nothing later.
    stage.diary.note(Did::Killed(victim.name.clone()));
    stage.gone.push(victim);
    Ok(())
}

async fn freeze_one<G: Ground>(stage: &mut Stage<G>, chance: &mut Rng) -> anyhow::Result<()> {
    let place = chance.usize(..stage.workers.len());
    let (longest, name) = (stage.plan.lease.as_millis() as u64, stage.workers[place].name.clone());
    let lasts = Duration::from_millis(longest + chance.u64(500..1500));
    stage.workers[place].process.sigstop();
    // Noted once it stands still, so that all it did before came before.
    let since = now_ns();
    tokio::time::sleep(lasts).await;
    // Noted before it goes on, so that nothing it does then can have come before.
    stage.diary.note_since(since, Did::Frozen(name));
    stage.workers[place].process.sigcont();
    Ok(())
}

async fn stop_one<G: Ground>(stage: &mut Stage<G>, chance: &mut Rng) -> anyhow::Result<()> {
    let place = one_to_go(stage, chance);
    stage.relieve(place)
}

async fn stop_one_at_work<G: Ground>(stage: &mut Stage<G>, chance: &mut Rng) -> anyhow::Result<()> {
    extra::keep_at_work(stage, chance, 4, stage.plan.lease.mul_f64(0.7)).await?;
    stop_one(stage, chance).await
}

async fn freeze_one_at_work<G: Ground>(stage: &mut Stage<G>, chance: &mut Rng) -> anyhow::Result<()> {
    // A freeze lasts for less than one and a half leases and a second.
    extra::keep_at_work(stage, chance, 2, 2 * stage.plan.lease).await?;
    freeze_one(stage, chance).await
}

async fn deploy_all<G: Ground>(stage: &mut Stage<G>, chance: &mut Rng) -> anyhow::Result<()> {
    stage.plan.release = if stage.plan.release == 1 { 2 } else { 1 };
    for place in 0..stage.workers.len() {
        stage.relieve(place)?;
        tokio::time::sleep(Duration::from_millis(chance.u64(100..500))).await;
    }
    Ok(())
}
