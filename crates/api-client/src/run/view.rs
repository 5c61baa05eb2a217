//! What is known of one run without reading its whole journal.

use ergate_shared::{
    FailureRecord, FunctionName, JobId, JobState, RerunOf, RunInput,
    run::{LastStep, Pending, RunState, Tail, TailEntry},
    script,
};
use serde_json::{Value, json};

use super::RunHandle;
use crate::{Error, JobView, Queue};

/// Entries of each journal that are looked at, and the most bytes of one: enough for what goes on side by side, and for every
/// entry but large results.
const LAST_ENTRIES: u32 = 8;
const LONGEST_ENTRY: u32 = 4096;

/// A run as a list has it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RunView {
    /// Its function.
    pub function: FunctionName,
    /// Its id.
    pub id: JobId,
    /// The state it is in.
    pub state: RunState,
    /// When it was started, in ms since the epoch; 0 for a record this release cannot read.
    pub started_at: u64,
    /// When it ended, likewise; `None` if it has not.
    pub ended_at: Option<u64>,
    /// When it goes on by itself, likewise; `None` if it does not sleep or wait.
    pub due_at: Option<u64>,
    /// How many entries its journal has.
    pub entries: u32,
    /// The step it was last heard of; `None` if it has done none.
    pub last_step: Option<LastStep>,
    /// What it waits for, the soonest first, as far as its last entries tell.
    pub waits_for: Vec<Pending>,
    /// The run it repeats.
    pub rerun_of: Option<RerunOf>,
    /// The job it is.
    pub job: JobView,
}

impl RunView {
    pub(super) fn new(function: FunctionName, job: JobView, tail: &Tail, now: u64) -> Self {
        let state = RunState::of(job.state, tail.count);
        let ended_at = ended_at(&job);
        let input = job.payload::<RunInput>().ok();
        Self {
            function,
            id: job.id.clone(),
            state,
            started_at: job.record.as_ref().map_or(0, |record| record.enqueued_at),
            ended_at,
            due_at: job.at.filter(|_| job.state == JobState::Scheduled),
            entries: tail.count,
            last_step: tail.last_step(),
            waits_for: if ended_at.is_none() { tail.pending(now) } else { Vec::new() },
            rerun_of: input.and_then(|input| input.rerun_of),
            job,
        }
    }

    /// The failure that ended it, or the last one of its code.
    pub fn failure(&self) -> Option<&FailureRecord> {
        self.job.failure.as_ref()
    }

    /// When it ended or, if it has not, when it was started: what periods go by. In ms since the epoch.
    pub fn at(&self) -> u64 {
        self.ended_at.unwrap_or(self.started_at)
    }

    /// Everything but what it was started with and its result, as JSON; times in ms since the epoch.
    pub fn to_json(&self) -> Value {
        json!({
            "function": self.function,
            "id": self.id,
            "state": self.state,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "due_at": self.due_at,
            "entries": self.entries,
            "last_step": self.last_step,
            "waits_for": self.waits_for,
            "rerun_of": self.rerun_of,
            "worker": self.job.worker,
            "failure": self.job.failure,
        })
    }
}

/// When a job ended, in ms since the epoch.
pub(super) fn ended_at(job: &JobView) -> Option<u64> {
    job.outcome.as_ref().map(|outcome| outcome.at).or(job.at.filter(|_| job.state == JobState::Dead))
}

impl RunHandle {
    /// What is known of it, without all that it has done.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it does not exist, or was trimmed after it ended.
    pub async fn get(&self) -> Result<RunView, Error> {
        let job = self.job.get().await?;
        let views = views(self.job.queue(), &self.function, vec![job]).await?;
        views
            .into_iter()
            .next()
            .ok_or_else(|| Error::NotFound { queue: self.job.queue().name().clone(), id: self.id().clone() })
    }
}

/// Looks at the journals of runs, all of one function.
pub(super) async fn views(
    queue: &Queue,
    function: &FunctionName,
    jobs: Vec<JobView>,
) -> Result<Vec<RunView>, Error> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let redis = queue.client().redis();
    let mut call = script::RUN_TAIL.on(queue.keys()).number(LAST_ENTRIES).number(LONGEST_ENTRY);
    for job in &jobs {
        call.push(job.id.as_str());
    }
    let tails: Vec<Vec<redis::Value>> = redis.run(&call).await?;
    let now = redis.now_ms();
    let view = |(job, tail)| Ok(RunView::new(function.clone(), job, &read(tail)?, now));
    jobs.into_iter().zip(tails).map(view).collect()
}

/// Reads a count, then number, text and mark of each entry.
fn read(told: Vec<redis::Value>) -> Result<Tail, Error> {
    let wrong = |error: redis::ParsingError| ergate_shared::Error::Reply {
        script: "run/tail",
        reply: error.to_string(),
    };
    let mut told = told.into_iter();
    let mut tail = Tail::default();
    let Some(count) = told.next() else { return Ok(tail) };
    tail.count = redis::from_redis_value(count).map_err(wrong)?;
    while let (Some(number), Some(text), Some(mark)) = (told.next(), told.next(), told.next()) {
        let text: Vec<u8> = redis::from_redis_value(text).map_err(wrong)?;
        let mark: String = redis::from_redis_value(mark).map_err(wrong)?;
        tail.entries.push(TailEntry {
            number: redis::from_redis_value(number).map_err(wrong)?,
            // The text may have been cut within a character.
            text: String::from_utf8_lossy(&text).into_owned(),
            is_open: mark == "1",
        });
    }
    Ok(tail)
}
