//! Many plays for people: what was done and what came of it, summed up by scenario.

use std::fmt::Write as _;

use super::{Back, Counts, Outcome};

/// All plays of one scenario.
#[derive(Default)]
struct Row<'a> {
    scenario: &'a str,
    plays: usize,
    held: usize,
    strikes: usize,
    counts: Counts,
    /// The one that came nearest to what is promised, or went furthest beyond it.
    back: Option<&'a Back>,
    stall_ms: u64,
}

impl<'a> Row<'a> {
    fn add(&mut self, outcome: &'a Outcome) {
        self.plays += 1;
        self.held += usize::from(outcome.holds());
        self.strikes += outcome.faults.len();
        self.counts.add(&outcome.counts);
        self.stall_ms = self.stall_ms.max(outcome.stall_ms);
        self.back = self
            .back
            .into_iter()
            .chain(&outcome.back)
            .max_by(|one, other| one.share().total_cmp(&other.share()));
    }

    fn line(&self) -> String {
        let counts = &self.counts;
        let back = self.back.map_or_else(String::new, |back| {
            format!("{} after {} ({})", back.took_ms, back.after, back.promised_ms)
        });
        let holds = if self.held == self.plays { "all".to_owned() } else { format!("**{}**", self.held) };
        format!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {}, {}, {} | {} | {back} | {} | {} | {} | {holds} |",
            self.scenario,
            self.plays,
            counts.jobs,
            counts.events,
            counts.runs,
            counts.ticks,
            self.strikes,
            counts.again,
            counts.failures,
            counts.crashes,
            counts.interruptions,
            counts.bodies_again,
            self.stall_ms,
            counts.lost_by_redis,
            counts.repairs,
        )
    }
}

/// All outcomes as Markdown: a line per scenario, and what did not hold.
pub fn markdown(outcomes: &[Outcome]) -> String {
    let mut rows: Vec<Row<'_>> = Vec::new();
    let mut sum = Row { scenario: "**all**", ..Row::default() };
    for outcome in outcomes {
        sum.add(outcome);
        match rows.iter_mut().find(|known| known.scenario == outcome.scenario) {
            Some(known) => known.add(outcome),
            None => {
                let mut row = Row { scenario: &outcome.scenario, ..Row::default() };
                row.add(outcome);
                rows.push(row);
            }
        }
    }
    rows.push(sum);

    let mut text = String::from(
        "| scenario | plays | jobs | events | runs | ticks | strikes | begun again | of jobs: failed, lease lost, handed back | \
         bodies again | longest until back at work, ms (promised) | longest stall, ms | lost by Redis | repairs | held |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for row in &rows {
        let _ = writeln!(text, "{}", row.line());
    }
    let _ = writeln!(text, "\nSeeds: {}.", seeds(outcomes));
    let unjudged = outcomes.iter().filter(|outcome| outcome.leases_unjudged).count();
    if unjudged > 0 {
        let _ = writeln!(
            text,
            "\nPlays in which machine or server were too late for heartbeats, so that it was not judged whether leases were lost that \
             nothing was to cost: {unjudged}."
        );
    }
    let memory: Vec<String> = outcomes.iter().filter_map(memory).collect();
    if !memory.is_empty() {
        let _ = writeln!(
            text,
            "\nWhat Redis used after the first round of the same work and after the last, and a worker: {}.",
            memory.join("; ")
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

fn memory(outcome: &Outcome) -> Option<String> {
    let (first, last) = (outcome.rounds.first()?, outcome.rounds.last()?);
    let change = |before: u64, after: u64| {
        let (before, after) = (before as f64 / 1024.0, after as f64 / 1024.0);
        format!("{before:.0} and {after:.0} KiB ({:+.1} %)", (after / before - 1.0) * 100.0)
    };
    Some(format!("{}, {}", change(first.redis, last.redis), change(first.worker, last.worker)))
}

/// Each once, and those that follow each other as a range.
fn seeds(outcomes: &[Outcome]) -> String {
    let mut seeds: Vec<u64> = outcomes.iter().map(|outcome| outcome.seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    let ranges = seeds.chunk_by(|one, next| one + 1 == *next).map(|range| match range {
        [only] => only.to_string(),
        [first, .., last] => format!("{first} to {last}"),
        [] => String::new(),
    });
    ranges.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Used;

    fn outcome(scenario: &str, seed: u64, took_ms: u64) -> Outcome {
        Outcome {
            scenario: scenario.to_owned(),
            seed,
            counts: Counts { jobs: 10, ..Counts::default() },
            back: vec![Back { after: "a kill".to_owned(), took_ms, promised_ms: 2000 }],
            ..Outcome::default()
        }
    }

    #[test]
    fn plays_of_one_scenario_are_one_line_with_the_longest_way_back() {
        let again = Outcome {
            rounds: [(2048, 15_000), (2060, 15_010), (2068, 15_000)]
                .map(|(redis, worker)| Used { redis: redis << 10, worker: worker << 10 })
                .to_vec(),
            ..outcome("one", 2, 400)
        };
        let broken = Outcome { breaches: vec!["a job was lost".to_owned()], ..outcome("two", 9, 1) };

        let text = markdown(&[outcome("one", 1, 300), again, broken]);

        assert!(text.contains("| one | 2 | 20 |") && text.contains("400 after a kill (2000)"), "{text}");
        assert!(text.contains("| **all** | 3 | 30 |") && text.contains("Seeds: 1 to 2, 9."), "{text}");
        assert!(
            text.contains("and a worker: 2048 and 2068 KiB (+1.0 %), 15000 and 15000 KiB (+0.0 %)."),
            "{text}"
        );
        assert!(text.contains("**two**, seed 9:\n\n- a job was lost"), "{text}");
    }
}
