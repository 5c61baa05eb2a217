//! Plays each scenario without the safety that it needs, and says whether it fails for want of that, as it must; and once with it,
//! where it must hold.

use std::{io::Write as _, path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Context as _;
use clap::Parser;
use ergate_chaos::safety::proof_of;
use ergate_shared::safety::{Safety, VARIABLE};
use tokio::{process::Command, sync::Semaphore};

#[derive(Parser)]
#[command(about, version)]
struct Options {
    /// Only this one; may be given several times.
    #[arg(long, value_parser = Safety::ALL.map(Safety::name))]
    without: Vec<String>,
    /// The seed of all plays.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many plays there are at the same time; most of one that fails is waiting for what does not come.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    at_once: u16,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    let mut out = anstream::stdout();
    let stage = Arc::new(Stage {
        program: std::env::current_exe()?.with_file_name("ergate-chaos"),
        seed: options.seed,
        free: Semaphore::new(usize::from(options.at_once)),
    });
    let chosen = |safety: &Safety| {
        options.without.is_empty() || options.without.iter().any(|name| name == safety.name())
    };
    let plays: Vec<_> = Safety::ALL
        .into_iter()
        .filter(chosen)
        .map(|safety| {
            let (stage, other) = (Arc::clone(&stage), Arc::clone(&stage));
            let scenario = proof_of(safety).scenario;
            let with = tokio::spawn(async move { stage.play(scenario, None).await });
            let without = tokio::spawn(async move { other.play(scenario, Some(safety)).await });
            (safety, with, without)
        })
        .collect();

    let mut all_proven = true;
    writeln!(out, "{:<14} {:<20} {:<8} {:<8} because", "safety", "scenario", "with", "without")?;
    for (safety, with, without) in plays {
        let (with, without) = (with.await??, without.await??);
        let proof = proof_of(safety);
        let (proven, because) = match proof.among(&without.breaches) {
            _ if !with.holds => (false, format!("with it: {}", with.reason())),
            _ if without.holds => (false, "not proven: nothing failed".to_owned()),
            Some(breach) => (true, breach.to_owned()),
            None => (false, format!("not proven: {:?} is not said, but {}", proof.words, without.reason())),
        };
        all_proven &= proven;
        let word = |played: &Played| if played.holds { "holds" } else { "fails" };
        writeln!(
            out,
            "{:<14} {:<20} {:<8} {:<8} {because}",
            safety.name(),
            proof.scenario,
            word(&with),
            word(&without)
        )?;
    }
    Ok(if all_proven { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Stage {
    program: PathBuf,
    seed: u64,
    free: Semaphore,
}

/// How a scenario ended.
struct Played {
    holds: bool,
    breaches: Vec<String>,
    /// What was said where it was not played to its end, which breaks nothing that the scenario is about.
    error: String,
}

impl Played {
    /// Why it does not hold.
    fn reason(&self) -> &str {
        self.breaches.first().unwrap_or(&self.error)
    }
}

impl Stage {
    async fn play(&self, scenario: &str, without: Option<Safety>) -> anyhow::Result<Played> {
        let _turn = self.free.acquire().await?;
        let mut command = Command::new(&self.program);
        command.args(["--quick", "--scenario", scenario, "--seed", &self.seed.to_string()]);
        command.env_remove(VARIABLE).kill_on_drop(true);
        if let Some(safety) = without {
            command.env(VARIABLE, safety.name());
        }
        let output =
            command.output().await.with_context(|| format!("{} cannot be run", self.program.display()))?;
        let [said, complained] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
        // Under the line of the play, each with some space before it.
        let breaches = said.lines().filter(|line| line.starts_with(' '));
        // All but the warning that a safety is off.
        let error = complained.lines().filter(|line| !line.is_empty() && !line.starts_with("***"));
        Ok(Played {
            holds: output.status.success(),
            breaches: breaches.map(|line| line.trim().to_owned()).collect(),
            error: format!("{}: {}", output.status, error.collect::<Vec<_>>().join(" ")),
        })
    }
}
