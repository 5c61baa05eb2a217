//! What happens to the wire of one process, while the others have theirs.

use std::{num::NonZeroU32, time::Duration};

use anyhow::Context as _;
use ergate_rig::{Direction, Proxy, proxy::Lost};
use ergate_shared::script::Script;
use fastrand::Rng;
use tokio::time::{sleep, timeout};

use super::Fault;
use crate::{ground::wired::Wired, stage::Stage};

type On = Stage<Wired>;

/// Nothing passes between a worker and Redis for longer than a lease, and then all that was sent; nobody is told.
pub const PARTITION: Fault<Wired> =
    Fault { name: "worker parted", strike: |stage, chance| Box::pin(part(stage, chance)) };

/// The same for one way only: requests arrive and answers do not, or the other way round.
pub const SILENCE: Fault<Wired> =
    Fault { name: "one way silent", strike: |stage, chance| Box::pin(silence(stage, chance)) };

/// One way of all connections of a process is closed, the other stays open.
pub const HALF_CLOSE: Fault<Wired> =
    Fault { name: "one way closed", strike: |stage, chance| Box::pin(half_close(stage, chance)) };

/// All connections of a process are closed.
pub const RESET: Fault<Wired> =
    Fault { name: "connections reset", strike: |stage, chance| Box::pin(reset(stage, chance)) };

/// A process has a wire that carries some kB a second.
pub const SLOW: Fault<Wired> =
    Fault { name: "slow wire", strike: |stage, chance| Box::pin(slow(stage, chance)) };

/// A reply ends after some bytes, and the connection with it.
pub const CUT: Fault<Wired> =
    Fault { name: "reply cut short", strike: |stage, chance| Box::pin(cut(stage, chance)) };

/// Redis has done what a script says, and nobody hears of it.
pub const LOSE_REPLY: Fault<Wired> =
    Fault { name: "reply lost", strike: |stage, chance| Box::pin(lose_reply(stage, chance)) };

/// A script was sent, and never arrives.
pub const LOSE_REQUEST: Fault<Wired> =
    Fault { name: "request lost", strike: |stage, chance| Box::pin(lose_request(stage, chance)) };

/// All of them.
pub const ALL: [Fault<Wired>; 8] =
    [PARTITION, SILENCE, HALF_CLOSE, RESET, SLOW, CUT, LOSE_REPLY, LOSE_REQUEST];

/// Scripts that producers send all the time.
const OF_PRODUCERS: [&str; 2] = ["job/enqueue", "event/send"];
/// Scripts that workers do.
const OF_WORKERS: [&str; 7] = [
    "worker/turn",
    "worker/heartbeat",
    "run/record",
    "run/deliver",
    "event/route",
    "event/finish",
    "schedule/step",
];

/// How long is waited for a script that is to be lost to be sent by one process; the trap stays set.
const SOON: Duration = Duration::from_secs(1);

fn worker(stage: &On, chance: &mut Rng) -> String {
    stage.workers[chance.usize(..stage.workers.len())].name.clone()
}

/// A worker or a producer.
fn anybody<'a>(stage: &'a On, chance: &mut Rng) -> &'a Proxy {
    let all: Vec<_> = stage.workers.iter().chain(&stage.producers).collect();
    stage.ground.wire(&all[chance.usize(..all.len())].name)
}

fn direction(chance: &mut Rng) -> Direction {
    if chance.bool() { Direction::ToServer } else { Direction::ToClient }
}

fn over_a_lease(stage: &On, chance: &mut Rng) -> Duration {
    stage.plan.lease + Duration::from_millis(chance.u64(500..1500))
}

async fn part(stage: &mut On, chance: &mut Rng) -> anyhow::Result<()> {
    let (name, lasts) = (worker(stage, chance), over_a_lease(stage, chance));
    let wire = stage.ground.wire(&name);
    wire.stall().await;
    sleep(lasts).await;
    wire.heal().await;
    Ok(())
}

async fn silence(stage: &mut On, chance: &mut Rng) -> anyhow::Result<()> {
    let (name, lasts, way) = (worker(stage, chance), over_a_lease(stage, chance), direction(chance));
    let wire = stage.ground.wire(&name);
    wire.silence(way);
    sleep(lasts).await;
    wire.heal().await;
    Ok(())
}

async fn half_close(stage: &mut On, chance: &mut Rng) -> anyhow::Result<()> {
    let way = direction(chance);
    anybody(stage, chance).half_close(way);
    Ok(())
}

async fn reset(stage: &mut On, chance: &mut Rng) -> anyhow::Result<()> {
    anybody(stage, chance).reset();
    Ok(())
}

async fn slow(stage: &mut On, chance: &mut Rng) -> anyhow::Result<()> {
    let pace = NonZeroU32::new(chance.u32(2_000..30_000)).unwrap_or(NonZeroU32::MAX);
    let lasts = Duration::from_millis(chance.u64(1_000..2_500));
    let wire = anybody(stage, chance);
    wire.slow(pace);
    sleep(lasts).await;
    wire.heal().await;
    Ok(())
}

async fn cut(stage: &mut On, chance: &mut Rng) -> anyhow::Result<()> {
    let after = chance.usize(1..60);
    happens(stage, chance, |wire, script| wire.cut_reply_of(script, after)).await
}

async fn lose_reply(stage: &mut On, chance: &mut Rng) -> anyhow::Result<()> {
    happens(stage, chance, Proxy::lose_reply_of).await
}

async fn lose_request(stage: &mut On, chance: &mut Rng) -> anyhow::Result<()> {
    happens(stage, chance, Proxy::lose_request_of).await
}

/// Loses something of a script on the wire of somebody who sends it. Not every worker routes events or ticks: where nothing was sent
/// for a while, the next is tried.
async fn happens(
    stage: &mut On,
    chance: &mut Rng,
    lose: impl Fn(&Proxy, &str) -> Lost,
) -> anyhow::Result<()> {
    let number = chance.usize(..OF_PRODUCERS.len() + OF_WORKERS.len());
    let (name, mut who) = match OF_PRODUCERS.get(number) {
        Some(name) => (*name, stage.producers.iter().collect::<Vec<_>>()),
        None => (OF_WORKERS[number - OF_PRODUCERS.len()], stage.workers.iter().collect()),
    };
    let script = Script::all().find(|script| script.name == name).context("there is such a script")?;
    chance.shuffle(&mut who);
    for member in who {
        if timeout(SOON, lose(stage.ground.wire(&member.name), &script.sha)).await.is_ok() {
            return Ok(());
        }
    }
    stage.diary.missed += 1;
    Ok(())
}
