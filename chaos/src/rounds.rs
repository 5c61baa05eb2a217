//! The same work again and again, faults among it, and all that ended purged each time: what Redis and the workers use for it
//! comes back to what it was.
//!
//! Workers are killed and told to stop, but the one that is judged: it lives through all rounds.
//! The first round counts for nothing: by its end connections, tables and metrics have the size they keep. Events are kept for
//! days, and what is not to be done twice for an hour, by promise, so what they take is not counted, nor are buffers of connections.

use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use ergate::JobState;
use ergate_rig::RedisServer;
use fastrand::Rng;
use tokio::time::sleep;

use crate::{
    audit::audit,
    fault::Fault,
    ledger::{self, Answer, Told},
    memory,
    play::{insist, strike},
    report::{Outcome, Used},
    stage::{Plan, Stage},
    work::jobs,
};

/// How much more may be used after the last round than after the first that counts: 2 %, and what tables and pages of an allocator
/// come and go by.
const MORE_PERCENT: u64 = 2;
const REDIS_WAVERS: u64 = 64 << 10;
const WORKER_WAVERS: u64 = 256 << 10;
/// Workers sweep what has expired each fifteen seconds.
const REST: Duration = Duration::from_secs(17);

/// Plays a plan so many times on one stage, and once more before.
pub async fn rounds(
    server: RedisServer,
    plan: Plan,
    faults: &[Fault<RedisServer>],
    rounds: u64,
    seed: u64,
) -> Outcome {
    match perform(server, plan, faults, rounds, seed).await {
        Ok(outcome) => outcome,
        Err(error) => Outcome::broken(seed, format!("{error:#}")),
    }
}

async fn perform(
    server: RedisServer,
    plan: Plan,
    faults: &[Fault<RedisServer>],
    rounds: u64,
    seed: u64,
) -> anyhow::Result<Outcome> {
    let (begun, mut chance) = (Instant::now(), Rng::with_seed(seed));
    let mut outcome = Outcome { seed, ..Outcome::default() };
    let mut stage = Stage::open(server, plan, seed).await?;
    let mut used = Vec::new();
    for round in 0..=rounds {
        let mut producer = stage.producer_of(&format!("r{round}"), seed + round)?;
        strike(&mut stage, faults, &mut chance).await?;
        let status = producer.process.exited_within(stage.plan.over + Duration::from_secs(120)).await;
        ensure!(status.success(), "a producer gave up: {}", producer.process.output());
        all_has_ended(&mut stage).await?;
        purge(&stage, &mut outcome).await?;
        sleep(REST).await;
        // What took long here, because the machine did, is remembered by Redis with its arguments.
        stage.ground.try_ask::<()>(&["SLOWLOG", "RESET"]).await?;
        used.push(Used {
            redis: memory::of_redis(&stage.ground).await?
                - memory::of_clients(&stage.ground).await?
                - memory::of_the_kept(&stage.ground).await?,
            worker: memory::of_largest(&stage.workers[..stage.plan.spared]),
        });
    }
    outcome.faults = std::mem::take(&mut stage.diary.words);
    outcome.breaches.append(&mut stage.fallen);
    let told: Vec<Told> = ledger::read(&stage.told());
    let is_event =
        |told: &&Told| told.answer == Answer::Kept && ["ordered", "paid"].contains(&told.kind.as_str());
    outcome.counts.events = told.iter().filter(is_event).count() as u64;
    outcome.breaches.extend(audit(&stage.client).await?.into_iter().map(|finding| finding.0));
    outcome.breaches.extend(judge(&used[1..]));
    outcome.rounds = used.split_off(1);
    outcome.stall_ms = stage.stalls.worst().as_millis() as u64;
    outcome.took_ms = begun.elapsed().as_millis() as u64;
    Ok(outcome)
}

/// Waits until every order of this round has had its runs, and nothing is under way.
async fn all_has_ended(stage: &mut Stage<RedisServer>) -> anyhow::Result<()> {
    let until = Instant::now() + stage.plan.patience;
    while Instant::now() < until {
        stage.bury()?;
        let mut ended = Vec::new();
        for function in ["order", "order@2", "shipped"] {
            let queue = stage.client.queue(&format!("fn/{function}"))?;
            let stats = insist(async || queue.stats().await).await?;
            ended.push(stats.completed + stats.dead);
        }
        let orders = stage.plan.orders as u64;
        if ended[0] + ended[1] >= orders && ended[2] >= orders {
            return stage.until_done().await;
        }
        sleep(Duration::from_millis(200)).await;
    }
    bail!("not all orders were done within {:?}", stage.plan.patience)
}

/// Removes all that has ended, and counts it.
async fn purge(stage: &Stage<RedisServer>, outcome: &mut Outcome) -> anyhow::Result<()> {
    for name in stage.queues() {
        let queue = stage.client.queue(&name)?;
        for state in [JobState::Completed, JobState::Cancelled, JobState::Dead] {
            let purged = insist(async || queue.purge(state, |_| {}).await).await?;
            if state == JobState::Dead && purged > 0 {
                outcome.breaches.push(format!("{purged} of {name} were dead letters"));
            }
            let counts = &mut outcome.counts;
            match name.as_str() {
                jobs::QUEUE => counts.jobs += purged,
                jobs::TICKS => counts.ticks += purged,
                _ => counts.runs += purged,
            }
        }
    }
    Ok(())
}

fn judge(used: &[Used]) -> Vec<String> {
    let (Some(first), Some(last)) = (used.first(), used.last()) else { return Vec::new() };
    let mut breaches = Vec::new();
    for (name, first, last, wavers) in [
        ("redis", first.redis, last.redis, REDIS_WAVERS),
        ("the worker that was spared", first.worker, last.worker, WORKER_WAVERS),
    ] {
        if last > first + first * MORE_PERCENT / 100 + wavers {
            breaches.push(format!(
                "{name} used {first} bytes after the first round and {last} after as much work again; all rounds: {used:?}"
            ));
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_from_round_to_round_is_told_and_what_wavers_is_not() {
        let used = |redis| Used { redis, worker: 20 << 20 };

        assert_eq!(judge(&[used(2 << 20), used(2_300_000)]).len(), 1);
        assert_eq!(judge(&[used(2 << 20), used(2_110_000), used(2 << 20)]).len(), 0);
    }
}
