//! A soak: hours at half of what this machine can do, with a rolling deploy now and then, and a sample each minute.
//!
//! The ledgers are read as they grow, and the room of what was read is given back where the file system can do that, so that a
//! soak of a night needs no more room than one of an hour. Queues keep what they keep by default: what is looked for is growth.
//! One worker is spared by every deploy, as what leaks in a process shows only in one that lives for long. When all is done, all
//! keys are audited.

use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use ergate::{Retention, reconcile};
use ergate_rig::RedisServer;
use serde::Serialize;
use tokio::time::sleep;

use crate::{
    audit::audit,
    memory,
    play::insist,
    stage::{Member, Plan, Stage},
    stalls::Stalls,
    work::{functions::Paid, jobs},
};

mod account;
mod picture;

use account::{Account, Reading};
pub use picture::svg;

const DEPLOY_EVERY_MINUTES: u64 = 10;
const MINUTE: Duration = Duration::from_secs(60);
/// How many jobs are sent at once to see how many are done in a second.
const BURST: f64 = 2000.0;
const TRIAL: Duration = Duration::from_secs(15);
/// So many events of a name that is waited for are kept to look back on.
const KEPT_PAYMENTS: usize = 100_000;
const AT_ONCE: usize = 5000;
/// Jobs begin so soon after they were acknowledged (p99 of a minute), unless the machine itself stands still.
const LATE_MS: f64 = 250.0;

/// A soak of fewer minutes says nothing of memory.
const MEMORY_MINUTES: usize = 15;
/// What is given half of what it can do falls behind when the host takes the other half, in percent of any five seconds.
const STOLEN: f64 = 40.0;

/// What is looked at of a sample.
type Bytes = fn(&Sample) -> u64;

/// What a soak came to.
#[derive(Debug, Clone, Serialize)]
pub struct Soak {
    /// What decided what was sent.
    pub seed: u64,
    /// The most jobs a second that began in time; an order counts as four.
    pub capacity: f64,
    /// Jobs a second that were sent.
    pub rate: f64,
    /// A sample each minute.
    pub samples: Vec<Sample>,
    /// What was acknowledged.
    pub acknowledged: u64,
    /// What does not hold.
    pub breaches: Vec<String>,
}

/// One minute.
#[derive(Debug, Clone, Serialize)]
pub struct Sample {
    /// Its number.
    pub minute: u64,
    /// Bytes Redis uses.
    pub redis: u64,
    /// Of these, for events, which are kept for days by age and number.
    pub events: u64,
    /// Bytes of memory of the worker that no deploy replaced.
    pub worker: u64,
    /// From acknowledged to begun, of jobs that are not delayed or limited: the 99th percentile, in ms. A job counts in the
    /// minute in which it begins.
    pub late_p99_ms: f64,
    /// The longest the machine stood still in this minute, in ms.
    pub stall_ms: u64,
    /// How much of the processors' time the host gave to others in the worst five seconds, in percent.
    pub stolen_percent: f64,
    /// Jobs and events acknowledged.
    pub acknowledged: u64,
    /// Whether a deploy was under way.
    pub deploy: bool,
}

/// The minutes that can be held to a promise of time: those in which the host never took so much of the processors that nobody could
/// keep up, and that had nothing to make up for from the one before.
pub fn ours(samples: &[Sample]) -> impl Iterator<Item = &Sample> {
    let stolen = |place: usize| samples[place].stolen_percent > STOLEN;
    let is_ours = move |place: usize| !(stolen(place) || place > 0 && stolen(place - 1));
    samples.iter().enumerate().filter(move |(place, _)| is_ours(*place)).map(|(_, sample)| sample)
}

