//! What must hold after every play, told from the evidence.

use crate::{
    evidence::Evidence,
    ledger::Answer,
    report::{Back, Counts, Outcome},
};

mod again;
mod back;
mod full;
mod kept;
mod limits;
mod runs;
mod sums;
mod ticks;
mod told;

/// What verdicts find, and what they count on the way.
#[derive(Debug, Default)]
pub struct Finds {
    breaches: Vec<String>,
    hidden: usize,
    counts: Counts,
    back: Vec<Back>,
}

/// Breaches told of each verdict; one cause breaks many things, and the first few tell as much.
const MOST: usize = 12;

impl Finds {
    /// Notes something that does not hold.
    pub fn breach(&mut self, what: impl Into<String>) {
        if self.breaches.len() < MOST {
            self.breaches.push(what.into());
        } else {
            self.hidden += 1;
        }
    }
}

/// Lets every verdict look at the evidence.
pub fn judge(evidence: &Evidence, seed: u64) -> Outcome {
    let mut finds = Finds::default();
    let verdicts = [
        kept::judge,
        again::judge,
        told::judge,
        limits::judge,
        runs::judge,
        ticks::judge,
        back::judge,
        full::judge,
        sums::judge,
    ];
    let mut breaches = Vec::new();
    for judge in verdicts {
        judge(evidence, &mut finds);
        breaches.append(&mut finds.breaches);
        if finds.hidden > 0 {
            breaches.push(format!("and {} more of that sort", finds.hidden));
            finds.hidden = 0;
        }
    }
    let answers =
        |wanted: fn(&Answer) -> bool| evidence.told.iter().filter(|told| wanted(&told.answer)).count() as u64;
    finds.counts.unclear = answers(|answer| matches!(answer, Answer::Unclear(_)));
    finds.counts.refused = answers(|answer| *answer == Answer::Refused);
    Outcome {
        seed,
        took_ms: evidence.took.as_millis() as u64,
        faults: evidence.diary.words.clone(),
        counts: finds.counts,
        back: finds.back,
        stall_ms: evidence.longest_stall().as_millis() as u64,
        leases_unjudged: evidence.plan.leases_hold && !evidence.kept_up(),
        breaches,
        ..Outcome::default()
    }
}
