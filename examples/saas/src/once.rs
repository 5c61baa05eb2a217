//! Every function once, from its event or its schedule to its last effect, by workers that are processes of their own; and
//! then an audit: of results, journals, mails, files, rows, and of a ledger in which step bodies said what they did.
//!
//! With `--kill` the workers are killed meanwhile, at moments that a seed decides, as often as `--runs` says.

use std::{
    io::{self, Write},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::anyhow;
use ergate::shutdown_signal;

use crate::app::Places;

mod audit;
mod findings;
mod kills;
mod round;
mod story;
mod tidy;
mod workers;

use findings::Repeats;
use round::Round;

/// How it is done.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct OnceOptions {
    /// Kills workers (SIGKILL) at moments that a seed decides.
    #[arg(long)]
    kill: bool,

    /// The seed of the first run, the second has the next one; default: another each time. Only with --kill.
    #[arg(long, requires = "kill")]
    seed: Option<u64>,

    /// How often all is done. Only with --kill.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..), requires = "kill")]
    runs: u64,

    /// What sleeps are multiplied by. The default makes a day a sixth of a second.
    #[arg(long, default_value_t = 0.000_002)]
    sleep_factor: f64,

    /// How long all functions may take, each time.
    #[arg(long, default_value = "2m", value_parser = ergate::duration::parse)]
    within: Duration,

    /// Keeps database, mail, files, ledger and logs; without it they stay only if something was wrong.
    #[arg(long)]
    keep: bool,
}

pub(crate) async fn once(places: &Places, options: &OnceOptions) -> anyhow::Result<ExitCode> {
    let begun = Instant::now();
    let first = options.seed.unwrap_or_else(|| fastrand::u64(1..1_000_000));
    let mut right = 0;
    let (mut kills, mut repeats) = (0, Repeats::default());
    for run in 0..options.runs {
        let seed = options.kill.then(|| first.wrapping_add(run));
        let round = Round::new(places, options, seed)?;
        // Dropped, a round kills the workers it has started.
        let findings = tokio::select! {
            findings = round.play() => findings,
            () = shutdown_signal() => Err(anyhow!("stopped before its end")),
        };
        round
            .tidy(matches!(&findings, Ok(findings) if findings.problems.is_empty()) && !options.keep)
            .await?;
        let findings = findings?;
        match seed {
            None => findings.print_table()?,
            Some(seed) => findings.print_line(seed)?,
        }
        findings.print_problems()?;
        right += u64::from(findings.problems.is_empty());
        kills += findings.kills;
        repeats.add(findings.repeats);
    }
    let seconds = begun.elapsed().as_secs_f64();
    let mut out = io::stdout().lock();
    if options.kill {
        let (runs, last) = (options.runs, first.wrapping_add(options.runs - 1));
        let Repeats { bodies, after_effect, slowest } = repeats;
        let slowest = slowest.as_secs_f64();
        writeln!(
            out,
            "\n  {right} of {runs} runs were right, seeds {first} to {last}, in {seconds:.0} s: {kills} workers killed; {bodies} \
             bodies ran again, {after_effect} of them after their effect, at most {slowest:.1} s after the kill."
        )?;
    } else if right == options.runs {
        writeln!(out, "\n  Everything was right, after {seconds:.1} s.")?;
    }
    Ok(if right == options.runs { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
