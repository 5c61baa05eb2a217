//! What happens to a single Redis server.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use ergate_rig::RedisServer;
use fastrand::Rng;
use tokio::time::sleep;

use super::{
    Fault,
    survivors::{self, Sort},
};
use crate::{diary::Did, ledger::now_ns, stage::Stage};

type On = Stage<RedisServer>;

/// SIGKILL, and a restart after less than a second.
pub const KILL: Fault<RedisServer> =
    Fault { name: "redis killed", strike: |stage, chance| Box::pin(kill(stage, chance)) };

/// The same under `appendfsync everysec`. While the disk is busy, Redis answers before it has written, for up to two seconds: what
/// it holds back then is lost with the process alone.
pub const KILL_EVERYSEC: Fault<RedisServer> =
    Fault { name: "redis killed", strike: |stage, chance| Box::pin(kill_everysec(stage, chance)) };

/// A power cut under `appendfsync everysec`: SIGKILL, and the append-only file is as long again as it was a second before.
pub const POWER_CUT: Fault<RedisServer> =
    Fault { name: "power cut, last second lost", strike: |stage, chance| Box::pin(cut_power(stage, chance)) };

/// A restart with nothing left of the data.
pub const DATA_LOST: Fault<RedisServer> =
    Fault { name: "redis restarted empty", strike: |stage, _| Box::pin(lose_all(stage)) };

/// SIGSTOP and SIGCONT: connections stay open, nothing is answered.
pub const FREEZE: Fault<RedisServer> =
    Fault { name: "redis frozen", strike: |stage, chance| Box::pin(freeze(stage, chance)) };

/// `DEBUG SLEEP`: one command takes longer than some deadlines; every other one longer than a lease.
pub const SLEEP: Fault<RedisServer> =
    Fault { name: "DEBUG SLEEP", strike: |stage, chance| Box::pin(debug_sleep(stage, chance)) };

/// `CLIENT KILL` of all connections of a kind: all ordinary ones, those that are blocked, those that subscribe.
pub const CLIENT_KILL: Fault<RedisServer> =
    Fault { name: "CLIENT KILL", strike: |stage, chance| Box::pin(kill_clients(stage, chance)) };

/// `SCRIPT FLUSH`: no script is known any more.
pub const SCRIPT_FLUSH: Fault<RedisServer> =
    Fault { name: "SCRIPT FLUSH", strike: |stage, _| Box::pin(flush_scripts(stage)) };

/// `maxmemory` is reached, and raised again after a second.
pub const FULL: Fault<RedisServer> =
    Fault { name: "memory full", strike: |stage, chance| Box::pin(fill(stage, chance)) };

/// `CLIENT PAUSE`, of all commands or of those that write.
pub const PAUSE: Fault<RedisServer> =
    Fault { name: "CLIENT PAUSE", strike: |stage, chance| Box::pin(pause(stage, chance)) };

/// How long Redis holds back what it has acknowledged while the disk is busy, and a second for looking at it.
const HELD_BACK_NS: u64 = 3_000_000_000;

fn millis(chance: &mut Rng, range: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(chance.u64(range))
}

/// One command, again and again until it is answered: a stage is a busy place.
async fn ask<T: redis::FromRedisValue>(stage: &On, words: &[&str]) -> anyhow::Result<T> {
    let mut tries = 0;
    loop {
        match stage.ground.try_ask(words).await {
            Ok(answer) => return Ok(answer),
            Err(error) if tries == 10 => return Err(error).with_context(|| format!("{words:?}")),
            Err(_) => tries += 1,
        }
        sleep(Duration::from_millis(50)).await;
    }
}

async fn kill(stage: &mut On, chance: &mut Rng) -> anyhow::Result<()> {
    let since = now_ns();
    stage.ground.kill();
    sleep(millis(chance, 50..800)).await;
    stage.ground.restart().await;
    stage.diary.note_since(since, Did::Outage);
    Ok(())
}

async fn kill_everysec(stage: &mut On, chance: &mut Rng) -> anyhow::Result<()> {
    let now = now_ns();
    kill(stage, chance).await?;
    let since = now.saturating_sub(HELD_BACK_NS);
    stage.diary.note_between(since, now_ns(), Did::Lost);
    survivors::note(stage, &stage.client.clone(), since, &[Sort::Job, Sort::Event]).await
}

