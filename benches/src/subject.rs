//! A system under test: its program, and the conversation with it. The lines are described in `benches/README.md`.

use std::{collections::HashMap, process::Stdio, time::Duration};

use anyhow::{Context, bail};
use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    task::JoinHandle,
    time::timeout,
};

use crate::size::{PACE, SLOTS, TASKS};

/// How long a subject may take to connect and warm up, or to answer a question that needs no work.
const PATIENCE: Duration = Duration::from_secs(60);

/// A system's name and the program that drives it.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(crate) name: String,
    command: Vec<String>,
}

impl Subject {
    /// Reads `NAME=PROGRAM ARGUMENT…`; words are divided by spaces.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (name, command) = text.split_once('=').ok_or("expected NAME=COMMAND")?;
        let command: Vec<_> = command.split_whitespace().map(str::to_owned).collect();
        if command.is_empty() {
            return Err(format!("`{name}` has no command"));
        }
        Ok(Self { name: name.to_owned(), command })
    }

    /// Runs a program that measures something by itself and ends with its figures as a line of JSON.
    ///
    /// # Errors
    ///
    /// Fails if it does not end in time, or not well.
    pub(crate) async fn figures(
        &self,
        redis: &str,
        arguments: &[&str],
        patience: Duration,
    ) -> anyhow::Result<HashMap<String, f64>> {
        let (program, fixed) = self.command.split_first().context("a program has a command")?;
        let mut command = Command::new(program);
        command.args(fixed).args(["--redis", redis]).args(arguments);
        command.stderr(Stdio::inherit()).kill_on_drop(true).env("RUST_BACKTRACE", "0");
        let Ok(output) = timeout(patience, command.output()).await else {
            bail!("`{}` does not end within {} s", arguments.join(" "), patience.as_secs());
        };
        let output = output.with_context(|| format!("starting {program}"))?;
        anyhow::ensure!(output.status.success(), "`{}`: {}", arguments.join(" "), output.status);
        serde_json::from_slice(&output.stdout).context("reading figures")
    }

    /// Starts a process that adds jobs; returns when it is connected and has added `warmup` jobs.
    pub(crate) async fn add(
        &self,
        redis: &str,
        mode: &str,
        jobs: usize,
        warmup: usize,
    ) -> anyhow::Result<Adder> {
        let (jobs, warmup) = (jobs.to_string(), warmup.to_string());
        let (tasks, pace) = (TASKS.to_string(), PACE.as_millis().to_string());
        let mut arguments =
            vec!["add", "--redis", redis, "--mode", mode, "--jobs", &jobs, "--warmup", &warmup];
        arguments.extend(["--tasks", &tasks, "--every-ms", &pace]);
        let mut talk = Talk::start(self, &arguments)?;
        talk.ready().await?;
        Ok(Adder { talk })
    }

    /// Starts a worker; returns when it is connected. It leases nothing before [`Worker::start`].
    pub(crate) async fn work(&self, redis: &str, gated: bool) -> anyhow::Result<Worker> {
        let slots = SLOTS.to_string();
        let mut arguments = vec!["work", "--redis", redis, "--slots", &slots];
        arguments.extend(gated.then_some("--gated"));
        let mut talk = Talk::start(self, &arguments)?;
        let keeps = talk.ready().await?;
        Ok(Worker { talk, keeps })
    }
}

/// A process that adds jobs.
#[derive(Debug)]
pub(crate) struct Adder {
    talk: Talk,
}

/// What an adder did.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Added {
    pub(crate) seconds: f64,
    /// When it began, in microseconds since the epoch.
    pub(crate) first_us: f64,
}

impl Adder {
    /// Adds the jobs, and returns when the process has ended.
    pub(crate) async fn run(mut self, patience: Duration) -> anyhow::Result<Added> {
        self.talk.say("start").await?;
        let reply = self.talk.hear(patience).await?;
        let Reply::Added(added) = reply else { bail!("expected `added`, got {reply:?}") };
        self.talk.end().await?;
        Ok(added)
    }
}

/// A worker process.
#[derive(Debug)]
pub(crate) struct Worker {
    talk: Talk,
    keeps: Option<u64>,
}

/// When a worker's handlers ran, in microseconds since the epoch.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Waited {
    pub(crate) first_us: f64,
    pub(crate) last_us: f64,
}

/// What a worker measured since the last report.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Report {
    /// Jobs since the process started.
    pub(crate) done: u64,
    pub(crate) pickup_ms: Vec<f64>,
    pub(crate) late_ms: Vec<f64>,
}

impl Worker {
    /// How many completed jobs the system keeps by default; `None` is all.
    pub(crate) fn keeps(&self) -> Option<u64> {
        self.keeps
    }

    pub(crate) fn pid(&self) -> u32 {
        self.talk.child.id().unwrap_or_default()
    }

