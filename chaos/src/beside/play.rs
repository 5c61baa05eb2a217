//! One scene on one system: its server, its workers, its ledger, what was done and what was seen.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::bail;
use beside::{Found, Line, What, now_us, read};
use ergate_rig::{Process, RedisServer};
use fastrand::Rng;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::{Setting, System};

const LOOKS_EVERY: Duration = Duration::from_millis(500);
const READS_EVERY: Duration = Duration::from_millis(10);

/// Something that was seen.
#[derive(Debug, Clone, Serialize)]
pub struct Fact {
    /// What was looked for.
    pub of: String,
    /// What was seen.
    pub seen: String,
}

/// What came out of a scene.
#[derive(Debug, Clone, Serialize)]
pub struct Played {
    /// The scene.
    pub scene: String,
    /// The system.
    pub system: String,
    /// How its workers were set up.
    pub setting: String,
    /// What decided the moments.
    pub seed: u64,
    /// How long it took.
    pub took_ms: u64,
    /// What was done, with the moments.
    pub done: Vec<String>,
    /// What was seen.
    pub facts: Vec<Fact>,
    /// The longest that a thread which was due had to wait.
    pub stall_ms: u64,
}

/// A scene while it is played.
#[derive(Debug)]
pub struct Play {
    /// The system.
    pub system: System,
    /// How its workers are set up.
    pub setting: Setting,
    /// Decides the moments.
    pub chance: Rng,
    /// The server.
    pub server: RedisServer,
    /// What was done.
    pub done: Vec<String>,
    /// What was seen.
    pub facts: Vec<Fact>,
    folder: PathBuf,
    /// The output of workers that are gone, to be kept.
    logs: Option<PathBuf>,
}

/// A worker process.
#[derive(Debug)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// The process.
    pub process: Process,
    log: Option<PathBuf>,
}

impl Play {
    /// Makes a folder for the ledger. What the workers write to standard output and error goes into `logs`.
    ///
    /// # Errors
    /// Errors of the file system.
    pub fn new(
        system: System,
        setting: Setting,
        server: RedisServer,
        seed: u64,
        logs: Option<PathBuf>,
    ) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("ergate-beside-{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir(&folder)?;
        if let Some(logs) = &logs {
            fs::create_dir_all(logs)?;
        }
        let chance = Rng::with_seed(seed);
        Ok(Self { system, setting, chance, server, done: Vec::new(), facts: Vec::new(), folder, logs })
    }

    /// A duration from the seed, in ms.
    pub fn between(&mut self, least_ms: u64, most_ms: u64) -> Duration {
        Duration::from_millis(self.chance.u64(least_ms..=most_ms))
    }

    /// Notes what is done.
    pub fn did(&mut self, what: impl Into<String>) {
        self.done.push(what.into());
    }

    /// Notes what was seen.
    pub fn saw(&mut self, of: impl Into<String>, seen: impl Into<String>) {
        self.facts.push(Fact { of: of.into(), seen: seen.into() });
    }

    /// Adds jobs of so many ticks, acknowledged when it returns. They are called `name0`, `name1` and so on.
    ///
    /// # Errors
    /// What the system reports.
    pub async fn add(&self, name: &str, number: usize, ticks: u32) -> anyhow::Result<Vec<String>> {
        let ids: Vec<_> = (0..number).map(|number| format!("{name}{number}")).collect();
        self.system.add(&self.server.url(), &ids, ticks, false).await?;
        Ok(ids)
    }

    /// Starts a worker, and returns once it has connected.
    ///
    /// # Errors
    /// If it does not within a minute.
    pub async fn worker(&self, name: &str, redis: &str, slots: usize) -> anyhow::Result<Member> {
        let mut command = self.system.worker(redis, name, slots, self.setting);
        command.arg("--ledger").arg(self.ledger());
        let log = self.logs.as_ref().map(|logs| logs.join(format!("{name}.log")));
        let mut member = Member { name: name.to_owned(), process: Process::start(&mut command), log };
        let since = Instant::now();
        while !member.process.output().contains("\"ready\"") {
            if member.process.ended().is_some() || since.elapsed() > Duration::from_secs(60) {
                bail!("worker {name} did not begin to work:\n{}", member.process.output());
            }
            sleep(READS_EVERY).await;
        }
        Ok(member)
    }

