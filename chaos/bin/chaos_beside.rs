//! Puts Ergate and a peer under the same faults and notes what was seen: see `script/beside`.

use std::{io::Write as _, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{bail, ensure};
use clap::Parser;
use ergate_chaos::beside::{Scene, Setting, System, all, report::Report};
use ergate_rig::RedisServer;
use tokio::task::JoinSet;

#[path = "ergate_chaos/report_file.rs"]
mod report_file;

use crate::report_file::ReportFile;

#[derive(Parser)]
#[command(about, version)]
struct Options {
    /// NAME=PROGRAM, as often as there are systems.
    #[arg(long, required = true)]
    system: Vec<String>,
    /// Decides the moments of the first run; each further one has the next.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How often everything is played.
    #[arg(long, default_value_t = 3)]
    runs: u64,
    /// Plays only this scene; may be given several times.
    #[arg(long)]
    scene: Vec<String>,
    /// The lease of the second set-up, in seconds; the first is each system's own.
    #[arg(long, default_value_t = 5)]
    lease_s: u64,
    /// Leaves out the systems' own set-up.
    #[arg(long)]
    lease_only: bool,
    /// How many plays go on at a time; most of them mostly wait.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    at_once: u16,
    /// Writes all that was seen into this file as JSON, after every play.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Writes it into this file as Markdown; otherwise to standard output.
    #[arg(long)]
    markdown: Option<PathBuf>,
    /// Keeps ledgers and what workers print in this folder.
    #[arg(long)]
    logs: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    let systems: Vec<_> = options.system.iter().map(|text| System::read(text)).collect::<Result<_, _>>()?;
    let lease = Setting::Lease(Duration::from_secs(options.lease_s));
    let settings = if options.lease_only { vec![lease] } else { vec![Setting::Defaults, lease] };
    let scenes = choose(&options)?;
    let json = options.json.as_deref().map(ReportFile::open).transpose()?;
    let markdown = options.markdown.as_deref().map(ReportFile::open).transpose()?;

    let mut report = Report {
        server: server_version().await?,
        at_once: usize::from(options.at_once),
        systems: systems.iter().map(|system| system.about.clone()).collect(),
        plays: Vec::new(),
        broken: Vec::new(),
    };
    play(&options, &scenes, &systems, &settings, json.as_ref(), &mut report).await?;
    ensure!(report.plays.len() + report.broken.len() > 0, "nothing was played");
    if let Some(file) = &json {
        file.write(&report.json()?)?;
    }
    let text = report.markdown(&scenes, &systems, &settings);
    match &markdown {
        Some(file) => file.write(&text)?,
        None => anstream::stdout().write_all(text.as_bytes())?,
    }
    Ok(if report.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn choose(options: &Options) -> anyhow::Result<Vec<Scene>> {
    let all = all();
    if let Some(unknown) = options.scene.iter().find(|name| all.iter().all(|one| one.name != **name)) {
        let names: Vec<_> = all.iter().map(|scene| scene.name).collect();
        bail!("there is no scene {unknown}; there are: {}", names.join(", "));
    }
    let wanted = |one: &Scene| options.scene.is_empty() || options.scene.iter().any(|name| name == one.name);
    Ok(all.into_iter().filter(wanted).collect())
}

/// Run after run; within a run some plays at a time. A run that is broken off leaves what was seen in `json`.
async fn play(
    options: &Options,
    scenes: &[Scene],
    systems: &[System],
    settings: &[Setting],
    json: Option<&ReportFile>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut plays = Vec::new();
    for seed in options.seed..options.seed + options.runs {
        for setting in settings {
            for scene in scenes {
                plays.extend(systems.iter().map(|system| (*scene, system.clone(), *setting, seed)));
            }
        }
    }
    let (mut next, mut playing, mut out) = (plays.into_iter(), JoinSet::new(), anstream::stderr());
    loop {
        while playing.len() < usize::from(options.at_once)
            && let Some((scene, system, setting, seed)) = next.next()
        {
            let title = format!("{}, {}, {}, seed {seed}", scene.name, system.name, setting.name());
            let logs =
                options.logs.as_ref().map(|folder| folder.join(title.replace(", ", "-").replace(' ', "-")));
            // Each on a thread of its own: what stands under a scene panics when it cannot do its duty, and the others go on.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let play = move || runtime.block_on(scene.play(system, setting, seed, logs));
            playing.spawn(async move {
                let played = tokio::task::spawn_blocking(play).await;
                (title, played.map_err(anyhow::Error::from).flatten())
            });
        }
        let Some(ended) = playing.join_next().await else { return Ok(()) };
        let (title, played) = ended?;
        match played {
            Ok(played) => {
                writeln!(
                    out,
                    "{title}: played in {:.1} s",
                    Duration::from_millis(played.took_ms).as_secs_f64()
                )?;
                report.plays.push(played);
            }
            Err(error) => {
                writeln!(out, "{title}: {error:#}")?;
                report.broken.push(format!("{title}: {error:#}"));
            }
        }
        if let Some(file) = json {
            file.write_so_far(&report.json()?)?;
        }
    }
}

async fn server_version() -> anyhow::Result<String> {
    let info: String = RedisServer::start().await.ask(&["INFO", "server"]).await;
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
    let valkey = field("valkey_version:").map(|version| format!("Valkey {version}"));
    let redis = field("redis_version:").map(|version| format!("Redis {version}"));
    Ok(valkey.or(redis).unwrap_or_else(|| "of unknown version".to_owned()))
}
