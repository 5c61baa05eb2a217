//! Jobs of the stage's own: sent for the sake of a fault, and owed like all others.

use std::time::Duration;

use ergate::{Enqueue, Job};
use fastrand::Rng;
use tokio::time::sleep;

use crate::{
    ground::Ground,
    ledger::{Answer, Ledger, Told, now_ns},
    play::insist,
    stage::Stage,
    work::jobs::Plain,
};

/// Enqueues a job, whose name is its kind, and notes that it was acknowledged.
pub(crate) async fn enqueue<G: Ground, J: Job>(
    stage: &Stage<G>,
    id: String,
    job: impl Fn() -> J,
) -> anyhow::Result<()> {
    let asked_ns = now_ns();
    let enqueue = || -> Enqueue { stage.client.enqueue(job()).id(&id) };
    insist(async || enqueue().await).await?;
    let (kind, member, answer) = (J::NAME.to_owned(), "stage".to_owned(), Answer::Kept);
    Ledger::open(&stage.told())?.write(&Told { ns: now_ns(), asked_ns, member, kind, id, answer })?;
    Ok(())
}

/// Sends so many jobs for each worker, which keep them at work for so long: most have begun by the time this returns, a fifth of a
/// lease later.
pub(crate) async fn keep_at_work<G: Ground>(
    stage: &Stage<G>,
    chance: &mut Rng,
    each: usize,
    lasts: Duration,
) -> anyhow::Result<()> {
    let runs_ms = lasts.as_millis() as u64;
    for _ in 0..each * stage.workers.len() {
        enqueue(stage, format!("extra-{:08x}", chance.u32(..)), || Plain { runs_ms }).await?;
    }
    sleep(stage.plan.lease.mul_f64(0.2)).await;
    Ok(())
}
