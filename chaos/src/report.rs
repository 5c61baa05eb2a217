//! What came out, for programs (JSON) and for people (Markdown).

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

mod soaked;
mod table;

pub use soaked::soaked;
pub use table::markdown;

/// What came out of one play.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// The scenario's name.
    pub scenario: String,
    /// What decided all that was chosen.
    pub seed: u64,
    /// How long it took.
    pub took_ms: u64,
    /// What was done, when.
    pub faults: Vec<String>,
    /// What was sent, done and begun again.
    pub counts: Counts,
    /// The longest it took to be back at work, and what is promised, by what happened.
    pub back: Vec<Back>,
    /// The longest the machine stood still.
    pub stall_ms: u64,
    /// Whether leases that nothing was to cost were not judged, because machine or server were too late for them.
    #[serde(default)]
    pub leases_unjudged: bool,
    /// What was used after each of several rounds of the same work.
    #[serde(default)]
    pub rounds: Vec<Used>,
    /// What does not hold. Empty is good.
    pub breaches: Vec<String>,
    /// Where ledgers and logs were kept because something did not hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_at: Option<PathBuf>,
}

/// Bytes in use.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Used {
    /// By Redis.
    pub redis: u64,
    /// By the worker that lived through all rounds.
    pub worker: u64,
}

/// What was sent, done and begun again.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Jobs acknowledged.
    pub jobs: u64,
    /// Events acknowledged.
    pub events: u64,
    /// Runs that completed.
    pub runs: u64,
    /// Jobs of the schedule that completed.
    pub ticks: u64,
    /// Answers of Redis that left open whether something is kept.
    pub unclear: u64,
    /// Enqueues and events refused for want of memory, and sent again.
    pub refused: u64,
    /// Attempts that began though another attempt at the same job had begun before.
    pub again: u64,
    /// Failures of jobs, as Redis counts them.
    pub failures: u64,
    /// Leases of jobs that were lost, as Redis counts them: also such whose handler had not begun yet.
    pub crashes: u64,
    /// Jobs that were handed back by workers that stopped, as Redis counts them.
    pub interruptions: u64,
    /// Bodies of steps that were called again.
    pub bodies_again: u64,
    /// What Redis had acknowledged and lost itself.
    pub lost_by_redis: u64,
    /// What a reconciler found to repair.
    pub repairs: u64,
}

impl Counts {
    fn add(&mut self, other: &Self) {
        let Self {
            jobs,
            events,
            runs,
            ticks,
            unclear,
            refused,
            again,
            failures,
            crashes,
            interruptions,
            bodies_again,
            lost_by_redis,
            repairs,
        } = other;
        self.jobs += jobs;
        self.events += events;
        self.runs += runs;
        self.ticks += ticks;
        self.unclear += unclear;
        self.refused += refused;
        self.again += again;
        self.failures += failures;
        self.crashes += crashes;
        self.interruptions += interruptions;
        self.bodies_again += bodies_again;
        self.lost_by_redis += lost_by_redis;
        self.repairs += repairs;
    }
}

/// How soon work went on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Back {
    /// After what.
    pub after: String,
    /// The longest it took.
    pub took_ms: u64,
    /// What is promised.
    pub promised_ms: u64,
}

impl Back {
    /// How much of the time that is promised it took.
    fn share(&self) -> f64 {
        self.took_ms as f64 / self.promised_ms.max(1) as f64
    }
}

impl Outcome {
    /// Of a play that could not be played.
    pub fn broken(seed: u64, reason: String) -> Self {
        Self { seed, breaches: vec![reason], ..Self::default() }
    }

    /// Whether all held.
    pub fn holds(&self) -> bool {
        self.breaches.is_empty()
    }

    /// One line for people.
    pub fn line(&self) -> String {
        let counts = &self.counts;
        let back =
            self.back.iter().map(|back| format!(", back at work {} ms after {}", back.took_ms, back.after));
        format!(
            "{:<28} seed {:<6} {:>5.1} s  {} jobs, {} events, {} runs, {} ticks; {} strikes, {} begun again{}{}",
            self.scenario,
            self.seed,
            Duration::from_millis(self.took_ms).as_secs_f64(),
            counts.jobs,
            counts.events,
            counts.runs,
            counts.ticks,
            self.faults.len(),
            counts.again,
            if counts.lost_by_redis > 0 {
                format!(", {} lost by redis", counts.lost_by_redis)
            } else {
                String::new()
            },
            back.collect::<String>(),
        )
    }
}

/// All outcomes as JSON.
///
/// # Errors
/// If they cannot be written as JSON.
pub fn json(outcomes: &[Outcome]) -> serde_json::Result<String> {
    serde_json::to_string_pretty(outcomes)
}

/// The outcomes that `json` wrote.
///
/// # Errors
/// If it is something else.
pub fn from_json(text: &str) -> serde_json::Result<Vec<Outcome>> {
    serde_json::from_str(text)
}
