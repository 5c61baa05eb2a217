//! Plays each scenario without the safety that it needs, and says whether it fails, as it must; and once with it, where it must not.

use std::{io::Write as _, path::Path, process::ExitCode};

use anyhow::Context as _;
use clap::Parser;
use ergate_chaos::safety::scenario_of;
use ergate_shared::safety::{Safety, VARIABLE};
use tokio::process::Command;

#[derive(Parser)]
#[command(about, version)]
struct Options {
    /// Only this one; may be given several times.
    #[arg(long)]
    without: Vec<String>,
    /// The seed of all plays.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    let mut out = anstream::stdout();
    let program = std::env::current_exe()?.with_file_name("ergate-chaos");
    let mut proven = true;
    writeln!(out, "{:<14} {:<20} {:<8} {:<8} because", "safety", "scenario", "with", "without")?;
    for safety in Safety::ALL {
        if !options.without.is_empty() && !options.without.iter().any(|name| name == safety.name()) {
            continue;
        }
        let scenario = scenario_of(safety);
        let (with, _) = play(&program, scenario, options.seed, None).await?;
        let (without, said) = play(&program, scenario, options.seed, Some(safety)).await?;
        proven &= with && !without;
        let word = |holds| if holds { "holds" } else { "fails" };
        writeln!(out, "{:<14} {scenario:<20} {:<8} {:<8} {said}", safety.name(), word(with), word(without))?;
    }
    Ok(if proven { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether the scenario holds, and the first reason why not.
async fn play(
    program: &Path,
    scenario: &str,
    seed: u64,
    without: Option<Safety>,
) -> anyhow::Result<(bool, String)> {
    let mut command = Command::new(program);
    command.args(["--quick", "--scenario", scenario, "--seed", &seed.to_string()]).env_remove(VARIABLE);
    if let Some(safety) = without {
        command.env(VARIABLE, safety.name());
    }
    let output = command.output().await.with_context(|| format!("{} cannot be run", program.display()))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let reason = said.lines().nth(1).unwrap_or_default().trim().to_owned();
    Ok((output.status.success(), reason))
}
