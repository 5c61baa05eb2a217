//! How much each measurement does.

use std::time::Duration;

/// Slots of the worker under test.
pub(crate) const SLOTS: usize = 100;
/// Tasks that add at the same time.
pub(crate) const TASKS: usize = 100;
/// Time between two jobs on the idle queue.
pub(crate) const PACE: Duration = Duration::from_millis(20);

/// Numbers of jobs, rounds and waiting times of one run.
#[derive(Debug, Clone)]
pub(crate) struct Size {
    pub(crate) rounds: usize,
    /// Jobs preloaded and then processed.
    pub(crate) processed: usize,
    /// Jobs of each concurrent measurement.
    pub(crate) concurrent: usize,
    /// Jobs added one by one.
    pub(crate) single: usize,
    /// Jobs completed, at most, to see what a completed one occupies.
    pub(crate) completed: usize,
    /// Jobs on the idle queue for the pick-up time.
    pub(crate) paced: usize,
    /// Jobs on the idle queue while commands are counted.
    pub(crate) monitored: usize,
    /// Jobs with a delay.
    pub(crate) delayed: usize,
    /// How long after the last due time delayed jobs are waited for.
    pub(crate) delayed_patience: Duration,
    /// How long an idle worker is watched.
    pub(crate) idle: Duration,
    /// Waiting jobs of the deep queue.
    pub(crate) deep: usize,
    /// Whether the deep queue is measured without being asked for by name.
    pub(crate) deep_by_default: bool,
    /// Runs of ten steps each.
    pub(crate) stepping: usize,
    /// Runs that sleep.
    pub(crate) sleeping: usize,
    /// Runs that wake while these sleep.
    pub(crate) waking: usize,
    /// How long a worker may take for the jobs of one measurement.
    pub(crate) patience: Duration,
}

impl Size {
    pub(crate) fn full() -> Self {
        Self {
            rounds: 3,
            processed: 50_000,
            concurrent: 50_000,
            single: 5_000,
            // With a fifth done first, the rest stays below the backlog at which apalis-redis gives up.
            completed: 8_000,
            paced: 500,
            monitored: 100,
            delayed: 200,
            delayed_patience: Duration::from_secs(30),
            idle: Duration::from_secs(10),
            deep: 1_000_000,
            deep_by_default: true,
            stepping: 20_000,
            sleeping: 1_000_000,
            waking: 50_000,
            patience: Duration::from_secs(120),
        }
    }

    pub(crate) fn quick() -> Self {
        Self {
            rounds: 1,
            processed: 10_000,
            concurrent: 10_000,
            single: 1_000,
            completed: 2_000,
            paced: 100,
            monitored: 50,
            delayed_patience: Duration::from_secs(4),
            idle: Duration::from_secs(2),
            deep_by_default: false,
            stepping: 2_000,
            sleeping: 100_000,
            waking: 10_000,
            patience: Duration::from_secs(20),
            ..Self::full()
        }
    }

    /// Jobs added before a measurement of `jobs`, so that connections, scripts and compilers are warm.
    pub(crate) fn warmup(jobs: usize) -> usize {
        (jobs / 10).clamp(20, 1_000)
    }
}
