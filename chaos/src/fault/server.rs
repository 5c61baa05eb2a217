//! What happens to a single Redis server.

use std::time::Duration;

use ergate_rig::RedisServer;
use fastrand::Rng;

use super::Fault;
use crate::{diary::Did, ledger::now_ns, stage::Stage};

type On = Stage<RedisServer>;

/// SIGKILL, and a restart after less than a second.
pub const KILL: Fault<RedisServer> =
    Fault { name: "redis killed", strike: |stage, chance| Box::pin(kill(stage, chance)) };

async fn kill(stage: &mut On, chance: &mut Rng) -> anyhow::Result<()> {
    let since = now_ns();
    stage.ground.kill();
    tokio::time::sleep(Duration::from_millis(chance.u64(50..800))).await;
    stage.ground.restart().await;
    stage.diary.note_since(since, Did::Outage);
    Ok(())
}
