//! Plays chaos scenarios and says whether all held: see `script/chaos`.

use std::{fs, io::Write as _, path::PathBuf, process::ExitCode};

use anyhow::bail;
use clap::Parser;
use ergate_chaos::{
    report::{self, Outcome},
    scenario::{self, Scale, Scenario},
};

#[derive(Parser)]
#[command(about, version)]
struct Options {
    /// A fixed set of seeds over most scenarios, each of some seconds.
    #[arg(long)]
    quick: bool,
    /// Plays all scenarios again and again, with new seeds, for about so long.
    #[arg(long, default_value_t = 30)]
    minutes: u64,
    /// What decides all that is chosen; a scenario is played again exactly with the seed that was printed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Plays only this scenario; may be given several times.
    #[arg(long)]
    scenario: Vec<String>,
    /// Names the scenarios.
    #[arg(long)]
    list: bool,
    /// Writes the outcomes into this file as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Writes the outcomes into this file as Markdown.
    #[arg(long)]
    markdown: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    let mut out = anstream::stdout();
    if options.list {
        for scenario in scenario::all() {
            writeln!(out, "{:<28} {}", scenario.name, scenario.about)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let chosen = choose(&options)?;
    let scale = if options.quick { Scale::Quick } else { Scale::Full };
    let mut outcomes = Vec::new();
    for scenario in chosen {
        let outcome = scenario.play(scale, options.seed).await;
        tell(&mut out, &outcome)?;
        outcomes.push(outcome);
    }
    if let Some(file) = &options.json {
        fs::write(file, report::json(&outcomes)?)?;
    }
    if let Some(file) = &options.markdown {
        fs::write(file, report::markdown(&outcomes))?;
    }
    Ok(if outcomes.iter().all(Outcome::holds) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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

fn tell(out: &mut impl std::io::Write, outcome: &Outcome) -> std::io::Result<()> {
    writeln!(out, "{} {}", if outcome.holds() { "holds " } else { "BROKEN" }, outcome.line())?;
    for breach in &outcome.breaches {
        writeln!(out, "         {breach}")?;
    }
    if let Some(kept) = &outcome.kept_at {
        writeln!(out, "         ledgers and logs: {}", kept.display())?;
    }
    Ok(())
}
