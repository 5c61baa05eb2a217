//! Durable functions: steps, sleeps, and events, in a program of their own that tells its figures.

use std::time::Duration;

use anyhow::Context;

use super::Lab;
use crate::{
    figure::Figure,
    sheet::Values,
    size::{PACE, Size},
    subject::Subject,
};

pub(super) const STEPS: [Figure; 2] = [Figure::Steps, Figure::RedisCpuStep];
pub(super) const SLEEPING: [Figure; 3] = [Figure::BytesSleeping, Figure::ResumeP50, Figure::ResumeP99];
pub(super) const STARTS: [Figure; 4] =
    [Figure::EventStartP50, Figure::EventStartP99, Figure::RoundTripsP50, Figure::RoundTripsP99];
pub(super) const WAITING: [Figure; 7] = [
    Figure::EventCpu10,
    Figure::EventCpu1k,
    Figure::EventCpu100k,
    Figure::EventTime10,
    Figure::EventTime1k,
    Figure::EventTime100k,
    Figure::EventCostRatio,
];

/// Steps of each run.
const STEPS_EACH: usize = 10;
/// Runs that go to sleep before memory is first read.
const FIRST: usize = 1_000;
/// Runs that wake each second.
const WAKE: usize = 10_000;
/// How many runs a machine puts to sleep in a second, at least.
const SLOWEST: usize = 1_000;

pub(super) async fn steps(
    lab: &mut Lab,
    program: &Subject,
    size: &Size,
    values: &mut Values,
) -> anyhow::Result<()> {
    let runs = size.stepping.to_string();
    let told = program
        .figures(&lab.url, &["steps", "--runs", &runs, "--steps", &STEPS_EACH.to_string()], size.patience)
        .await?;
    values.extend([
        (Figure::Steps, of(&told, "steps_per_s")?),
        (Figure::RedisCpuStep, of(&told, "redis_cpu_us_per_step")?),
    ]);
    Ok(())
}

/// Bytes are compared between a few sleeping runs and many; then others wake while these sleep on.
pub(super) async fn sleeping(
    lab: &mut Lab,
    program: &Subject,
    size: &Size,
    values: &mut Values,
) -> anyhow::Result<()> {
    let patience = |runs: usize| size.patience + Duration::from_secs((runs / SLOWEST) as u64);
    let sleep = async |runs: usize| {
        program.figures(&lab.url, &["sleep", "--runs", &runs.to_string()], patience(runs)).await
    };
    sleep(FIRST).await?;
    let few = lab.probe.settled().await?.bytes;
    sleep(size.sleeping).await?;
    let many = lab.probe.settled().await?.bytes;
    values.push((Figure::BytesSleeping, (many - few) / size.sleeping as f64));

    let runs = size.waking.to_string();
    let arguments = ["wake", "--runs", &runs, "--per-second", &WAKE.to_string()];
    let told = program.figures(&lab.url, &arguments, patience(size.waking)).await?;
    values.extend([
        (Figure::ResumeP50, of(&told, "resume_late_p50_ms")?),
        (Figure::ResumeP99, of(&told, "resume_late_p99_ms")?),
    ]);
    Ok(())
}

pub(super) async fn starts(
    lab: &mut Lab,
    program: &Subject,
    size: &Size,
    values: &mut Values,
) -> anyhow::Result<()> {
    let (events, pace) = (size.paced.to_string(), PACE.as_millis().to_string());
    let arguments = ["start", "--events", &events, "--every-ms", &pace];
    let told = program.figures(&lab.url, &arguments, size.patience + PACE * size.paced as u32).await?;
    values.extend([
        (Figure::EventStartP50, of(&told, "event_start_p50_ms")?),
        (Figure::EventStartP99, of(&told, "event_start_p99_ms")?),
        (Figure::RoundTripsP50, of(&told, "five_round_trips_p50_ms")?),
        (Figure::RoundTripsP99, of(&told, "five_round_trips_p99_ms")?),
    ]);
    Ok(())
}

/// What an event costs while so many runs wait for others of its name, each number on a server of its own.
pub(super) async fn waiting(
    labs: [&mut Lab; 3],
    program: &Subject,
    size: &Size,
    values: &mut Values,
) -> anyhow::Result<()> {
    const DEPTHS: [(usize, Figure, Figure); 3] = [
        (10, Figure::EventCpu10, Figure::EventTime10),
        (1_000, Figure::EventCpu1k, Figure::EventTime1k),
        (100_000, Figure::EventCpu100k, Figure::EventTime100k),
    ];
    let mut costs = Vec::new();
    for (lab, (runs, cpu, time)) in labs.into_iter().zip(DEPTHS) {
        let patience = size.patience + Duration::from_secs((runs / SLOWEST) as u64);
        let told = program.figures(&lab.url, &["wait", "--runs", &runs.to_string()], patience).await?;
        costs.push(of(&told, "cpu_us")?);
        values.extend([(cpu, of(&told, "cpu_us")?), (time, of(&told, "time_us")?)]);
    }
    if let [few, .., many] = costs[..] {
        values.push((Figure::EventCostRatio, many / few));
    }
    Ok(())
}

fn of(told: &std::collections::HashMap<String, f64>, figure: &str) -> anyhow::Result<f64> {
    told.get(figure).copied().with_context(|| format!("{figure} was not told"))
}
