//! The command line, and what it selects.

use std::{collections::BTreeSet, path::PathBuf};

use anyhow::bail;
use clap::Parser;

use crate::{
    figure::{Figure, Measure},
    size::Size,
    subject::Subject,
};

/// Runs the same job on several queue systems and compares what it costs.
#[derive(Debug, Parser)]
pub(crate) struct Config {
    /// One round with fewer jobs: under 3 minutes for all systems.
    #[arg(long)]
    quick: bool,
    /// Comma-separated systems and figures to measure; default is all.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Also write the figures as JSON to this file.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Rounds; default is 3, with --quick 1.
    #[arg(long)]
    rounds: Option<usize>,
    /// A system and the program that drives it, as NAME=COMMAND; in the order of the table's columns.
    #[arg(long = "subject", value_name = "NAME=COMMAND", value_parser = Subject::parse)]
    pub(crate) subjects: Vec<Subject>,
    /// The program that measures the durable functions of a system, as NAME=COMMAND.
    #[arg(long, value_name = "NAME=COMMAND", value_parser = Subject::parse)]
    pub(crate) functions: Vec<Subject>,
    /// A system that could not be installed, as NAME=REASON.
    #[arg(long, value_name = "NAME=REASON", value_parser = Missing::parse)]
    pub(crate) missing: Vec<Missing>,
    /// The server to measure on; default is redis-server or valkey-server from PATH.
    #[arg(long, env = "ERGATE_BENCH_REDIS_SERVER", default_value = "")]
    pub(crate) redis_server: String,
}

/// A system that is named in the report because it could not run.
#[derive(Debug, Clone)]
pub(crate) struct Missing {
    pub(crate) system: String,
    pub(crate) reason: String,
}

impl Missing {
    fn parse(text: &str) -> Result<Self, String> {
        let (system, reason) = text.split_once('=').ok_or("expected NAME=REASON")?;
        Ok(Self { system: system.to_owned(), reason: reason.trim().to_owned() })
    }
}

impl Config {
    pub(crate) fn systems(&self) -> Vec<String> {
        self.subjects.iter().map(|subject| subject.name.clone()).collect()
    }

    pub(crate) fn size(&self) -> Size {
        let size = if self.quick { Size::quick() } else { Size::full() };
        Size { rounds: self.rounds.unwrap_or(size.rounds), ..size }
    }

    /// What `--only` names.
    ///
    /// # Errors
    ///
    /// Fails on a name that is neither a system nor a figure.
    pub(crate) fn selection(&self) -> anyhow::Result<Selection> {
        let mut selection = Selection::default();
        let missing: Vec<_> = self.missing.iter().map(|missing| missing.system.as_str()).collect();
        for name in self.only.iter().map(|name| name.trim()).filter(|name| !name.is_empty()) {
            let is_system =
                self.subjects.iter().any(|subject| subject.name == name) || missing.contains(&name);
            if let Some(measure) = Measure::parse(name) {
                selection.figures.insert(measure.name());
            } else if is_system {
                selection.systems.insert(name.to_owned());
            } else {
                let known: Vec<_> = Figure::ALL.iter().map(|figure| figure.name()).collect();
                bail!("--only names `{name}`, which is neither a system nor one of {}", known.join(", "));
            }
        }
        Ok(selection)
    }
}

/// The systems and figures to measure. An empty set selects everything.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    systems: BTreeSet<String>,
    figures: BTreeSet<String>,
}

impl Selection {
    pub(crate) fn has_system(&self, system: &str) -> bool {
        self.systems.is_empty() || self.systems.contains(system)
    }

    pub(crate) fn has(&self, measure: Measure) -> bool {
        self.figures.is_empty() || self.figures.contains(&measure.name())
    }

    /// Whether the figure was asked for by its name.
    pub(crate) fn names(&self, figure: Figure) -> bool {
        self.figures.contains(figure.name())
    }
}