async fn cut_power(stage: &mut On, chance: &mut Rng) -> anyhow::Result<()> {
    let file = stage.ground.append_only_file().context("the server writes an append-only file")?;
    let mut lengths = Vec::new();
    for _ in 0..60 {
        // The time first: what was written between the two is kept, and may be taken for lost.
        lengths.push((now_ns(), std::fs::metadata(&file)?.len()));
        sleep(Duration::from_millis(20)).await;
    }
    let since = now_ns();
    stage.ground.kill();
    let killed = now_ns();
    let second_before = lengths.iter().rev().find(|(ns, _)| since - ns >= 1_000_000_000);
    let (from, length) = *second_before.context("the file was looked at for a second")?;
    std::fs::File::options().write(true).open(&file)?.set_len(length)?;
    let lost_since = from.saturating_sub(HELD_BACK_NS);
    stage.diary.note_between(lost_since, killed, Did::Lost);
    sleep(millis(chance, 50..500)).await;
    stage.ground.restart().await;
    stage.diary.note_since(since, Did::Outage);
    survivors::note(stage, &stage.client.clone(), lost_since, &[Sort::Job, Sort::Event]).await
}

async fn lose_all(stage: &mut On) -> anyhow::Result<()> {
    let since = now_ns();
    stage.ground.kill();
    stage.ground.restart().await;
    stage.diary.note_since(since, Did::Outage);
    stage.keep_everything().await?;
    // Workers declare their functions again within a second or two; events that come before that start nothing, as nobody knows
    // what they are to start.
    stage.at_work().await?;
    let again = Duration::from_nanos(now_ns() - since);
    ensure!(
        again < Duration::from_secs(8) + 3 * stage.stalls.worst(),
        "functions were declared again after {again:?}"
    );
    stage.diary.note_since(0, Did::Lost);
    Ok(())
}

async fn freeze(stage: &mut On, chance: &mut Rng) -> anyhow::Result<()> {
    let since = now_ns();
    stage.ground.freeze();
    sleep(millis(chance, 200..1500)).await;
    stage.ground.thaw();
    stage.diary.note_since(since, Did::Outage);
    Ok(())
}

async fn debug_sleep(stage: &mut On, chance: &mut Rng) -> anyhow::Result<()> {
    let lease = stage.plan.lease.as_millis() as u64;
    let lasts = if chance.bool() { chance.u64(200..lease) } else { lease + chance.u64(200..1000) };
    let since = now_ns();
    ask::<()>(stage, &["DEBUG", "SLEEP", &format!("{:.3}", lasts as f64 / 1000.0)]).await?;
    stage.diary.note_since(since, Did::Outage);
    Ok(())
}

async fn kill_clients(stage: &mut On, chance: &mut Rng) -> anyhow::Result<()> {
    let since = now_ns();
    match chance.u8(..3) {
        0 => {
            ask::<u64>(stage, &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await?;
        }
        1 => {
            // Producers that wait for the end of what they started.
            let killed: u64 = ask(stage, &["CLIENT", "KILL", "TYPE", "pubsub", "SKIPME", "yes"]).await?;
            stage.diary.missed += usize::from(killed == 0);
        }
        _ => {
            let all: String = ask(stage, &["CLIENT", "LIST"]).await?;
            // The flag of a client that waits in a blocking command.
            for line in
                all.lines().filter(|line| line.split(" flags=").nth(1).is_some_and(|it| it.starts_with('b')))
            {
                let id = line.trim_start_matches("id=").split(' ').next().unwrap_or_default();
                // It may have gone by itself meanwhile.
                let _ = stage.ground.try_ask::<i64>(&["CLIENT", "KILL", "ID", id]).await;
            }
        }
    }
    stage.diary.note_since(since, Did::Outage);
    Ok(())
}

async fn flush_scripts(stage: &mut On) -> anyhow::Result<()> {
    ask::<()>(stage, &["SCRIPT", "FLUSH"]).await?;
    Ok(())
}

async fn fill(stage: &mut On, chance: &mut Rng) -> anyhow::Result<()> {
    let since = now_ns();
    // Less than the empty server uses.
    ask::<()>(stage, &["CONFIG", "SET", "maxmemory", "1"]).await?;
    sleep(millis(chance, 500..1500)).await;
    let full = now_ns();
    ask::<()>(stage, &["CONFIG", "SET", "maxmemory", "0"]).await?;
    stage.diary.note_between(since, full, Did::Full);
    stage.diary.note_since(since, Did::Outage);
    Ok(())
}

async fn pause(stage: &mut On, chance: &mut Rng) -> anyhow::Result<()> {
    let (lasts, what) = (millis(chance, 200..1500), if chance.bool() { "ALL" } else { "WRITE" });
    let since = now_ns();
    ask::<()>(stage, &["CLIENT", "PAUSE", &lasts.as_millis().to_string(), what]).await?;
    sleep(lasts).await;
    stage.diary.note_since(since, Did::Outage);
    Ok(())
}
