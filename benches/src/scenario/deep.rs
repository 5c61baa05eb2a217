//! Whether leasing costs more the more jobs wait.
//!
//! Both depths are measured in the same rhythm: the handlers of a gated worker let exactly one portion pass, and Redis
//! CPU is read before and after. Batches are then alike at both depths, and adding is not counted. The depths take
//! turns, each on a server of its own, and medians of portions are compared: what else the machine does meets both.

use std::time::Duration;

use tokio::time::sleep;

use super::Lab;
use crate::{
    figure::Figure,
    sheet::{Values, percentile},
    size::{SLOTS, Size},
    subject::{Subject, Worker},
};

const PORTION: usize = 1_000;
const PORTIONS: usize = 20;
/// Portions that pass before the measurement begins.
const WARMUP: usize = 2;
/// Jobs that wait, at least, in the shallow queue.
const SHALLOW: usize = 1_000;

pub(super) async fn run(
    shallow: &mut Lab,
    deep: &mut Lab,
    subject: &Subject,
    size: &Size,
    values: &mut Values,
) -> anyhow::Result<()> {
    let mut shallow = Depth::fill(shallow, subject, SHALLOW + SLOTS + (WARMUP + 1) * PORTION, size).await?;
    let mut deep = Depth::fill(deep, subject, size.deep, size).await?;
    for _ in 0..PORTIONS {
        shallow.measure(size).await?;
        deep.measure(size).await?;
        add(shallow.lab, subject, PORTION, size).await?;
    }

    let costs = percentile(&deep.cpu_us, 50.0).zip(percentile(&shallow.cpu_us, 50.0));
    values.extend(costs.map(|(deep, shallow)| (Figure::LeaseCostRatio, deep / shallow)));
    shallow.worker.stop().await?;
    deep.worker.stop().await
}

/// A queue of one depth and its worker.
struct Depth<'a> {
    lab: &'a mut Lab,
    worker: Worker,
    /// Jobs that were let pass.
    passed: usize,
    /// Redis CPU of each portion.
    cpu_us: Vec<f64>,
}

impl<'a> Depth<'a> {
    async fn fill(lab: &'a mut Lab, subject: &Subject, jobs: usize, size: &Size) -> anyhow::Result<Self> {
        add(lab, subject, jobs, size).await?;
        let mut worker = subject.work(&lab.url, true).await?;
        worker.start().await?;
        let mut depth = Self { lab, worker, passed: 0, cpu_us: Vec::new() };
        depth.pass(WARMUP * PORTION, size).await?;
        Ok(depth)
    }

    async fn measure(&mut self, size: &Size) -> anyhow::Result<()> {
        let start = self.lab.probe.settled().await?;
        self.pass(PORTION, size).await?;
        // Reading while waiting for quiet would be counted, so the last acknowledgements get a fixed time.
        sleep(Duration::from_millis(100)).await;
        let end = self.lab.probe.read().await?;
        self.cpu_us.push(end.cpu_us - start.cpu_us);
        Ok(())
    }

    async fn pass(&mut self, jobs: usize, size: &Size) -> anyhow::Result<()> {
        self.passed += jobs;
        self.worker.pass(jobs).await?;
        self.worker.wait(self.passed, size.patience).await?;
        Ok(())
    }
}

async fn add(lab: &Lab, subject: &Subject, jobs: usize, size: &Size) -> anyhow::Result<()> {
    // The slowest bulk call seen adds 10,000 jobs a second.
    let patience = size.patience + Duration::from_millis(jobs as u64 / 10);
    subject.add(&lab.url, "bulk", jobs, 0).await?.run(patience).await?;
    Ok(())
}
