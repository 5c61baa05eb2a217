//! How late delayed jobs start.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::Lab;
use crate::{
    figure::Figure,
    sheet::{Values, percentile},
    size::Size,
    subject::Subject,
};

/// The last job is due this long after the adder began.
const LAST_DUE: Duration = Duration::from_millis(1_500);

pub(super) async fn run(
    lab: &mut Lab,
    subject: &Subject,
    size: &Size,
    values: &mut Values,
) -> anyhow::Result<()> {
    let mut worker = subject.work(&lab.url, false).await?;
    worker.start().await?;
    sleep(Duration::from_secs(1)).await;

    let adder = subject.add(&lab.url, "delayed", size.delayed, 0).await?;
    let clock = Instant::now();
    adder.run(size.patience).await?;
    // A system that polls may need longer; what it has not started then is late by at least that.
    let report = match worker.wait_or_report(size.delayed, LAST_DUE + size.delayed_patience).await? {
        Ok(_) => worker.report().await?,
        Err(report) => report,
    };
    let at_least = clock.elapsed().saturating_sub(LAST_DUE).as_secs_f64() * 1000.0;
    worker.stop().await?;

    let mut late = report.late_ms;
    late.resize(size.delayed.max(late.len()), at_least);
    let both = [(Figure::LateP50, 50.0), (Figure::LateP99, 99.0)];
    values
        .extend(both.into_iter().filter_map(|(figure, percent)| Some((figure, percentile(&late, percent)?))));
    Ok(())
}
