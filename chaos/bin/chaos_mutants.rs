//! Runs the tests of the models, and then all others, with one fault in a script at a time, and lists the faults that none of them
//! finds: see `script/mutants`.

use std::{
    fs,
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use clap::Parser;
use ergate_chaos::mutants::{Mutant, mutants};
use ergate_shared::safety::SOURCE_VARIABLE;

#[derive(Parser)]
#[command(about, version)]
struct Options {
    /// The folder of the scripts.
    #[arg(long, default_value = "lua")]
    lua: PathBuf,
    /// The program of the behaviour tests, built with `unsafe-switches`.
    #[arg(long)]
    tests: PathBuf,
    /// Only those that `--list` shows with this beginning, such as `worker/` or `worker/turn:20:`; may be given several times.
    #[arg(long)]
    of: Vec<String>,
    /// Only each so many-th mutant.
    #[arg(long, default_value_t = 1)]
    every: usize,
    /// Beginning with this one, from 0.
    #[arg(long, default_value_t = 0)]
    from: usize,
    /// Lists them, and runs nothing.
    #[arg(long)]
    list: bool,
    /// How many are tried at the same time; default: as many as there are processors.
    #[arg(long)]
    at_once: Option<usize>,
    /// Seconds after which tests that wait for what does not come are taken for failed; those are told.
    #[arg(long, default_value_t = 120)]
    patience: u64,
    /// What else is run for those that no model finds; as an argument of the tests' program.
    #[arg(long)]
    then: Vec<String>,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let mut out = anstream::stdout();
    let mut all = Vec::new();
    for (path, text) in sources(&options.lua)? {
        all.extend(mutants(&path, &text).into_iter().map(|mutant| (mutant, text.clone())));
    }
    let among = |mutant: &Mutant| {
        options.of.is_empty() || options.of.iter().any(|start| told(mutant).starts_with(start))
    };
    all.retain(|(mutant, _)| among(mutant));
    let chosen: Vec<_> = all.into_iter().skip(options.from).step_by(options.every.max(1)).collect();
    if options.list {
        for (mutant, _) in &chosen {
            writeln!(out, "{}", told(mutant))?;
        }
        writeln!(out, "{} mutants", chosen.len())?;
        return Ok(());
    }
    let at_once =
        options.at_once.or_else(|| thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
    let queue = Queue { all: &chosen, next: AtomicUsize::new(0), survived: AtomicUsize::new(0) };
    thread::scope(|scope| {
        let (options, queue) = (&options, &queue);
        let tries: Vec<_> =
            (0..at_once.max(1)).map(|place| scope.spawn(move || queue.try_each(options, place))).collect();
        tries.into_iter().try_for_each(|tries| tries.join().expect("trying does not panic"))
    })?;
    let survived = queue.survived.into_inner();
    writeln!(out, "{} mutants, {survived} of them found by no test", chosen.len())?;
    Ok(())
}

/// Mutants, each with the text of its script, that are tried side by side.
struct Queue<'a> {
    all: &'a [(Mutant, String)],
    next: AtomicUsize,
    survived: AtomicUsize,
}

impl Queue<'_> {
    /// Tries what is untried, one after the other, and lists what is found by no test.
    fn try_each(&self, options: &Options, place: usize) -> anyhow::Result<()> {
        let file = std::env::temp_dir().join(format!("ergate-mutant-{}-{place}.lua", std::process::id()));
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let Some((mutant, text)) = self.all.get(number) else { break };
            if number > 0 && number.is_multiple_of(50) {
                let survived = self.survived.load(Ordering::Relaxed);
                let all = self.all.len();
                writeln!(
                    anstream::stderr().lock(),
                    "{number} of {all} tried, {survived} of them found by no test"
                )?;
            }
            fs::write(&file, mutant.applied_to(text))?;
            if !finds(options, mutant, &file)? {
                self.survived.fetch_add(1, Ordering::Relaxed);
                writeln!(anstream::stdout().lock(), "{}", told(mutant))?;
            }
        }
        fs::remove_file(&file).or_else(|error| match error.kind() {
            // There were fewer mutants than places.
            ErrorKind::NotFound => Ok(()),
            _ => Err(error.into()),
        })
    }
}

fn told(mutant: &Mutant) -> String {
    let is = if mutant.is.is_empty() { "nothing" } else { mutant.is.trim() };
    format!("{}:{}: {}  ->  {is}", mutant.path, mutant.line, mutant.was.trim())
}

/// Each file under the folder, by its path without the ending.
fn sources(folder: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for part in fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))? {
        let part = part?.path();
        // Beside the folders of scripts there is what explains them.
        for file in part.is_dir().then(|| fs::read_dir(&part)).transpose()?.into_iter().flatten() {
            let file = file?.path();
            let path = file.strip_prefix(folder)?.with_extension("").to_string_lossy().into_owned();
            found.push((path, fs::read_to_string(file)?));
        }
    }
    found.sort();
    ensure!(!found.is_empty(), "there are no scripts in {}", folder.display());
    Ok(found)
}

/// Whether any test fails: first those of the model that plays the script, which take seconds.
fn finds(options: &Options, mutant: &Mutant, file: &Path) -> anyhow::Result<bool> {
    let folder = mutant.path.split('/').next().unwrap_or_default();
    let model = match folder {
        "job" | "worker" | "queue" => "model::jobs",
        "event" | "run" => "model::runs",
        "registry" => "model::registry",
        "schedule" => "model::schedules",
        _ => "model::",
    };
    if fails(options, mutant, file, &[model])? {
        return Ok(true);
    }
    let others: Vec<&str> = options.then.iter().map(String::as_str).collect();
    Ok(!others.is_empty() && fails(options, mutant, file, &others)?)
}

fn fails(options: &Options, mutant: &Mutant, file: &Path, arguments: &[&str]) -> anyhow::Result<bool> {
    let mut running = Command::new(&options.tests)
        .args(arguments)
        .env(SOURCE_VARIABLE, format!("{}={}", mutant.path, file.display()))
        .envs([("ERGATE_MODEL_SEED", "1"), ("ERGATE_MODEL_SHRINK", "0")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("{} cannot be run", options.tests.display()))?;
    let begun = Instant::now();
    loop {
        if let Some(status) = running.try_wait()? {
            return Ok(!status.success());
        }
        if begun.elapsed() > Duration::from_secs(options.patience) {
            running.kill()?;
            running.wait()?;
            writeln!(anstream::stderr(), "found, as tests hang: {}", told(mutant))?;
            return Ok(true);
        }
        thread::sleep(Duration::from_millis(50));
    }
}