    pub(crate) async fn start(&mut self) -> anyhow::Result<()> {
        self.talk.say("start").await
    }

    /// Lets this many more handlers of a gated worker pass.
    pub(crate) async fn pass(&mut self, jobs: usize) -> anyhow::Result<()> {
        self.talk.say(&format!("pass {jobs}")).await
    }

    /// Waits until the worker has done `jobs` since it started.
    ///
    /// # Errors
    ///
    /// Fails, saying how far the worker came, when patience ends.
    pub(crate) async fn wait(&mut self, jobs: usize, patience: Duration) -> anyhow::Result<Waited> {
        match self.wait_or_report(jobs, patience).await? {
            Ok(waited) => Ok(waited),
            Err(report) => {
                bail!("stalled: {} of {jobs} jobs done after {} s", report.done, patience.as_secs())
            }
        }
    }

    /// Waits like [`Worker::wait`]; when patience ends, yields a report instead.
    pub(crate) async fn wait_or_report(
        &mut self,
        jobs: usize,
        patience: Duration,
    ) -> anyhow::Result<Result<Waited, Report>> {
        self.talk.say(&format!("wait {jobs}")).await?;
        let Ok(reply) = timeout(patience, self.talk.hear(patience * 2)).await else {
            return self.report().await.map(Err);
        };
        match reply? {
            Reply::Waited(waited) => Ok(Ok(waited)),
            other => bail!("expected `waited`, got {other:?}"),
        }
    }

    pub(crate) async fn report(&mut self) -> anyhow::Result<Report> {
        self.talk.say("report").await?;
        loop {
            match self.talk.hear(PATIENCE).await? {
                Reply::Report(report) => return Ok(report),
                // The answer to a wait that was given up in the same moment.
                Reply::Waited(_) => {}
                other => bail!("expected `report`, got {other:?}"),
            }
        }
    }

    /// Ends the process; what it held stays as it is.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.talk.end().await
    }
}

/// One line of a subject.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Reply {
    Ready { keeps: Option<u64> },
    Added(Added),
    Waited(Waited),
    Report(Report),
}

#[derive(Debug)]
struct Talk {
    name: String,
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    complaint: JoinHandle<Option<String>>,
}

impl Talk {
    fn start(subject: &Subject, arguments: &[&str]) -> anyhow::Result<Self> {
        let (program, fixed) = subject.command.split_first().context("a subject has a command")?;
        let mut child = Command::new(program)
            .args(fixed)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            // A reason is shown, not where in the subject it came up.
            .env("RUST_BACKTRACE", "0")
            .spawn()
            .with_context(|| format!("starting {program}"))?;
        let stdin = child.stdin.take().context("standard input is piped")?;
        let stdout = child.stdout.take().context("standard output is piped")?;
        let stderr = child.stderr.take().context("standard error is piped")?;
        let complaint = tokio::spawn(complaint(stderr));
        Ok(Self {
            name: subject.name.clone(),
            child,
            stdin,
            lines: BufReader::new(stdout).lines(),
            complaint,
        })
    }

    async fn ready(&mut self) -> anyhow::Result<Option<u64>> {
        match self.hear(PATIENCE).await? {
            Reply::Ready { keeps } => Ok(keeps),
            other => bail!("expected `ready`, got {other:?}"),
        }
    }

    async fn say(&mut self, line: &str) -> anyhow::Result<()> {
        let text = format!("{line}\n");
        self.stdin.write_all(text.as_bytes()).await.with_context(|| format!("{} does not listen", self.name))
    }

    async fn hear(&mut self, patience: Duration) -> anyhow::Result<Reply> {
        let Ok(line) = timeout(patience, self.lines.next_line()).await else {
            bail!("{} does not answer within {} s", self.name, patience.as_secs());
        };
        let Some(line) = line? else {
            let status = self.child.wait().await?;
            let complaint = (&mut self.complaint).await.ok().flatten();
            bail!("ended early: {}", complaint.unwrap_or_else(|| status.to_string()));
        };
        serde_json::from_str(&line).with_context(|| format!("{} says `{line}`", self.name))
    }

    /// A subject ends with its standard input.
    async fn end(self) -> anyhow::Result<()> {
        let Self { name, mut child, stdin, lines, .. } = self;
        drop((stdin, lines));
        if timeout(PATIENCE, child.wait()).await.is_err() {
            child.kill().await.with_context(|| format!("ending {name}"))?;
        }
        Ok(())
    }
}

/// Passes standard error on and keeps its first line: a subject says why it ends and then, perhaps, where.
async fn complaint(stderr: ChildStderr) -> Option<String> {
    let mut lines = BufReader::new(stderr).lines();
    let mut first = None;
    while let Ok(Some(line)) = lines.next_line().await {
        eprintln!("    {line}");
        first = first.or(Some(line));
    }
    first
}