    /// Waits until the ledger has something, and returns it; `None` if it has not when the time is over.
    pub async fn until<T>(&self, limit: Duration, find: impl Fn(&[Line]) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(found) = find(&self.lines()) {
                return Some(found);
            }
            if Instant::now() > deadline {
                return None;
            }
            sleep(READS_EVERY).await;
        }
    }

    /// As [`until`](Self::until), of what has to come for the scene to go on.
    ///
    /// # Errors
    /// If it does not come.
    pub async fn insist<T>(&self, what: &str, find: impl Fn(&[Line]) -> Option<T>) -> anyhow::Result<T> {
        match self.until(self.setting.patience(), find).await {
            Some(found) => Ok(found),
            None => bail!("not seen within {} s: {what}", self.setting.patience().as_secs()),
        }
    }

    /// Looks at these jobs until all have ended or the time is over. Returns what was found last, and when all had ended.
    ///
    /// # Errors
    /// What the system reports.
    pub async fn ended(&self, ids: &[String], limit: Duration) -> anyhow::Result<(Vec<Found>, Option<u64>)> {
        let deadline = Instant::now() + limit;
        loop {
            let (asked_us, found) = (now_us(), self.system.look(&self.server.url(), ids).await?);
            if found.iter().all(|job| job.ended) {
                return Ok((found, Some(asked_us)));
            }
            if Instant::now() > deadline {
                return Ok((found, None));
            }
            sleep(LOOKS_EVERY).await;
        }
    }

    /// All that handlers have noted so far.
    pub fn lines(&self) -> Vec<Line> {
        read(&self.ledger())
    }

    fn ledger(&self) -> PathBuf {
        self.folder.join("ledger")
    }
}

