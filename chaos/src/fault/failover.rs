//! What happens to servers that others can stand in for.
//!
//! Replication is asynchronous: a master that is killed may have acknowledged what no replica has. So there are two sorts. In a
//! *quiet* failover writes are paused until the replicas have everything, and nothing may be lost. In any other, what was
//! acknowledged in the last second before it may be, and is counted, unless the new master had it when it took over.

use std::time::Duration;

use ergate::{Client, QueueName};
use ergate_rig::{RedisCluster, RedisSentinel, RedisServer};
use ergate_shared::key::QueueKey;
use fastrand::Rng;

use super::{
    Fault,
    survivors::{self, Sort},
};
use crate::{diary::Did, ledger::now_ns, stage::Stage};

/// A second before a master was killed, its replicas had everything; in ns.
const LAG: u64 = 1_000_000_000;
/// Writes are paused for so long, in ms, or until the server is killed.
const PAUSE: &str = "60000";

/// The primary is killed once its replicas have everything; Sentinel makes one of them the primary.
pub const SENTINEL_QUIET: Fault<RedisSentinel> = Fault {
    name: "primary killed, replicas in step",
    strike: |stage, _| Box::pin(kill_primary(stage, true)),
};

/// The primary is killed under load.
pub const SENTINEL_KILL: Fault<RedisSentinel> =
    Fault { name: "primary killed", strike: |stage, _| Box::pin(kill_primary(stage, false)) };

/// `SENTINEL FAILOVER` under load.
pub const SENTINEL_ORDERED: Fault<RedisSentinel> =
    Fault { name: "failover ordered", strike: |stage, _| Box::pin(order_failover(stage)) };

/// The master of a queue is killed once its replica has everything; the replica takes over.
pub const CLUSTER_QUIET: Fault<RedisCluster> = Fault {
    name: "master killed, replica in step",
    strike: |stage, chance| Box::pin(kill_master(stage, chance, true)),
};

/// The master of a queue is killed under load.
pub const CLUSTER_KILL: Fault<RedisCluster> =
    Fault { name: "master killed", strike: |stage, chance| Box::pin(kill_master(stage, chance, false)) };

/// The slot of a queue moves to another master, key by key, under load: MOVED, ASK and TRYAGAIN.
pub const CLUSTER_MIGRATE: Fault<RedisCluster> =
    Fault { name: "slot migrated", strike: |stage, chance| Box::pin(migrate(stage, chance)) };

async fn pause_writes(server: &RedisServer) -> redis::RedisResult<()> {
    server.try_ask(&["CLIENT", "PAUSE", PAUSE, "WRITE"]).await
}

async fn kill_primary(stage: &mut Stage<RedisSentinel>, quiet: bool) -> anyhow::Result<()> {
    stage.ground.settled().await;
    stage.ground.in_step().await;
    let since = now_ns();
    let primary = stage.ground.primary().await;
    let port = primary.port();
    if quiet {
        pause_writes(primary).await?;
        stage.ground.in_step().await;
    }
    stage.ground.server(port).kill();
    stage.ground.primary_is_another(port).await;
    stage.diary.note_since(since, Did::Outage);
    if !quiet {
        stage.diary.note_since(since.saturating_sub(LAG), Did::Lost);
        survive(stage, since).await?;
    }
    stage.ground.comes_back(port).await;
    Ok(())
}

async fn order_failover(stage: &mut Stage<RedisSentinel>) -> anyhow::Result<()> {
    stage.ground.settled().await;
    stage.ground.in_step().await;
    let (since, before) = (now_ns(), stage.ground.primary_port().await);
    stage.ground.failover().await;
    let port = stage.ground.primary_port().await;
    stage.diary.note_since(since, Did::Outage);
    stage.diary.note_since(since.saturating_sub(LAG), Did::Lost);
    // Until its replicas have left it, clients that have a connection to the old primary write what is going to be thrown away;
    // after that it refuses to.
    let followed = now_ns();
    stage.ground.is_alone(before).await;
    stage.diary.note_since(followed, Did::Lost);
    survive(stage, since).await?;
    stage.ground.in_step().await;
    anyhow::ensure!(stage.ground.primary_port().await == port, "there was another failover");
    Ok(())
}

/// Notes what the new primary has. Whoever finds it by the sentinels may still have a connection to the old one.
async fn survive(stage: &mut Stage<RedisSentinel>, since: u64) -> anyhow::Result<()> {
    let url = stage.ground.primary().await.url();
    let primary = Client::builder().connect_within(Duration::from_secs(30)).connect(&url).await?;
    survivors::note(stage, &primary, since.saturating_sub(LAG), &[Sort::Job, Sort::Event]).await
}

/// A key in the slot of one of the stage's queues.
fn some_key(stage: &Stage<RedisCluster>, chance: &mut Rng) -> anyhow::Result<String> {
    let queues = stage.queues();
    let queue: QueueName = queues[chance.usize(..queues.len())].parse()?;
    Ok(stage.client.keys(&queue).get(QueueKey::jobs).to_owned())
}

async fn kill_master(stage: &mut Stage<RedisCluster>, chance: &mut Rng, quiet: bool) -> anyhow::Result<()> {
    let key = some_key(stage, chance)?;
    stage.ground.in_step().await;
    let place = stage.ground.serves(&key).await;
    let since = now_ns();
    if quiet {
        pause_writes(&stage.ground.nodes()[place]).await?;
        stage.ground.in_step().await;
    }
    stage.ground.node(place).kill();
    stage.ground.taken_over(place).await;
    stage.diary.note_since(since, Did::Outage);
    if !quiet {
        let since = since.saturating_sub(LAG);
        stage.diary.note_since(since, Did::Lost);
        // The run that an event started may have been on the master that is gone, and the event on another.
        survivors::note(stage, &stage.client.clone(), since, &[Sort::Job]).await?;
    }
    stage.ground.comes_back(place).await;
    Ok(())
}

async fn migrate(stage: &mut Stage<RedisCluster>, chance: &mut Rng) -> anyhow::Result<()> {
    let key = some_key(stage, chance)?;
    let from = stage.ground.serves(&key).await;
    let others: Vec<usize> =
        stage.ground.masters().await.into_iter().filter(|master| *master != from).collect();
    let to = others[chance.usize(..others.len())];
    let since = now_ns();
    stage.ground.migrate(&key, to).await;
    stage.diary.note_since(since, Did::Outage);
    tokio::time::sleep(Duration::from_millis(chance.u64(0..300))).await;
    Ok(())
}
