//! Plays chaos scenarios and says whether all held: see `script/chaos`.

use std::{
    fs,
    io::{self, ErrorKind, Write as _},
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use clap::Parser;
use ergate_chaos::{
    report::{self, Outcome},
    scenario::{self, Scale, Scenario},
    soak,
};
use tokio::task::JoinSet;

#[derive(Parser)]
#[command(about, version)]
struct Options {
    /// A fixed set of seeds over most scenarios, each of some seconds.
    #[arg(long)]
    quick: bool,
    /// Plays all scenarios again and again, each round with the next seed, and begins none after so long; 0 for one round.
    #[arg(long, default_value_t = 30)]
    minutes: u64,
    /// Works for so long at half of what this machine can do, with a rolling deploy every ten minutes, and looks for growth.
    #[arg(long, value_name = "DURATION")]
    soak: Option<String>,
    /// How many plays go on at a time.
    #[arg(long, default_value = "4")]
    at_once: usize,
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
    /// Writes the outcomes into this file as Markdown, summed up by scenario.
    #[arg(long)]
    markdown: Option<PathBuf>,
    /// Plays nothing, and reads the outcomes of earlier runs from this file; may be given several times.
    #[arg(long, value_name = "JSON")]
    from: Vec<PathBuf>,
}

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
    if let Some(lasts) = &options.soak {
        return soak(&options, lasts, &mut out);
    }
    let outcomes =
        if options.from.is_empty() { play(&options, &mut out).await? } else { read(&options.from)? };
    if let Some(file) = &options.json {
        fs::write(file, report::json(&outcomes)?)?;
    }
    if let Some(file) = &options.markdown {
        fs::write(file, report::markdown(&outcomes))?;
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

/// A soak has a thread and a runtime of its own, as a play has.
fn soak(options: &Options, lasts: &str, out: &mut (impl io::Write + Send)) -> anyhow::Result<ExitCode> {
    let lasts = ergate::duration::parse(lasts)?;
    let minutes = lasts.as_secs().div_ceil(60);
    let tell = |sample: &soak::Sample| {
        let _ = writeln!(
            out,
            "minute {:>4}: redis {:.1} MiB ({:.1} for events), largest worker {:.1} MiB, p99 late {:.0} ms, stood still {} ms, \
             {:.0} % stolen, {} acknowledged{}",
            sample.minute,
            sample.redis as f64 / f64::from(1 << 20),
            sample.events as f64 / f64::from(1 << 20),
            sample.worker as f64 / f64::from(1 << 20),
            sample.late_p99_ms,
            sample.stall_ms,
            sample.stolen_percent,
            sample.acknowledged,
            if sample.deploy { ", deploy" } else { "" },
        );
    };
    let soaked = std::thread::scope(|scope| {
        let handle = scope.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(soak::soak(minutes, options.seed, tell))
        });
        handle.join().map_err(|_| anyhow::anyhow!("the soak broke off"))?
    })?;
    if let Some(file) = &options.json {
        fs::write(file, serde_json::to_string_pretty(&soaked)?)?;
    }
    if let Some(file) = &options.markdown {
        let picture = file.with_extension("svg");
        fs::write(&picture, soak::svg(&soaked.samples))?;
        fs::write(file, report::soaked(&soaked, &picture))?;
    }
    for breach in &soaked.breaches {
        writeln!(out, "{breach}")?;
    }
    writeln!(
        out,
        "{} acknowledged at {:.0} a second, {} breaches",
        soaked.acknowledged,
        soaked.rate,
        soaked.breaches.len()
    )?;
    Ok(if soaked.breaches.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read(files: &[PathBuf]) -> anyhow::Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for file in files {
        let text = fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
        let read = report::from_json(&text);
        outcomes.extend(read.with_context(|| format!("{} is no file that --json wrote", file.display()))?);
    }
    Ok(outcomes)
}

/// Some plays at a time, in the order of the list; round after round with the next seed, until the time is over.
async fn play(options: &Options, out: &mut impl io::Write) -> anyhow::Result<Vec<Outcome>> {
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
        while playing.len() < options.at_once
            && let Some((scenario, seed)) = next.next()
        {
            playing.spawn(async move { scenario.play(scale, seed).await });
        }
        let Some(outcome) = playing.join_next().await else { return Ok(outcomes) };
        let outcome = outcome?;
        tell(out, &outcome)?;
        outcomes.push(outcome);
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
