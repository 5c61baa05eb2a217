//! Kills workers at moments that a seed decides: when the ledger has grown to some line, the worker that wrote it is killed
//! a few milliseconds later. So the kills fall around the effects, before and after Ergate hears of them.

use std::{collections::BTreeMap, path::Path, time::Duration};

use super::workers::Fleet;
use crate::ledger::Ledger;

/// How often the ledger is looked at.
const LOOK: Duration = Duration::from_millis(1);
/// The longest from a line to the kill.
const LATEST_US: u64 = 6_000;
/// Kills of a run.
const KILLS: std::ops::RangeInclusive<usize> = 2..=6;

/// After which lines of the ledger, and how long after them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan(BTreeMap<usize, Duration>);

impl Plan {
    /// For a ledger that would have so many lines without kills.
    pub(crate) fn of_seed(seed: u64, lines: usize) -> Self {
        let mut chance = fastrand::Rng::with_seed(seed);
        let kills = chance.usize(KILLS);
        Self(
            (0..kills)
                .map(|_| (chance.usize(1..=lines), Duration::from_micros(chance.u64(0..LATEST_US))))
                .collect(),
        )
    }

    /// Carries it out; returns only for what must not happen.
    pub(crate) async fn carry_out(&self, ledger: &Path, fleet: &mut Fleet) -> anyhow::Result<()> {
        let (mut seen, mut size) = (0, 0);
        loop {
            let now = std::fs::metadata(ledger)?.len();
            let lines = if now > size { Ledger::read(ledger)? } else { Vec::new() };
            size = now;
            while seen < lines.len() {
                seen += 1;
                if let Some(wait) = self.0.get(&seen) {
                    tokio::time::sleep(*wait).await;
                    fleet.kill(lines[seen - 1].pid).await?;
                }
            }
            fleet.check()?;
            tokio::time::sleep(LOOK).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_plans_the_same_kills() {
        for seed in 0..100 {
            let plan = Plan::of_seed(seed, 100);

            assert_eq!(plan, Plan::of_seed(seed, 100));
            assert!(!plan.0.is_empty() && plan.0.len() <= *KILLS.end());
        }
        assert_ne!(Plan::of_seed(1, 100), Plan::of_seed(2, 100));
    }
}
