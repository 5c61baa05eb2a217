//! Producers and a worker at the same time.

use super::Lab;
use crate::{figure::Figure, sheet::Values, size::Size, subject::Subject};

pub(super) async fn run(
    lab: &mut Lab,
    subject: &Subject,
    size: &Size,
    values: &mut Values,
) -> anyhow::Result<()> {
    let jobs = size.concurrent;
    let warmup = Size::warmup(jobs);

    let mut worker = subject.work(&lab.url, false).await?;
    worker.start().await?;
    let adder = subject.add(&lab.url, "concurrent", jobs, warmup).await?;
    worker.wait(warmup, size.patience).await?;
    let added = adder.run(size.patience).await?;
    let waited = worker.wait(jobs + warmup, size.patience).await?;
    worker.stop().await?;

    let seconds = (waited.last_us - added.first_us) / 1e6;
    values.push((Figure::EndToEnd, jobs as f64 / seconds));
    Ok(())
}
