//! A worker on an idle queue: what it costs doing nothing, and how fast it picks up a lone job.

use std::time::Duration;

use tokio::time::sleep;

use super::Lab;
use crate::{
    figure::Figure,
    monitor::{Monitor, Tally},
    process,
    sheet::{Values, percentile},
    size::{PACE, Size},
    subject::{Subject, Worker},
};

pub(super) const FIGURES: [Figure; 6] = [
    Figure::PickupP50,
    Figure::PickupP99,
    Figure::CommandsIdleJob,
    Figure::CommandsIdleJobInner,
    Figure::IdleCommands,
    Figure::RssIdle,
];

const WARMUP: usize = 20;
/// Time for a worker to finish starting, and for the last acknowledgement to arrive.
const CALM: Duration = Duration::from_millis(800);

pub(super) async fn run(
    lab: &mut Lab,
    subject: &Subject,
    size: &Size,
    values: &mut Values,
) -> anyhow::Result<()> {
    let mut worker = subject.work(&lab.url, false).await?;
    worker.start().await?;
    sleep(CALM).await;
    let resident = process::resident_mb(worker.pid());
    values.extend(resident.map(|megabytes| (Figure::RssIdle, megabytes)));

    let monitor = Monitor::open(&lab.server).await?;
    sleep(size.idle).await;
    let idle = monitor.close().await?;
    values.push((Figure::IdleCommands, idle.from_clients as f64 / idle.seconds));

    paced(lab, subject, &mut worker, 0, size.paced).await?;
    let pickup = worker.report().await?.pickup_ms;
    let both = [(Figure::PickupP50, 50.0), (Figure::PickupP99, 99.0)];
    values.extend(
        both.into_iter().filter_map(|(figure, percent)| Some((figure, percentile(&pickup, percent)?))),
    );

    let busy = paced_under_monitor(lab, subject, &mut worker, WARMUP + size.paced, size.monitored).await?;
    worker.stop().await?;
    // What the idle worker sends anyway is a figure of its own.
    let per_job = |of: fn(Tally) -> f64| {
        ((of(busy) - of(idle) / idle.seconds * busy.seconds) / size.monitored as f64).max(0.0)
    };
    values.push((Figure::CommandsIdleJob, per_job(|tally| tally.from_clients as f64)));
    values.push((Figure::CommandsIdleJobInner, per_job(Tally::total)));
    Ok(())
}

/// Adds lone jobs and waits until the worker, which has done `before`, has done them.
async fn paced(
    lab: &Lab,
    subject: &Subject,
    worker: &mut Worker,
    before: usize,
    jobs: usize,
) -> anyhow::Result<()> {
    let patience = patience(jobs);
    let adder = subject.add(&lab.url, "paced", jobs, WARMUP).await?;
    worker.wait(before + WARMUP, patience).await?;
    sleep(CALM / 4).await;
    adder.run(patience).await?;
    worker.wait(before + WARMUP + jobs, patience).await?;
    Ok(())
}

async fn paced_under_monitor(
    lab: &Lab,
    subject: &Subject,
    worker: &mut Worker,
    before: usize,
    jobs: usize,
) -> anyhow::Result<Tally> {
    let patience = patience(jobs);
    let adder = subject.add(&lab.url, "paced", jobs, WARMUP).await?;
    worker.wait(before + WARMUP, patience).await?;
    sleep(CALM / 4).await;

    let monitor = Monitor::open(&lab.server).await?;
    adder.run(patience).await?;
    worker.wait(before + WARMUP + jobs, patience).await?;
    sleep(CALM / 4).await;
    monitor.close().await
}

fn patience(jobs: usize) -> Duration {
    PACE * jobs as u32 + Duration::from_secs(20)
}
