//! What was measured: every system, every row, every round.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    config::{Missing, Selection},
    figure::{Figure, Measure},
    process,
};

/// Values of one scenario run.
pub(crate) type Values = Vec<(Figure, f64)>;

/// All values by system and row, and what went wrong.
#[derive(Debug)]
pub(crate) struct Sheet {
    /// Measured systems in the order of the table's columns.
    pub(crate) systems: Vec<String>,
    pub(crate) missing: Vec<Missing>,
    pub(crate) failures: BTreeSet<Failure>,
    /// The load average before the first round.
    pub(crate) load: Option<f64>,
    values: BTreeMap<(String, Measure), Vec<f64>>,
}

/// A scenario that could not be finished on a system.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Failure {
    pub(crate) system: String,
    pub(crate) scenario: String,
    pub(crate) reason: String,
}

/// Median and range over the rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Sheet {
    pub(crate) fn new(systems: Vec<String>, missing: Vec<Missing>) -> Self {
        Self { systems, missing, failures: BTreeSet::new(), load: process::load(), values: BTreeMap::new() }
    }

    /// Keeps the selected values of one scenario run.
    pub(crate) fn record(&mut self, system: &str, aof: bool, values: Values, selection: &Selection) {
        for (figure, value) in values {
            let measure = Measure { aof, figure };
            if selection.has(measure) && (!aof || figure.has_aof()) {
                self.values.entry((system.to_owned(), measure)).or_default().push(value);
            }
        }
    }

    /// Notes that a scenario did not come to its end.
    pub(crate) fn fail(&mut self, system: &str, scenario: String, error: &anyhow::Error) {
        let reason = format!("{error:#}");
        self.failures.insert(Failure { system: system.to_owned(), scenario, reason });
    }

    pub(crate) fn summary(&self, system: &str, measure: Measure) -> Option<Summary> {
        let values = self.values.get(&(system.to_owned(), measure))?;
        Some(Summary {
            median: percentile(values, 50.0)?,
            min: percentile(values, 0.0)?,
            max: percentile(values, 100.0)?,
        })
    }
}

/// The value below which `percent` of the values lie, interpolated; `None` without values.
pub(crate) fn percentile(values: &[f64], percent: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = percent / 100.0 * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some(below + (above - below) * place.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_interpolated() {
        let values = [4.0, 1.0, 3.0, 2.0];

        assert_eq!(percentile(&values, 50.0), Some(2.5));
        assert_eq!(percentile(&values, 0.0), Some(1.0));
        assert_eq!(percentile(&values, 100.0), Some(4.0));
        assert_eq!(percentile(&[], 50.0), None);
    }
}
