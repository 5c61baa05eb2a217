//! What came out, for programs (JSON) and for people (Markdown).

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Serialize;

use crate::soak::Soak;

/// What came out of one play.
#[derive(Debug, Clone, Default, Serialize)]
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
    /// Bytes Redis used before the work.
    pub memory_before: Option<u64>,
    /// Bytes Redis used after it, with all that is kept.
    pub memory_after: Option<u64>,
    /// What does not hold. Empty is good.
    pub breaches: Vec<String>,
    /// Where ledgers and logs were kept because something did not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_at: Option<PathBuf>,
}

/// What was sent, done and begun again.
#[derive(Debug, Clone, Default, Serialize)]
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
    /// Of these: after a failure, as Redis counts them.
    pub failures: u64,
    /// After a lease that was lost.
    pub crashes: u64,
    /// After a worker that stopped.
    pub interruptions: u64,
    /// Bodies of steps that were called again.
    pub bodies_again: u64,
    /// What Redis had acknowledged and lost itself.
    pub lost_by_redis: u64,
    /// What a reconciler found to repair.
    pub repairs: u64,
}

/// How soon work went on.
#[derive(Debug, Clone, Serialize)]
pub struct Back {
    /// After what.
    pub after: String,
    /// The longest it took.
    pub took_ms: u64,
    /// What is promised.
    pub promised_ms: u64,
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

/// All outcomes as Markdown.
pub fn markdown(outcomes: &[Outcome]) -> String {
    let mut text = String::from(
        "| scenario | seed | s | jobs | events | runs | ticks | strikes | begun again: failed, lease lost, handed back | back at \
         work, ms (promised) | lost by Redis | repairs | holds |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for outcome in outcomes {
        let counts = &outcome.counts;
        let back: Vec<_> = outcome
            .back
            .iter()
            .map(|back| format!("{} after {} ({})", back.took_ms, back.after, back.promised_ms))
            .collect();
        let _ = writeln!(
            text,
            "| {} | {} | {:.1} | {} | {} | {} | {} | {} | {}: {}, {}, {} | {} | {} | {} | {} |",
            outcome.scenario,
            outcome.seed,
            Duration::from_millis(outcome.took_ms).as_secs_f64(),
            counts.jobs,
            counts.events,
            counts.runs,
            counts.ticks,
            outcome.faults.len(),
            counts.again,
            counts.failures,
            counts.crashes,
            counts.interruptions,
            back.join(", "),
            counts.lost_by_redis,
            counts.repairs,
            if outcome.holds() { "yes" } else { "**no**" },
        );
    }
    for outcome in outcomes.iter().filter(|outcome| !outcome.holds()) {
        let _ = writeln!(text, "\n**{}**, seed {}:\n", outcome.scenario, outcome.seed);
        for breach in &outcome.breaches {
            let _ = writeln!(text, "- {breach}");
        }
    }
    text
}

/// A soak as Markdown, with the picture that was drawn of it.
pub fn soaked(soak: &Soak, picture: &Path) -> String {
    let minutes = soak.samples.len();
    let mut late: Vec<f64> = soak.samples.iter().map(|sample| sample.late_p99_ms).collect();
    late.sort_by(f64::total_cmp);
    let mut text = format!(
        "{minutes} minutes, seed {}: {} jobs and events acknowledged at {:.0} jobs a second, half of the most that began in time, {:.0}; a \
         rolling deploy every ten minutes. From acknowledged to begun, p99 of a minute: {:.0} ms at the median, {:.0} ms at most.\n\n\
         ![memory and lateness]({})\n",
        soak.seed,
        soak.acknowledged,
        soak.rate,
        soak.capacity,
        late.get(minutes / 2).copied().unwrap_or(0.0),
        late.last().copied().unwrap_or(0.0),
        picture.file_name().unwrap_or_default().display(),
    );
    let _ =
        writeln!(text, "\n{}", if soak.breaches.is_empty() { "All held." } else { "What did not hold:\n" });
    for breach in &soak.breaches {
        let _ = writeln!(text, "- {breach}");
    }
    text
}
