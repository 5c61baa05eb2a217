//! Jobs of the stage's own: sent for the sake of a fault, and owed like all others.

use std::time::Duration;

use ergate::{EnqueueAll, Job};
use fastrand::Rng;
use tokio::time::sleep;

use crate::{
    ground::Ground,
    ledger::{Answer, Ledger, Told, now_ns},
    play::insist,
    stage::Stage,
    work::jobs::Plain,
};

/// Enqueues a job for each id, whose name is its kind, and notes that they were acknowledged.
pub(crate) async fn enqueue<G: Ground, J: Job>(
    stage: &Stage<G>,
    ids: Vec<String>,
    job: impl Fn() -> J,
) -> anyhow::Result<()> {
    let asked_ns = now_ns();
    let all = || -> EnqueueAll {
        let mut left = ids.iter();
        let jobs = stage.client.enqueue_all(ids.iter().map(|_| job()));
        jobs.each(|job| job.id(left.next().expect("there is a job for each")))
    };
    insist(async || all().await).await?;
    let told = Ledger::open(&stage.told())?;
    for id in ids {
        let (kind, member, answer) = (J::NAME.to_owned(), "stage".to_owned(), Answer::Kept);
        told.write(&Told { ns: now_ns(), asked_ns, member, kind, id, answer })?;
    }
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
    // One by one: one worker would lease all that come at once.
    for _ in 0..each * stage.workers.len() {
        enqueue(stage, vec![format!("extra-{:08x}", chance.u32(..))], || Plain { runs_ms }).await?;
    }
    sleep(stage.plan.lease.mul_f64(0.2)).await;
    Ok(())
}
