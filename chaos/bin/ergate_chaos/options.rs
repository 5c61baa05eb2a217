//! What may be asked for. What would be ignored, and what would play nothing, is refused: who asked for it would take the end of
//! such a run for a proof.

use std::{path::PathBuf, time::Duration};

use clap::Parser;

#[derive(Parser)]
#[command(about, version)]
pub(super) struct Options {
    /// A fixed set of seeds over most scenarios, each of some seconds.
    #[arg(long)]
    pub(super) quick: bool,
    /// Plays all scenarios again and again, each round with the next seed, and begins none after so long; 0 for one round.
    #[arg(long, default_value_t = 30)]
    pub(super) minutes: u64,
    /// Works for so long at half of what this machine can do, with a rolling deploy every ten minutes, and looks for growth.
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = ergate::duration::parse,
        conflicts_with_all = ["quick", "minutes", "at_once", "scenario"]
    )]
    pub(super) soak: Option<Duration>,
    /// How many plays go on at a time.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) at_once: u16,
    /// What decides all that is chosen; a scenario is played again exactly with the seed that was printed.
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Plays only this scenario; may be given several times.
    #[arg(long)]
    pub(super) scenario: Vec<String>,
    /// Names the scenarios.
    #[arg(long)]
    pub(super) list: bool,
    /// Writes the outcomes into this file as JSON: after every play those so far, of a soak at its end.
    #[arg(long)]
    pub(super) json: Option<PathBuf>,
    /// Writes the outcomes into this file as Markdown, summed up by scenario.
    #[arg(long)]
    pub(super) markdown: Option<PathBuf>,
    /// Plays nothing, and reads the outcomes of earlier runs from this file; may be given several times.
    #[arg(
        long,
        value_name = "JSON",
        conflicts_with_all = ["quick", "minutes", "soak", "at_once", "seed", "scenario"]
    )]
    pub(super) from: Vec<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn takes(line: &str) -> bool {
        Options::try_parse_from(["ergate-chaos"].into_iter().chain(line.split(' '))).is_ok()
    }

    #[test]
    fn what_goes_together_is_taken() {
        Options::command().debug_assert();
        for line in [
            "--quick --scenario mixture --seed 7 --minutes 0",
            "--minutes 30 --at-once 3 --seed 8888 --json A --markdown B",
            "--soak 8h --seed 7 --json A --markdown B",
            "--from A --from B --json C --markdown D",
        ] {
            assert!(takes(line), "{line}");
        }
    }

    #[test]
    fn what_would_be_ignored_or_play_nothing_is_refused() {
        for line in [
            "--at-once 0",
            "--soak soon",
            "--soak 8h --quick",
            "--soak 8h --minutes 30",
            "--soak 8h --at-once 3",
            "--soak 8h --scenario mixture",
            "--from A --soak 8h",
            "--from A --quick",
            "--from A --scenario mixture",
        ] {
            assert!(!takes(line), "{line}");
        }
    }
}
