//! A job's whole life: preloaded in bulk, then processed by one worker.

use super::Lab;
use crate::{figure::Figure, probe::Reading, process, sheet::Values, size::Size, subject::Subject};

pub(super) const FIGURES: [Figure; 7] = [
    Figure::RedisCpu,
    Figure::Commands,
    Figure::Process,
    Figure::AddBulk,
    Figure::BytesWaiting,
    Figure::RssLoaded,
    Figure::WorkerCpu,
];

pub(super) async fn run(
    lab: &mut Lab,
    subject: &Subject,
    size: &Size,
    values: &mut Values,
) -> anyhow::Result<()> {
    let jobs = size.processed;
    let warmup = Size::warmup(jobs);
    let all = jobs + 2 * warmup;

    // What a server allocates once, on the first use of a script or a command, is not charged to the jobs.
    subject.add(&lab.url, "bulk", warmup, 0).await?.run(size.patience).await?;
    let primed = lab.probe.settled().await?;
    let adder = subject.add(&lab.url, "bulk", jobs, warmup).await?;
    let warm = lab.probe.settled().await?;
    let added = adder.run(size.patience).await?;
    let preloaded = lab.probe.settled().await?;
    values.push((Figure::AddBulk, jobs as f64 / added.seconds));
    values.push((Figure::BytesWaiting, (preloaded.bytes - primed.bytes) / (jobs + warmup) as f64));

    let mut worker = subject.work(&lab.url, false).await?;
    let cpu_before = process::cpu_seconds(worker.pid());
    let begin = lab.probe.read().await?;
    worker.start().await?;
    let waited = worker.wait(all, size.patience).await?;
    let processed = lab.probe.settled().await?;
    let cpu_after = process::cpu_seconds(worker.pid());
    let peak = process::peak_mb(worker.pid());
    worker.stop().await?;

    // Adding is measured over the timed jobs, processing over the warm-up jobs too.
    let per_job = |of: fn(&Reading) -> f64| {
        (of(&preloaded) - of(&warm)) / jobs as f64 + (of(&processed) - of(&begin)) / all as f64
    };
    let seconds = (waited.last_us - waited.first_us) / 1e6;
    let cpu = cpu_before.zip(cpu_after).map(|(before, after)| (after - before) / all as f64 * 50_000.0);
    values.push((Figure::RedisCpu, per_job(|reading| reading.cpu_us)));
    values.push((Figure::Commands, per_job(|reading| reading.commands as f64)));
    values.push((Figure::Process, all as f64 / seconds));
    values.extend(cpu.map(|seconds| (Figure::WorkerCpu, seconds)));
    values.extend(peak.map(|megabytes| (Figure::RssLoaded, megabytes)));
    Ok(())
}
