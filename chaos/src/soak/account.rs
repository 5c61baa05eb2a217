//! What is acknowledged and what is done of it, told from ledgers that grow.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::{BufRead as _, BufReader, Seek as _, SeekFrom},
    path::Path,
};

use ergate_rig::RedisServer;
use serde::de::DeserializeOwned;

use crate::{
    evidence::Evidence,
    ledger::{Answer, Line, Told, What, now_ns},
    stage::Stage,
};

/// How long after it was acknowledged something may be under way; orders wait, and events whose router was told to stop take ten
/// seconds more.
const LATEST_NS: u64 = 60_000_000_000;

/// What is open, and how far the ledgers were read.
#[derive(Debug, Default)]
pub(super) struct Account {
    workers_read: u64,
    producers_read: u64,
    /// What is acknowledged and not done: since when.
    open: HashMap<String, u64>,
    /// What was done before its acknowledgement was read, and orders and jobs that are done since the last two readings.
    done: HashSet<String>,
    done_before: HashSet<String>,
    /// What was begun, by the name of the call.
    begun: HashMap<(String, u64), (String, u64)>,
    acknowledged: u64,
}

/// What a reading found.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) breaches: Vec<String>,
    pub(super) late_p99_ms: f64,
    pub(super) acknowledged: u64,
}

impl Account {
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// What is still open.
    pub(super) fn still_open(&self) -> Vec<String> {
        self.open.keys().take(10).map(|id| format!("{id} was acknowledged and is not done")).collect()
    }

    /// Reads what has been added to the ledgers.
    pub(super) fn read(&mut self, stage: &Stage<RedisServer>) -> std::io::Result<Reading> {
        let mut reading = Reading::default();
        let (mut asked, mut first) = (HashMap::new(), HashMap::new());
        let told: Vec<Told> = rest(&stage.told(), &mut self.producers_read)?;
        for line in rest::<Line>(&stage.ledger(), &mut self.workers_read)? {
            match line.what {
                What::Begin { kind, id, serial, .. } => {
                    first.entry(id.clone()).or_insert(line.ns);
                    if kind != "order" {
                        self.begun.insert((line.member, serial), (id, line.ns));
                    }
                }
                What::End { serial } => {
                    if let Some((id, _)) = self.begun.remove(&(line.member, serial)) {
                        self.settle(id);
                    }
                }
                What::Dropped { serial } => {
                    self.begun.remove(&(line.member, serial));
                }
                What::Step { about, step, .. } if step == "close" => self.settle(about),
                What::Step { .. } => {}
            }
        }
        for line in told.into_iter().filter(|told| told.answer == Answer::Kept && told.kind != "paid") {
            reading.acknowledged += 1;
            if line.kind == "plain" {
                asked.insert(line.id.clone(), line.ns);
            }
            if Evidence::JOBS.contains(&line.kind.as_str())
                || ["pack", "ordered"].contains(&line.kind.as_str())
            {
                let known = self.done.contains(&line.id) || self.done_before.contains(&line.id);
                if !known {
                    self.open.insert(line.id, line.ns);
                }
            }
        }
        self.acknowledged += reading.acknowledged;
        self.done_before = std::mem::take(&mut self.done);

        let mut late: Vec<u64> =
            asked.iter().filter_map(|(id, asked)| Some(first.get(id)?.saturating_sub(*asked))).collect();
        late.sort_unstable();
        let at = late.len().saturating_sub(1) * 99 / 100;
        reading.late_p99_ms = late.get(at).map_or(0.0, |ns| *ns as f64 / 1e6);

        let now = now_ns();
        self.open.retain(|id, since| {
            let lost = now - *since > LATEST_NS;
            if lost {
                reading.breaches.push(format!("{id} was acknowledged a minute ago and is not done"));
            }
            !lost
        });
        Ok(reading)
    }

    fn settle(&mut self, id: String) {
        if self.open.remove(&id).is_none() {
            self.done.insert(id);
        }
    }
}

/// The lines added since `read` bytes were read. Half a line is left for the next time.
fn rest<T: DeserializeOwned>(file: &Path, read: &mut u64) -> std::io::Result<Vec<T>> {
    let mut file = BufReader::new(File::open(file)?);
    file.seek(SeekFrom::Start(*read))?;
    let (mut lines, mut line) = (Vec::new(), String::new());
    while file.read_line(&mut line)? > 0 && line.ends_with('\n') {
        *read += line.len() as u64;
        lines.extend(serde_json::from_str(&line).ok());
        line.clear();
    }
    Ok(lines)
}
