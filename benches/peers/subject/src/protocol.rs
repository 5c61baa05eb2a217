//! Command line, lines in and lines out.

use std::{io::BufRead, thread};

use clap::{Args, Parser, ValueEnum};
use serde::Serialize;
use tokio::sync::mpsc;

/// What the driver starts a subject as.
#[derive(Debug, Parser)]
pub(crate) enum Command {
    /// Add jobs, report how long that took, and end.
    Add(Add),
    /// Work until standard input closes.
    Work(Work),
}

#[derive(Debug, Args)]
pub(crate) struct Add {
    #[arg(long)]
    pub(crate) redis: String,
    #[arg(long)]
    pub(crate) mode: Mode,
    /// Jobs that are timed.
    #[arg(long)]
    pub(crate) jobs: usize,
    /// Jobs added before, so that connections, scripts and compilers are warm.
    #[arg(long, default_value_t = 0)]
    pub(crate) warmup: usize,
    /// Tasks that add at the same time, in mode `concurrent`.
    #[arg(long, default_value_t = 100)]
    pub(crate) tasks: usize,
    /// Jobs handed over by one call, in mode `bulk`.
    #[arg(long, default_value_t = 1000)]
    pub(crate) chunk: usize,
    /// Time between two jobs, in mode `paced`.
    #[arg(long, default_value_t = 20)]
    pub(crate) every_ms: u64,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Mode {
    /// The system's way to add many at once.
    Bulk,
    /// Many tasks, each adding one job after the other.
    Concurrent,
    /// One job after the other.
    Single,
    /// One job each so many milliseconds, stamped.
    Paced,
    /// Due half a second to one and a half seconds from now, stamped.
    Delayed,
}

#[derive(Debug, Args)]
pub(crate) struct Work {
    #[arg(long)]
    pub(crate) redis: String,
    #[arg(long)]
    pub(crate) slots: usize,
    /// Start with a closed gate: a handler waits until the driver lets it pass.
    #[arg(long)]
    pub(crate) gated: bool,
}

/// What the driver says to a running subject.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Start,
    Pass(usize),
    Wait(u64),
    Report,
}

impl Request {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let (verb, number) = (words.next()?, words.next());
        match (verb, number) {
            ("start", None) => Some(Self::Start),
            ("report", None) => Some(Self::Report),
            ("pass", Some(jobs)) => jobs.parse().ok().map(Self::Pass),
            ("wait", Some(jobs)) => jobs.parse().ok().map(Self::Wait),
            _ => None,
        }
    }
}

/// What a subject answers, one line of JSON each.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Reply {
    Ready { keeps: Option<u64> },
    Added { jobs: usize, seconds: f64, first_us: u64 },
    Waited { done: u64, first_us: u64, last_us: u64 },
    Report { done: u64, pickup_ms: Vec<f64>, late_ms: Vec<f64> },
}

impl Reply {
    pub(crate) fn send(&self) {
        let line = serde_json::to_string(self).expect("a reply has only numbers and text");
        println!("{line}");
    }
}

/// Reads requests on a thread of its own. The process ends with its standard input: a subject never outlives its driver.
pub(crate) fn requests() -> mpsc::UnboundedReceiver<Request> {
    let (sender, receiver) = mpsc::unbounded_channel();
    thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            match Request::parse(&line) {
                Some(request) => _ = sender.send(request),
                None => eprintln!("not a request: {line}"),
            }
        }
        std::process::exit(0);
    });
    receiver
}
