//! What a completed job occupies, under the retention each system has by default.
//!
//! Memory is compared between a few completed jobs and many, with no client but the probe connected: what a server
//! allocates once (scripts, statistics of commands) is in both.

use super::Lab;
use crate::{figure::Figure, sheet::Values, size::Size, subject::Subject};

/// The share of the jobs that is completed before memory is first read.
const FIRST_SHARE: usize = 5;

/// Yields nothing for a system that keeps no completed jobs.
pub(super) async fn run(
    lab: &mut Lab,
    subject: &Subject,
    size: &Size,
    values: &mut Values,
) -> anyhow::Result<()> {
    let keeps = subject.work(&lab.url, false).await?.keeps();
    let jobs = keeps.map_or(size.completed, |keeps| size.completed.min(keeps as usize));
    if jobs == 0 {
        return Ok(());
    }

    let first = jobs / FIRST_SHARE;
    let few = complete(lab, subject, first, size).await?;
    let many = complete(lab, subject, jobs - first, size).await?;

    values.push((Figure::BytesCompleted, (many - few) / (jobs - first) as f64));
    Ok(())
}

/// Completes jobs and tells how many bytes are in use afterwards.
async fn complete(lab: &mut Lab, subject: &Subject, jobs: usize, size: &Size) -> anyhow::Result<f64> {
    subject.add(&lab.url, "bulk", jobs, 0).await?.run(size.patience).await?;
    let mut worker = subject.work(&lab.url, false).await?;
    worker.start().await?;
    worker.wait(jobs, size.patience).await?;
    lab.probe.settled().await?;
    worker.stop().await?;
    Ok(lab.probe.settled().await?.bytes)
}
