//! All that a run has done, step by step.

use ergate_shared::{
    EventRecord, FailureRecord, FunctionName, JobId, Parent, RerunOf, RunInput,
    run::{Entry, RunState, StepTrace, trace},
};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{RunHandle, view::ended_at};
use crate::Error;

/// A run and all it has done. As JSON it has results and inputs to the letter, and times in ms since the epoch.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct RunTrace {
    /// Its function.
    pub function: FunctionName,
    /// Its id.
    pub id: JobId,
    /// The state it is in.
    pub state: RunState,
    /// What it was started with; none for a payload this release cannot read.
    pub events: Vec<EventRecord>,
    /// The run that invoked it and waits, or waited, for its result.
    pub parent: Option<Parent>,
    /// The run it repeats.
    pub rerun_of: Option<RerunOf>,
    /// The version of the function it is of; 0 if nobody said.
    pub version: u32,
    /// When it was started, in ms since the epoch.
    pub started_at: u64,
    /// When it ended, likewise; `None` if it has not.
    pub ended_at: Option<u64>,
    /// When it goes on by itself, likewise; `None` if it does not sleep or wait.
    pub due_at: Option<u64>,
    /// Redis' clock when this was read, likewise.
    pub now: u64,
    /// Its steps, in the order in which they began.
    pub steps: Vec<StepTrace>,
    /// Its journal as it is kept. With it, what this is as JSON is a [`RecordedRun`](ergate_shared::run::RecordedRun) too.
    pub journal: Vec<Entry>,
    /// What it returned.
    pub result: Option<Box<RawValue>>,
    /// Why it was cancelled.
    pub reason: Option<String>,
    /// The failure that ended it, or the last one of its code.
    pub failure: Option<FailureRecord>,
    /// The worker that executes it.
    pub worker: Option<String>,
}

impl RunHandle {
    /// All that it has done: each step with its attempts, times, input where that is known, output or error, and what it waits
    /// for. Reads the whole journal, up to 32 MiB.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it does not exist, or was trimmed after it ended.
    pub async fn trace(&self) -> Result<RunTrace, Error> {
        let view = self.job.get().await?;
        let journal = self.journal().await?;
        let now = self.redis().now_ms();
        let state = RunState::of(view.state, journal.len());
        let input = view.payload::<RunInput>().ok();
        let record = view.record.as_ref().ok();
        let (events, rerun_of, version) =
            input.map_or_else(Default::default, |input| (input.events, input.rerun_of, input.version));
        let ended_at = ended_at(&view);
        let detail = view.outcome.map(|outcome| outcome.detail);
        let is_completed = state == RunState::Completed;
        Ok(RunTrace {
            function: self.function.clone(),
            id: self.id().clone(),
            state,
            events,
            parent: record.and_then(|record| record.options.parent.clone()),
            rerun_of,
            version,
            started_at: record.map_or(0, |record| record.enqueued_at),
            ended_at,
            due_at: view.at.filter(|_| ended_at.is_none()),
            now,
            steps: trace(&journal, now, ended_at),
            journal: journal.entries().to_vec(),
            result: detail
                .as_deref()
                .filter(|_| is_completed)
                .and_then(|text| RawValue::from_string(text.to_owned()).ok()),
            reason: detail.filter(|_| !is_completed),
            failure: view.failure,
            worker: view.worker,
        })
    }
}
