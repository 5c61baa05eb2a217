//! Plays each scenario without the safety that it needs, and says whether it fails, as it must; and once with it, where it must not.

use std::{io::Write as _, path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Context as _;
use clap::Parser;
use ergate_chaos::safety::scenario_of;
use ergate_shared::safety::{Safety, VARIABLE};
use tokio::{process::Command, sync::Semaphore};

#[derive(Parser)]
#[command(about, version)]
struct Options {
    /// Only this one; may be given several times.
    #[arg(long)]
    without: Vec<String>,
    /// The seed of all plays.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many plays there are at the same time; most of one that fails is waiting for what does not come.
    #[arg(long, default_value_t = 3)]
    at_once: usize,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    let mut out = anstream::stdout();
    let stage = Arc::new(Stage {
        program: std::env::current_exe()?.with_file_name("ergate-chaos"),
        seed: options.seed,
        free: Semaphore::new(options.at_once.max(1)),
    });
    let chosen = |safety: &Safety| {
        options.without.is_empty() || options.without.iter().any(|name| name == safety.name())
    };
    let plays: Vec<_> = Safety::ALL
        .into_iter()
        .filter(chosen)
        .map(|safety| {
            let (stage, other) = (Arc::clone(&stage), Arc::clone(&stage));
            let with = tokio::spawn(async move { stage.play(scenario_of(safety), None).await });
            let without = tokio::spawn(async move { other.play(scenario_of(safety), Some(safety)).await });
            (safety, with, without)
        })
        .collect();

    let mut proven = true;
    writeln!(out, "{:<14} {:<20} {:<8} {:<8} because", "safety", "scenario", "with", "without")?;
    for (safety, with, without) in plays {
        let ((with, _), (without, said)) = (with.await??, without.await??);
        proven &= with && !without;
        let word = |holds| if holds { "holds" } else { "fails" };
        let (name, scenario) = (safety.name(), scenario_of(safety));
        writeln!(out, "{name:<14} {scenario:<20} {:<8} {:<8} {said}", word(with), word(without))?;
    }
    Ok(if proven { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Stage {
    program: PathBuf,
    seed: u64,
    free: Semaphore,
}

impl Stage {
    /// Whether the scenario holds, and the first reason why not.
    async fn play(&self, scenario: &str, without: Option<Safety>) -> anyhow::Result<(bool, String)> {
        let _turn = self.free.acquire().await?;
        let mut command = Command::new(&self.program);
        command.args(["--quick", "--scenario", scenario, "--seed", &self.seed.to_string()]);
        command.env_remove(VARIABLE).kill_on_drop(true);
        if let Some(safety) = without {
            command.env(VARIABLE, safety.name());
        }
        let output =
            command.output().await.with_context(|| format!("{} cannot be run", self.program.display()))?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let reason = said.lines().nth(1).unwrap_or_default().trim().to_owned();
        Ok((output.status.success(), reason))
    }
}
