//! One play of a plan: the stage is set, faults strike, the work is done, and the evidence is judged.

use std::{collections::HashSet, time::Instant};

use anyhow::{Context as _, bail};
use ergate::JobState;
use fastrand::Rng;
use tokio::time::{Duration, sleep, sleep_until};

use crate::{
    diary::Did,
    evidence::Evidence,
    fault::Fault,
    ground::Ground,
    ledger::{self, Answer, Told},
    report::Outcome,
    roll_call::roll_call,
    stage::{Plan, Stage},
    verdict,
    work::{functions, jobs},
};

/// For how long nothing must be under way until all is taken for done, where it is not known what is to be done: an event that
/// a router had in hand when it was forgotten that it was routed is routed again ten seconds later.
const CALM: Duration = Duration::from_secs(13);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Plays a plan. What breaks the play itself is a breach too.
pub async fn play<G: Ground>(ground: G, plan: Plan, faults: &[Fault<G>], seed: u64) -> Outcome {
    match perform(ground, plan, faults, seed).await {
        Ok(outcome) => outcome,
        Err(error) => Outcome::broken(seed, format!("{error:#}")),
    }
}

async fn perform<G: Ground>(
    ground: G,
    plan: Plan,
    faults: &[Fault<G>],
    seed: u64,
) -> anyhow::Result<Outcome> {
    let mut chance = Rng::with_seed(seed);
    let begun = Instant::now();
    let mut stage = Stage::open(ground, plan, seed).await?;
    let played = async {
        stage.produce()?;
        strike(&mut stage, faults, &mut chance).await?;
        roll_call(&mut stage).await?;
        let done = finish(&mut stage).await?;
        Evidence::gather(&mut stage, done, begun.elapsed()).await
    };
    let mut outcome = match played.await {
        Ok(evidence) => {
            let outcome = verdict::judge(&evidence, seed);
            stage.diary = evidence.diary;
            outcome
        }
        Err(error) => Outcome::broken(seed, format!("{error:#}")),
    };
    if !outcome.breaches.is_empty() {
        outcome.kept_at = Some(stage.keep_traces());
    }
    Ok(outcome)
}

/// Each strike has its part of the time, and comes somewhere in the middle half of it.
pub(crate) async fn strike<G: Ground>(
    stage: &mut Stage<G>,
    faults: &[Fault<G>],
    chance: &mut Rng,
) -> anyhow::Result<()> {
    let begun = tokio::time::Instant::now();
    let strikes = if faults.is_empty() { 0 } else { stage.plan.strikes };
    for number in 0..strikes {
        let share = (number as f64 + 0.25 + chance.f64() / 2.0) / strikes as f64;
        let fault = if stage.plan.mixed {
            faults[chance.usize(..faults.len())]
        } else {
            faults[number % faults.len()]
        };
        sleep_until(begun + stage.plan.over.mul_f64(share)).await;
        let at = begun.elapsed();
        let missed = stage.diary.missed;
        (fault.strike)(stage, chance).await.with_context(|| format!("fault: {}", fault.name))?;
        if stage.diary.missed == missed {
            stage.diary.words.push(format!("{} at {:.1} s", fault.name, at.as_secs_f64()));
        }
    }
    Ok(())
}

/// Waits until all is sent and all is done. False if that takes longer than planned.
async fn finish<G: Ground>(stage: &mut Stage<G>) -> anyhow::Result<bool> {
    for producer in &mut stage.producers {
        let status = producer.process.exited_within(stage.plan.over + Duration::from_secs(120)).await;
        if !status.success() {
            bail!("producer {} gave up: {}", producer.name, producer.process.output());
        }
    }
    stage.end_with_newest_release()?;
    let schedule = stage.client.schedule(jobs::SCHEDULE)?;
    let mut looks = 0;
    while let Err(error) = insist(async || schedule.pause().await).await {
        // Where Redis has lost everything, workers declare it again within twenty seconds.
        looks += 1;
        if !error.is_not_found() || looks > 300 {
            return Err(error.into());
        }
        sleep(Duration::from_millis(100)).await;
    }
    stage.diary.note(Did::Paused);
    let told: Vec<Told> = ledger::read(&stage.told());
    let kept = |kind| told.iter().filter(move |told| told.kind == kind && told.answer == Answer::Kept);
    let orders: HashSet<&str> = kept("ordered").map(|told| told.id.as_str()).collect();
    let lossy = stage.diary.lost_anything();
    // A payment that Redis may have lost is paid again, as people would.
    for lost in kept("paid").filter(|told| stage.diary.may_be_lost(told)) {
        let order = lost.id.trim_end_matches("-paid").to_owned();
        let paid = || functions::Paid { order: order.clone() };
        insist(async || stage.client.send(paid()).id(format!("{}-again", lost.id)).await).await?;
    }

    let until = Instant::now() + stage.plan.patience;
    let mut calm = 0;
    while Instant::now() < until {
        sleep(LOOK_EVERY).await;
        stage.bury()?;
        let (under_way, filled, noted) = look(stage).await?;
        calm = if under_way == 0 { calm + 1 } else { 0 };
        let all_came = filled >= orders.len() as u64 && noted >= orders.len() as u64;
        if (calm > 0 && all_came) || (lossy && LOOK_EVERY * calm >= CALM) {
            stage.see_off().await;
            return Ok(true);
        }
    }
    Ok(false)
}

/// Does something again and again while the connection is what keeps it from being done: the stage's own client has met the
/// same outage as everybody.
pub async fn insist<T>(mut ask: impl AsyncFnMut() -> Result<T, ergate::Error>) -> Result<T, ergate::Error> {
    let until = Instant::now() + Duration::from_secs(15);
    loop {
        match ask().await {
            Err(error) if error.is_connection() && Instant::now() < until => {
                sleep(Duration::from_millis(50)).await;
            }
            answer => return answer,
        }
    }
}

/// How many jobs are under way, and how many runs of `order` and `shipped` have ended.
async fn look<G: Ground>(stage: &Stage<G>) -> anyhow::Result<(u64, u64, u64)> {
    let (mut under_way, mut filled, mut noted) = (0, 0, 0);
    for queue in stage.queues() {
        let queue_now = stage.client.queue(&queue)?;
        let stats = insist(async || queue_now.stats().await).await?;
        under_way += stats.ready + stats.scheduled + stats.leased;
        let ended = stats.count(JobState::Completed) + stats.count(JobState::Dead);
        match queue.as_str() {
            "fn/order" | "fn/order@2" => filled += ended,
            "fn/shipped" => noted += ended,
            _ => {}
        }
    }
    Ok((under_way, filled, noted))
}