/// Soaks for `minutes`, telling each sample as it comes.
///
/// # Errors
/// If the stage breaks, or there is no minute.
pub async fn soak(minutes: u64, seed: u64, mut tell: impl FnMut(&Sample)) -> anyhow::Result<Soak> {
    ensure!(minutes > 0, "a soak of no time shows nothing");
    let options = RedisServer::options().config("appendonly", "yes").config("appendfsync", "everysec");
    let plan = Plan {
        workers: 4,
        spared: 1,
        slots: 20,
        over: MINUTE,
        lease: Duration::from_secs(15),
        deadline: Duration::from_secs(5),
        event_ids: false,
        ..Plan::default()
    };
    let mut stage = Stage::open(options.start().await, plan, seed).await?;
    keep_a_minute(&stage).await?;
    let mut account = Account::default();
    let capacity = capacity(&mut stage, &mut account, seed).await?;
    fill_events(&stage).await?;
    let rate = capacity / 2.0;
    load(&mut stage.plan, rate, MINUTE);

    let (mut samples, mut breaches, mut found) = (Vec::new(), Vec::new(), Reading::default());
    for minute in 1..=minutes {
        let (begun, stalls) = (Instant::now(), Stalls::watch());
        let mut producer = stage.producer_of(&format!("m{minute}"), seed + minute)?;
        let deploy = minute % DEPLOY_EVERY_MINUTES == 0;
        if deploy {
            deploy_all(&mut stage).await?;
        }
        let status = producer.process.exited_within(3 * MINUTE).await;
        ensure!(status.success(), "a producer gave up: {}", producer.process.output());
        sleep(MINUTE.saturating_sub(begun.elapsed())).await;
        for worker in stage.leaving.extract_if(.., |worker| worker.process.ended().is_some()) {
            breaches.extend(repairs_said(&worker));
        }

        found = account.read(&stage)?;
        breaches.append(&mut found.breaches);
        let sample = Sample {
            minute,
            redis: memory::of_redis(&stage.ground).await?,
            events: memory::of_events(&stage.ground).await?,
            worker: memory::of_largest(&stage.workers[..stage.plan.spared]),
            late_p99_ms: found.late_p99_ms(),
            stall_ms: stalls.worst().as_millis() as u64,
            stolen_percent: stalls.stolen_percent(),
            acknowledged: found.acknowledged,
            deploy,
        };
        tell(&sample);
        samples.push(sample);
        // Between two minutes nothing is measured and no deploy is under way.
        account.give_back(&stage)?;
        if let Some(place) =
            (0..stage.workers.len()).find(|place| stage.workers[*place].process.ended().is_some())
        {
            bail!(
                "worker {} ended by itself: {}",
                stage.workers[place].name,
                stage.workers[place].process.output()
            );
        }
    }
    sleep(Duration::from_secs(30)).await;
    let closing = account.read(&stage)?;
    // What began now has no minute of its own to count in.
    found.late.extend(closing.late);
    if let Some(last) = samples.last_mut() {
        last.late_p99_ms = found.late_p99_ms();
    }
    breaches.extend(closing.breaches);
    breaches.extend(account.still_open());
    // What hours have shown is told even if this fails.
    let at_rest = at_rest(&stage).await;
    breaches
        .extend(at_rest.unwrap_or_else(|error| vec![format!("what Redis has cannot be judged: {error:#}")]));
    breaches.extend(stage.workers.iter().chain(&stage.leaving).flat_map(repairs_said));
    breaches.extend(judge(&samples));
    let acknowledged = account.acknowledged();
    Ok(Soak { seed, capacity, rate, samples, acknowledged, breaches })
}

/// What has ended is kept by number, as by default, and for a minute: a soak of an hour sees all of it come and go.
async fn keep_a_minute(stage: &Stage<RedisServer>) -> anyhow::Result<()> {
    let keep = Retention {
        completed: Some(1000),
        completed_for: Some(MINUTE),
        cancelled: Some(1000),
        dead: Some(1000),
        ..Retention::default()
    };
    for queue in stage.queues() {
        let queue = stage.client.queue(&queue)?;
        insist(async || queue.set_retention(keep).await).await?;
    }
    Ok(())
}

/// Sends as many payments as are kept to look back on, so that what is kept has its full size from the start. Ids of events' own
/// are kept for a day, each in some 400 bytes, which no soak of hours sees come and go: so there are none.
async fn fill_events(stage: &Stage<RedisServer>) -> anyhow::Result<()> {
    for batch in 0..KEPT_PAYMENTS / AT_ONCE {
        let payment = |number| Paid { order: format!("nobody-waits-{batch}-{number}") };
        stage.client.send_all((0..AT_ONCE).map(payment)).await?;
    }
    stage.until_done().await
}

/// The most jobs a second that begin in time. From as many as are done when many are sent at once, which large batches make easy,
/// it goes down until a trial keeps up.
async fn capacity(stage: &mut Stage<RedisServer>, account: &mut Account, seed: u64) -> anyhow::Result<f64> {
    load(&mut stage.plan, BURST, Duration::from_secs(1));
    let begun = Instant::now();
    stage.plan.over = Duration::from_millis(1);
    send(stage, "burst", seed).await?;
    stage.until_done().await?;
    let mut rate = BURST / begun.elapsed().as_secs_f64();
    for trial in 0..10 {
        account.read(stage)?;
        load(&mut stage.plan, rate, TRIAL);
        send(stage, &format!("trial{trial}"), seed + trial).await?;
        stage.until_done().await?;
        if account.read(stage)?.late_p99_ms() < LATE_MS {
            return Ok(rate);
        }
        rate *= 0.7;
    }
    bail!("jobs begin late even at {rate:.0} a second: this machine has no time for a soak")
}

/// Sets what is sent within `over` at so many jobs a second. An order counts as four: three runs, and the steps and events.
fn load(plan: &mut Plan, rate: f64, over: Duration) {
    let all = rate * over.as_secs_f64();
    plan.orders = (all / 20.0) as usize;
    plan.jobs = (all as usize).saturating_sub(4 * plan.orders);
    plan.over = over;
}

async fn send(stage: &mut Stage<RedisServer>, name: &str, seed: u64) -> anyhow::Result<()> {
    let mut producer = stage.producer_of(name, seed)?;
    let status = producer.process.exited_within(5 * MINUTE).await;
    ensure!(status.success(), "a producer gave up: {}", producer.process.output());
    Ok(())
}