impl Drop for Play {
    fn drop(&mut self) {
        if let Some(logs) = &self.logs {
            let _ = fs::copy(self.ledger(), logs.join("ledger"));
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Some(log) = self.log.as_deref().map(Path::to_owned) {
            let _ = fs::write(log, self.process.output());
        }
    }
}

/// When handlers of these jobs began, in order; of one worker or of all.
pub fn begins(lines: &[Line], ids: &[String], member: Option<&str>) -> Vec<u64> {
    lines
        .iter()
        .filter(|line| matches!(line.what, What::Begin { .. }) && ids.contains(&line.id))
        .filter(|line| member.is_none_or(|member| line.member == member))
        .map(|line| line.at_us)
        .collect()
}

/// When something happened to a call of this job on this worker.
pub fn happened(lines: &[Line], id: &str, member: &str, what: &What) -> Option<u64> {
    lines
        .iter()
        .find(|line| line.id == id && line.member == member && line.what == *what)
        .map(|line| line.at_us)
}

/// How often a handler was called for each of these jobs: `1 of 8 twice` and the like.
pub fn calls(lines: &[Line], ids: &[String]) -> String {
    let times = |id: &String| begins(lines, std::slice::from_ref(id), None).len();
    let counts: Vec<_> = ids.iter().map(times).collect();
    let mut kinds = counts.clone();
    kinds.sort_unstable();
    kinds.dedup();
    let say = |kind: &usize| {
        let number = counts.iter().filter(|count| *count == kind).count();
        format!("{number} of {}: {kind}×", ids.len())
    };
    kinds.iter().map(say).collect::<Vec<_>>().join(", ")
}

/// The longest time in which two calls were at work on one of these jobs at once. What has not ended is taken for at work.
pub fn at_once(lines: &[Line], ids: &[String], now_us: u64) -> String {
    let over = |begin: &Line| {
        lines
            .iter()
            .find(|line| {
                line.member == begin.member
                    && line.call == begin.call
                    && matches!(line.what, What::End | What::Dropped)
            })
            .map_or(now_us, |line| line.at_us)
    };
    let mut longest = 0;
    for id in ids {
        let begun = lines.iter().filter(|line| line.id == *id && matches!(line.what, What::Begin { .. }));
        let calls: Vec<_> = begun.map(|begin| (begin.at_us, over(begin))).collect();
        for (number, (_, ended)) in calls.iter().enumerate() {
            for (later, later_ended) in &calls[number + 1..] {
                longest = longest.max(ended.min(later_ended).saturating_sub(*later));
            }
        }
    }
    if longest == 0 {
        "never".to_owned()
    } else {
        format!("for {:.1} s", Duration::from_micros(longest).as_secs_f64())
    }
}

/// The states of jobs, why they failed, and how many are in each: `7 completed, 1 failed (no memory)`.
pub fn states(found: &[Found]) -> String {
    let state = |job: &Found| match &job.reason {
        // A job that completed in the end may have failed before.
        Some(reason) if job.ended && job.result.is_none() => format!("{} ({reason})", job.state),
        _ => job.state.clone(),
    };
    let all: Vec<_> = found.iter().map(state).collect();
    let mut kinds = all.clone();
    kinds.sort_unstable();
    kinds.dedup();
    let say = |kind: &String| format!("{} {kind}", all.iter().filter(|state| *state == kind).count());
    kinds.iter().map(say).collect::<Vec<_>>().join(", ")
}

/// What a system counted, without what is zero.
pub fn counts(counts: &serde_json::Value) -> String {
    let all = counts.as_object().into_iter().flatten();
    let some: Vec<_> =
        all.filter(|(_, number)| **number != 0).map(|(name, number)| format!("{name} {number}")).collect();
    if some.is_empty() { "none".to_owned() } else { some.join(", ") }
}

/// Seconds from one moment to another, or how long was waited in vain.
pub fn after(since_us: u64, seen_us: Option<u64>, limit: Duration) -> String {
    match seen_us {
        Some(seen) => format!("{:.1} s", Duration::from_micros(seen.saturating_sub(since_us)).as_secs_f64()),
        None => format!("not within {} s", limit.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(at_us: u64, member: &str, id: &str, what: What) -> Line {
        Line { at_us, member: member.to_owned(), id: id.to_owned(), call: 0, what }
    }

    fn begin(at_us: u64, member: &str, id: &str) -> Line {
        line(at_us, member, id, What::Begin { counts: json!({}) })
    }

    fn found(state: &str, result: Option<&str>, reason: Option<&str>) -> Found {
        Found {
            id: "a".to_owned(),
            state: state.to_owned(),
            ended: true,
            result: result.map(str::to_owned),
            reason: reason.map(str::to_owned),
            counts: json!({}),
        }
    }

    #[test]
    fn a_ledger_says_how_often_each_job_was_called_and_by_whom() {
        let lines =
            [begin(1, "x", "a"), begin(2, "x", "b"), line(3, "x", "a", What::End), begin(4, "y", "a")];
        let ids = ["a", "b", "c"].map(str::to_owned);

        assert_eq!(calls(&lines, &ids), "1 of 3: 0×, 1 of 3: 1×, 1 of 3: 2×");
        assert_eq!(begins(&lines, &ids, Some("y")), [4]);
        assert_eq!(happened(&lines, "a", "x", &What::End), Some(3));
    }

    #[test]
    fn two_calls_at_work_at_once_are_seen() {
        let ids = ["a".to_owned()];
        let (second, third) = (1_000_000, 3_000_000);
        let mut lines =
            vec![begin(0, "x", "a"), line(second, "x", "a", What::Dropped), begin(second, "y", "a")];
        assert_eq!(at_once(&lines, &ids, third), "never");

        lines[1].at_us = 2_500_000;
        assert_eq!(at_once(&lines, &ids, third), "for 1.5 s");
    }

    #[test]
    fn a_job_that_failed_says_why_and_one_that_did_after_all_does_not() {
        let jobs = [found("completed", Some("x:0"), Some("once")), found("failed", None, Some("stalled"))];

        assert_eq!(states(&jobs), "1 completed, 1 failed (stalled)");
    }

    #[test]
    fn what_was_counted_is_told_without_what_is_zero() {
        assert_eq!(counts(&json!({ "failures": 0, "crashes": 2 })), "crashes 2");
        assert_eq!(counts(&json!({ "failures": 0 })), "none");
    }

    #[test]
    fn what_was_not_seen_says_how_long_was_waited() {
        assert_eq!(after(1_000_000, Some(2_500_000), Duration::from_secs(9)), "1.5 s");
        assert_eq!(after(1_000_000, None, Duration::from_secs(9)), "not within 9 s");
    }
}
