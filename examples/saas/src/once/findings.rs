//! What was found, for people.

use std::{
    io::{self, Write},
    time::Duration,
};

use ergate::JobState;

/// All that was found in one round.
#[derive(Debug)]
pub(crate) struct Findings {
    pub(crate) rows: Vec<Row>,
    pub(crate) problems: Vec<String>,
    pub(crate) kills: usize,
    /// Workers that lost a lease while they lived.
    pub(crate) lapsed: usize,
    pub(crate) repeats: Repeats,
    pub(crate) took: Duration,
}

/// Bodies that ran again, each after a kill.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Repeats {
    pub(crate) bodies: usize,
    /// Those whose effect was complete when the worker was killed, and only the record was not.
    pub(crate) after_effect: usize,
    /// The longest from a kill until the body ran again.
    pub(crate) slowest: Duration,
}

impl Repeats {
    pub(crate) fn add(&mut self, other: Self) {
        self.bodies += other.bodies;
        self.after_effect += other.after_effect;
        self.slowest = self.slowest.max(other.slowest);
    }
}

/// One run.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) function: &'static str,
    pub(crate) what: &'static str,
    pub(crate) started_by: &'static str,
    pub(crate) steps: usize,
    pub(crate) bodies: usize,
    pub(crate) state: JobState,
}

impl Findings {
    pub(crate) fn print_table(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(
            out,
            "\n  {:<20} {:<20} {:<24} {:>5} {:>6}  state",
            "function", "case", "started by", "steps", "bodies"
        )?;
        for row in &self.rows {
            let Row { function, what, started_by, steps, bodies, state, .. } = row;
            writeln!(out, "  {function:<20} {what:<20} {started_by:<24} {steps:>5} {bodies:>6}  {state}")?;
        }
        let (steps, bodies) = self.rows.iter().fold((0, 0), |(s, b), row| (s + row.steps, b + row.bodies));
        writeln!(out, "  {:<66} {steps:>5} {bodies:>6}", format!("{} runs", self.rows.len()))?;
        writeln!(
            out,
            "\n  Steps are those in the journal, sleeps included; bodies are what the ledger says was done."
        )
    }

    pub(crate) fn print_line(&self, seed: u64) -> io::Result<()> {
        let runs = self.rows.len();
        let (kills, again, seconds) = (self.kills, self.repeats.bodies, self.took.as_secs_f64());
        let lapsed = match self.lapsed {
            0 => String::new(),
            lapsed => format!("{lapsed} lost leases without being killed, "),
        };
        let verdict = if self.problems.is_empty() { "right" } else { "WRONG" };
        writeln!(
            io::stdout(),
            "  seed {seed:<8} {verdict}  {runs} runs, {kills} workers killed, {lapsed}{again} bodies ran again, {seconds:.1} s"
        )
    }

    pub(crate) fn print_problems(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        for problem in &self.problems {
            writeln!(out, "  - {problem}")?;
        }
        Ok(())
    }
}