/// Replaces all workers but the spared.
async fn deploy_all(stage: &mut Stage<RedisServer>) -> anyhow::Result<()> {
    // One release after another, and both know the same: what counts here is that processes come and go.
    for place in stage.plan.spared..stage.workers.len() {
        stage.relieve(place)?;
        sleep(Duration::from_secs(3)).await;
    }
    Ok(())
}

/// What does not fit together in all that Redis has once all is done, and what needs repair.
async fn at_rest(stage: &Stage<RedisServer>) -> anyhow::Result<Vec<String>> {
    // It would start jobs for ever.
    let schedule = stage.client.schedule(jobs::SCHEDULE)?;
    insist(async || schedule.pause().await).await?;
    stage.until_done().await?;
    // Before anything is repaired.
    let mut breaches: Vec<_> =
        audit(&stage.client).await?.into_iter().map(|finding| finding.to_string()).collect();
    for name in stage.queues() {
        let queue = stage.client.queue(&name)?;
        let repairs = insist(async || reconcile(&queue).await).await?;
        if repairs.total() > 0 {
            breaches.push(format!("queue {name} needed repair at the end: {repairs:?}"));
        }
    }
    Ok(breaches)
}

/// What a worker has said of its repairs: its reconciler looks every minute, and what it has put right is not there at the end.
fn repairs_said(worker: &Member) -> Vec<String> {
    let said = worker.process.output();
    let repairs = said.lines().filter(|line| line.contains("were repaired"));
    repairs.map(|line| format!("{}: {line}", worker.name)).collect()
}

/// Memory is flat: what Redis and the worker that no deploy replaced have is in the last third what it was in the middle third,
/// but for 5 % and 2 MiB. By then events have reached the number that is kept, unless the soak is a short one, of which memory is
/// not judged. Jobs begin in time: at most 250 ms, or thrice as long as the machine stood still; in a minute that was not
/// [`ours`], it is told how late.
fn judge(samples: &[Sample]) -> Vec<String> {
    let mut breaches = Vec::new();
    let third = samples.len() / 3;
    let median = |part: &[Sample], of: Bytes| {
        let mut all: Vec<u64> = part.iter().map(of).collect();
        all.sort_unstable();
        all.get(all.len() / 2).copied().unwrap_or(0)
    };
    let redis: Bytes = |sample| sample.redis;
    let worker: Bytes = |sample| sample.worker;
    for (name, of) in [("redis", redis), ("the worker that no deploy replaced", worker)] {
        let (middle, last) = (median(&samples[third..2 * third], of), median(&samples[2 * third..], of));
        if samples.len() >= MEMORY_MINUTES && last > middle + middle / 20 + (2 << 20) {
            breaches.push(format!("{name} has grown from {middle} to {last} bytes"));
        }
    }
    for sample in ours(samples) {
        let most = LATE_MS.max(3.0 * sample.stall_ms as f64);
        if sample.late_p99_ms > most {
            breaches.push(format!(
                "minute {}: jobs began {:.0} ms late (p99), the machine stood still for {} ms at most",
                sample.minute, sample.late_p99_ms, sample.stall_ms
            ));
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(minute: u64, worker: u64, late_p99_ms: f64) -> Sample {
        Sample {
            minute,
            redis: 10 << 20,
            events: 0,
            worker,
            late_p99_ms,
            stall_ms: 20,
            stolen_percent: 0.0,
            acknowledged: 0,
            deploy: false,
        }
    }

    #[test]
    fn memory_that_grows_is_told_and_memory_that_wavers_is_not() {
        let grows: Vec<_> = (0..30).map(|minute| sample(minute, (20 << 20) + (minute << 20), 5.0)).collect();
        let wavers: Vec<_> =
            (0..30).map(|minute| sample(minute, (20 << 20) + ((minute % 2) << 20), 5.0)).collect();

        assert_eq!((judge(&grows).len(), judge(&wavers).len()), (1, 0));
    }

    #[tokio::test]
    async fn a_soak_of_no_time_is_refused() {
        let error = soak(0, 1, |_| ()).await.unwrap_err();

        assert_eq!(error.to_string(), "a soak of no time shows nothing");
    }

    #[test]
    fn a_minute_in_which_jobs_began_late_is_told() {
        assert_eq!(judge(&[sample(1, 1, 5.0), sample(2, 1, 300.0)]).len(), 1);
    }

    #[test]
    fn a_minute_in_which_the_processors_were_others_and_the_one_after_it_are_not_judged() {
        let stolen = Sample { stolen_percent: 60.0, ..sample(1, 1, 3000.0) };

        let breaches = judge(&[stolen, sample(2, 1, 3000.0), sample(3, 1, 3000.0)]);

        assert_eq!(breaches.len(), 1);
        assert!(breaches[0].starts_with("minute 3"), "{breaches:?}");
    }
}
