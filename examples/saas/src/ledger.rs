//! What step bodies say they did: a file that only grows, so that it tells the truth about processes that were killed.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
    sync::Arc,
};

use anyhow::Context;
use ergate::StepAttempt;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A handle on the file: cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    file: Arc<File>,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) run: String,
    pub(crate) step: String,
    pub(crate) attempt: u32,
    pub(crate) pid: u32,
    pub(crate) at: Timestamp,
    pub(crate) what: Moment,
}

/// Where in a step's body it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Moment {
    /// Before its effect.
    Began,
    /// After its effect, before Ergate hears of it.
    Worked,
    /// After an effect that failed.
    Failed,
}

impl Ledger {
    /// Opens the file, and makes it if it is not there.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        Ok(Self { file: Arc::new(file.with_context(|| format!("ledger {}", path.display()))?) })
    }

    /// Adds a line in one write, so that lines of several processes do not mix. It blocks for a few microseconds.
    pub(crate) fn note(&self, attempt: &StepAttempt, what: Moment) -> anyhow::Result<()> {
        let (run, step) = attempt.key.split_once('/').context("a step's key is its run and its name")?;
        let line = Line {
            run: run.to_owned(),
            step: step.to_owned(),
            attempt: attempt.number,
            pid: std::process::id(),
            at: Timestamp::now(),
            what,
        };
        let mut text = serde_json::to_string(&line)?;
        text.push('\n');
        (&*self.file).write_all(text.as_bytes()).context("writing the ledger")
    }

    /// All lines.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<Line>> {
        let text = std::fs::read_to_string(path).with_context(|| format!("ledger {}", path.display()))?;
        // A process that was killed while it wrote may have left half a line at the end of what it wrote.
        Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }
}
