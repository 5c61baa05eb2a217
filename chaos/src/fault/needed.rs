//! Faults that one safety alone keeps from doing harm, each done so that it surely would.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use ergate::Client;
use ergate_rig::RedisServer;
use ergate_shared::{
    key::{QueueKey, RegistryKeys},
    script,
};
use fastrand::Rng;
use tokio::time::{sleep, timeout};

use super::{Fault, extra, worker};
use crate::{
    diary::Did,
    ground::{Ground as _, wired::Wired},
    ledger::now_ns,
    play::insist,
    stage::Stage,
    work::jobs::{Plain, QUEUE},
};

/// The reply to a worker's turn is lost, and with it word of the jobs it leased.
pub const LOSE_LEASE: Fault<Wired> =
    Fault { name: "reply to a lease lost", strike: |stage, chance| Box::pin(lose_lease(stage, chance)) };

/// The reply to an enqueue of jobs without ids of their own is lost.
pub const LOSE_ENQUEUE: Fault<Wired> =
    Fault { name: "reply to an enqueue lost", strike: |stage, chance| Box::pin(lose_enqueue(stage, chance)) };

/// What a worker says of the ends of its jobs is held up on the wire until others run them.
pub const OUTLIVE: Fault<Wired> =
    Fault { name: "ends of jobs held up", strike: |stage, chance| Box::pin(outlive(stage, chance)) };

/// A worker is killed while it runs jobs.
pub const KILL_AT_WORK: Fault<RedisServer> =
    Fault { name: "worker killed at work", strike: |stage, chance| Box::pin(kill_at_work(stage, chance)) };

/// Ready jobs are taken out of their list behind Ergate's back.
pub const DAMAGE: Fault<RedisServer> =
    Fault { name: "jobs taken out of every state", strike: |stage, _| Box::pin(damage(stage)) };

/// Redis is killed and comes back with nothing.
pub const REPLACE: Fault<RedisServer> =
    Fault { name: "data set replaced", strike: |stage, _| Box::pin(replace(stage)) };

/// Workers look whether they have new connections about so often.
const SWEEP: Duration = Duration::from_secs(15);
/// How long is waited for what must come.
const PATIENCE: Duration = Duration::from_secs(15);

async fn lose_lease(stage: &mut Stage<Wired>, chance: &mut Rng) -> anyhow::Result<()> {
    let mut lost_any = false;
    for _ in 0..4 {
        let name = stage.workers[chance.usize(..stage.workers.len())].name.clone();
        let turn = script::WORKER_TURN.sha.as_bytes();
        // One that leases and settles nothing: no token comes before what it asks for.
        let leases = move |words: &[&[u8]]| {
            let is_turn = words.contains(&turn);
            let keys = words.get(2).and_then(|count| std::str::from_utf8(count).ok()?.parse::<usize>().ok());
            let argument = |place: usize| keys.and_then(|keys| words.get(3 + keys + place));
            let asks = argument(3).is_some_and(|slots| *slots != b"0");
            let to_jobs = words.iter().any(|word| word.ends_with(b":{jobs}:ready"));
            is_turn && to_jobs && asks
        };
        let lost = timeout(Duration::from_secs(1), stage.ground.wire(&name).lose_reply_when(leases)).await;
        lost_any |= lost.is_ok();
    }
    stage.diary.missed += usize::from(!lost_any);
    Ok(())
}

/// By a wire of the stage's own: what producers send has ids of theirs, which alone keep it from being there twice.
async fn lose_enqueue(stage: &mut Stage<Wired>, chance: &mut Rng) -> anyhow::Result<()> {
    let member = format!("stage-{:08x}", chance.u32(..));
    let client = Client::connect(&stage.ground.url_for(&member)).await?;
    client.enqueue(Plain { runs_ms: 1 }).await?;
    for _ in 0..3 {
        let lost = stage.ground.wire(&member).lose_reply_of(&script::JOB_ENQUEUE.sha);
        let jobs = (0..30).map(|_| Plain { runs_ms: 50 }).collect::<Vec<_>>();
        client.enqueue_all(jobs).await?;
        lost.await;
    }
    Ok(())
}

fn most_of_a_lease<G>(stage: &Stage<G>) -> Duration {
    stage.plan.lease.mul_f64(0.7)
}

async fn outlive(stage: &mut Stage<Wired>, chance: &mut Rng) -> anyhow::Result<()> {
    extra::keep_at_work(stage, chance, 4, most_of_a_lease(stage)).await?;
    let wire = stage.ground.wire(&stage.workers[chance.usize(..stage.workers.len())].name);
    // The jobs end in time as their worker sees it; by when that is heard of, others have them.
    wire.stall().await;
    sleep(stage.plan.lease.mul_f64(1.4)).await;
    wire.heal().await;
    Ok(())
}

async fn kill_at_work(stage: &mut Stage<RedisServer>, chance: &mut Rng) -> anyhow::Result<()> {
    extra::keep_at_work(stage, chance, 4, most_of_a_lease(stage)).await?;
    (worker::kill().strike)(stage, chance).await
}

async fn damage(stage: &mut Stage<RedisServer>) -> anyhow::Result<()> {
    let queue = stage.client.queue(QUEUE)?;
    insist(async || queue.pause().await).await?;
    for number in 0..5 {
        stage.client.enqueue(Plain { runs_ms: 5 }).id(format!("hidden-{}-{number}", now_ns())).await?;
    }
    let ready = queue.keys().get(QueueKey::ready).to_owned();
    let mut taken = 0_u64;
    for id in stage.ground.ask::<Vec<String>>(&["LRANGE", &ready, "0", "-1"]).await {
        if id.starts_with("hidden-") {
            taken += stage.ground.ask::<u64>(&["LREM", &ready, "1", &id]).await;
        }
    }
    ensure!(taken > 0, "no job was there to be taken out of its state");
    insist(async || queue.resume().await).await?;
    // Workers look at the numbers after each new connection; it would be a minute otherwise.
    stage.ground.ask::<u64>(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
    let repaired = async {
        while !insist(async || queue.stats().await).await?.adds_up() {
            sleep(Duration::from_millis(50)).await;
        }
        anyhow::Ok(())
    };
    timeout(PATIENCE + SWEEP, repaired).await.context("nobody repaired jobs that were in no state")?
}

async fn replace(stage: &mut Stage<RedisServer>) -> anyhow::Result<()> {
    let since = now_ns();
    stage.ground.kill();
    stage.ground.restart().await;
    // As by an operator who brings an older copy, or by the first process that is started anew.
    let registry = RegistryKeys::new(stage.client.namespace());
    stage.ground.ask::<()>(&["SET", &registry.epoch, "another"]).await;
    stage.ground.ask::<()>(&["SET", &registry.format, "1"]).await;
    stage.keep_everything().await?;
    stage.diary.note_since(since, Did::Outage);
    let says = async {
        while !stage.workers.iter().all(|worker| worker.process.output().contains("holds another data set")) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, says).await.context("a worker did not notice that Redis has another data set")?;
    // What was sent until now is gone; the stage is at work again.
    stage.at_work().await?;
    stage.diary.note_since(0, Did::Lost);
    Ok(())
}
