//! Plays chaos scenarios and says whether all held: see `script/chaos`.

use std::{
    fs,
    io::{self, ErrorKind, Write as _},
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use clap::Parser as _;
use ergate_chaos::{
    report::{self, Outcome},
    scenario::{self, Scale, Scenario},
};
use tokio::task::JoinSet;

#[path = "ergate_chaos/options.rs"]
mod options;
#[path = "ergate_chaos/report_file.rs"]
mod report_file;
#[path = "ergate_chaos/soak.rs"]
mod soak;

use crate::{options::Options, report_file::ReportFile};

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    let mut out = anstream::stdout();
    if options.list {
        return match list(&mut out) {
            // Who reads has seen enough.
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(ExitCode::SUCCESS),
        };
    }
    if let Some(lasts) = options.soak {
        return soak::soak(&options, lasts, &mut out);
    }
    let json = options.json.as_deref().map(ReportFile::open).transpose()?;
    let markdown = options.markdown.as_deref().map(ReportFile::open).transpose()?;
    let outcomes = if options.from.is_empty() {
        play(&options, json.as_ref(), &mut out).await?
    } else {
        read(&options.from)?
    };
    ensure!(!outcomes.is_empty(), "nothing was played: there is no outcome");
    if let Some(file) = &json {
        file.write(&report::json(&outcomes)?)?;
    }
    if let Some(file) = &markdown {
        file.write(&report::markdown(&outcomes))?;
    }
    let broken = outcomes.iter().filter(|outcome| !outcome.holds()).count();
    writeln!(out, "{} plays, {broken} of them broken", outcomes.len())?;
    Ok(if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn list(out: &mut impl io::Write) -> io::Result<()> {
    for scenario in scenario::all() {
        let quick = if scenario.quick { "" } else { " (not in a quick run)" };
        writeln!(out, "{:<26} {}{quick}", scenario.name, scenario.about)?;
    }
    Ok(())
}

fn read(files: &[PathBuf]) -> anyhow::Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for file in files {
        let text = fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
        let other =
            || format!("{} is no file that --json of plays wrote (of a soak it is another)", file.display());
        outcomes.extend(report::from_json(&text).with_context(other)?);
    }
    Ok(outcomes)
}

/// Some plays at a time, in the order of the list; round after round with the next seed, until the time is over. A run that is
/// broken off leaves what had come out in `json`.
async fn play(
    options: &Options,
    json: Option<&ReportFile>,
    out: &mut impl io::Write,
) -> anyhow::Result<Vec<Outcome>> {
    let chosen = choose(options)?;
    let once = options.quick || options.minutes == 0;
    let scale = if options.quick { Scale::Quick } else { Scale::Full };
    let until = Instant::now() + Duration::from_secs(60 * options.minutes);
    let rounds = if once { 1 } else { u64::MAX };
    let mut next = (0..rounds)
        .flat_map(|round| chosen.iter().map(move |scenario| (scenario.clone(), options.seed + round)))
        .take_while(|_| once || Instant::now() < until);

    let (mut outcomes, mut playing) = (Vec::new(), JoinSet::new());
    loop {
        while playing.len() < usize::from(options.at_once)
            && let Some((scenario, seed)) = next.next()
        {
            playing.spawn(async move { scenario.play(scale, seed).await });
        }
        let Some(outcome) = playing.join_next().await else { return Ok(outcomes) };
        let outcome = outcome?;
        tell(out, &outcome)?;
        outcomes.push(outcome);
        if let Some(file) = json {
            file.write_so_far(&report::json(&outcomes)?)?;
        }
    }
}

fn choose(options: &Options) -> anyhow::Result<Vec<Scenario>> {
    let all = scenario::all();
    if let Some(unknown) = options.scenario.iter().find(|name| all.iter().all(|one| one.name != **name)) {
        bail!("there is no scenario {unknown}: see --list");
    }
    let wanted = |one: &Scenario| {
        if options.scenario.is_empty() {
            !options.quick || one.quick
        } else {
            options.scenario.iter().any(|name| name == one.name)
        }
    };
    Ok(all.into_iter().filter(wanted).collect())
}

fn tell(out: &mut impl io::Write, outcome: &Outcome) -> io::Result<()> {
    writeln!(out, "{} {}", if outcome.holds() { "holds " } else { "BROKEN" }, outcome.line())?;
    for breach in &outcome.breaches {
        writeln!(out, "         {breach}")?;
    }
    if let Some(kept) = &outcome.kept_at {
        writeln!(out, "         ledgers and logs: {}", kept.display())?;
    }
    Ok(())
}
