//! Adding one job at a time, from many tasks and from one.

use super::Lab;
use crate::{figure::Figure, sheet::Values, size::Size, subject::Subject};

pub(super) async fn concurrent(
    lab: &mut Lab,
    subject: &Subject,
    size: &Size,
    values: &mut Values,
) -> anyhow::Result<()> {
    let rate = rate(lab, subject, "concurrent", size.concurrent, size).await?;
    values.push((Figure::AddConcurrent, rate));
    Ok(())
}

pub(super) async fn single(
    lab: &mut Lab,
    subject: &Subject,
    size: &Size,
    values: &mut Values,
) -> anyhow::Result<()> {
    let rate = rate(lab, subject, "single", size.single, size).await?;
    values.push((Figure::AddSingle, rate));
    Ok(())
}

async fn rate(lab: &Lab, subject: &Subject, mode: &str, jobs: usize, size: &Size) -> anyhow::Result<f64> {
    let adder = subject.add(&lab.url, mode, jobs, Size::warmup(jobs)).await?;
    let added = adder.run(size.patience).await?;
    Ok(jobs as f64 / added.seconds)
}
