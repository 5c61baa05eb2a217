//! Starting over: a new run with what another was started with, from the beginning or from one of its steps.

use std::{
    future::IntoFuture,
    pin::Pin,
    sync::atomic::{AtomicU32, Ordering},
};

use ergate_shared::{
    JobId, JobOptions, JobRecord, Lane, RerunOf, RunInput, UniqueScope,
    function::is_reserved,
    run::{CopiedEntry, before},
    script,
};
use serde::Serialize;
use serde_json::Value;

use super::RunHandle;
use crate::{Error, JobHandle, coalesce::until_answered};

/// A new run about to be started in place of another: set options, then `.await` it. Nothing happens before.
///
/// The new run has an id of its own, and with it other idempotency keys; the other run stays as it is, whatever its state. If it
/// was invoked by a third one, that hears nothing of the new run.
#[derive(Debug)]
#[must_use = "a run is started when this is awaited"]
pub struct Rerun {
    run: RunHandle,
    from: Option<String>,
    data: Option<Result<Value, serde_json::Error>>,
    id: Option<Result<JobId, ergate_shared::Error>>,
}

impl RunHandle {
    /// Starts a new run of the function with the events this one was started with.
    ///
    /// ```no_run
    /// # async fn example(client: ergate_client::Client) -> Result<(), ergate_client::Error> {
    /// let failed = client.run("onboard", "01KB3Y6W8Q4V9T2N5R7C1D0F3G")?;
    ///
    /// let again = failed.rerun().from("charge").data(&serde_json::json!({ "user": 8 })).await?;
    /// println!("run {}", again.id());
    /// # Ok(())
    /// # }
    /// ```
    pub fn rerun(&self) -> Rerun {
        Rerun { run: self.clone(), from: None, data: None, id: None }
    }
}

impl Rerun {
    /// Does only this step and what comes after it again; default everything.
    ///
    /// What was done before that step first said anything is copied from the journal. A step before it that is still under way,
    /// or failed, is not copied but done again; a sleep goes on until the same time.
    pub fn from(mut self, step: impl Into<String>) -> Self {
        self.from = Some(step.into());
        self
    }

    /// Gives its event other data; default: what the other run was given.
    pub fn data(mut self, data: &impl Serialize) -> Self {
        self.data = Some(serde_json::to_value(data));
        self
    }

    /// Sets the new run's id, so that the same is not started twice; default: one that nobody else has.
    pub fn id(mut self, id: impl AsRef<str>) -> Self {
        self.id = Some(JobId::new(id));
        self
    }

    /// Starts it unless there is a run with its id: `None` then, and nothing has changed.
    ///
    /// # Errors
    /// As `.await`.
    pub async fn unless_there(self) -> Result<Option<RunHandle>, Error> {
        let (run, is_new) = self.start().await?;
        Ok(is_new.then_some(run))
    }

    /// The run, and whether it was not there before.
    async fn start(self) -> Result<(RunHandle, bool), Error> {
        let Self { run, from, data, id } = self;
        let id = id.transpose()?.unwrap_or_else(JobId::generate);
        let view = run.job.get().await?;
        let record = view.record.map_err(ergate_shared::Error::Record)?;
        let mut input: RunInput = serde_json::from_slice(&record.payload)
            .map_err(|source| Error::Payload { name: record.name.to_string(), source })?;
        let copies = match &from {
            None => Vec::new(),
            Some(step) => run.before(step).await?,
        };
        let is_edited = data.is_some();
        if let Some(data) = data {
            let data = data.map_err(|source| Error::Payload { name: record.name.to_string(), source })?;
            match &mut input.events[..] {
                [event] => event.data = data,
                events => {
                    let count = events.len();
                    return Err(Error::Option(format!(
                        "run {} was started with {count} events; only that of a run with one can be edited",
                        run.id()
                    )));
                }
            }
        }
        input.rerun_of = Some(RerunOf { run: run.id().clone(), from });
        let record = run.started_anew(&record, &input, is_edited).await?;
        run.fork(id, &record, &copies).await
    }
}

impl RunHandle {
    async fn before(&self, step: &str) -> Result<Vec<CopiedEntry>, Error> {
        let journal = self.journal().await?;
        before(&journal, step).ok_or_else(|| {
            let mut known: Vec<&str> = Vec::new();
            for entry in journal.entries().iter().filter(|entry| !entry.step.is_empty()) {
                if !known.contains(&entry.step.as_str()) && known.len() < 20 {
                    known.push(&entry.step);
                }
            }
            let known = if known.is_empty() { "it has none".to_owned() } else { known.join(", ") };
            Error::Option(format!("run {} has done no step {step:?}; known: {known}", self.id()))
        })
    }

    /// The record of a new run with this input. What its function declares now is applied, as far as it concerns how the run
    /// is executed: asked for by hand, it is neither a duplicate nor too late, and waits for no others.
    async fn started_anew(
        &self,
        old: &JobRecord,
        input: &RunInput,
        is_edited: bool,
    ) -> Result<JobRecord, Error> {
        let queue = self.job.queue();
        // Nobody waits for the result of this one.
        let options = JobOptions { parent: None, ..old.options.clone() };
        let mut start = queue.client().start(&self.function, input).priority(old.priority);
        start = start.declared(options, old.version);
        if !is_edited {
            // It has been measured when the other was started.
            start = start.routed(u64::MAX);
        }
        let keys = old.lane.iter().flat_map(Lane::keys);
        for key in keys.filter(|key| !is_reserved(key.name())) {
            start = start.key(key.name().as_str(), key.value());
        }
        let start = match start.declared_function().await? {
            // A version with a queue of its own cannot go on with this journal.
            Some(spec) if spec.queue() == *queue.name() => start.by_options_of(&spec)?,
            _ => start,
        };
        let record = JobRecord::decode(&start.draft()?.draft.record)?;
        let waits = record.due_at.saturating_sub(record.enqueued_at);
        Ok(JobRecord {
            unique: record.unique.filter(|(scope, _)| *scope == UniqueScope::Finished),
            expires: false,
            due_at: record.enqueued_at,
            order_at: record.order_at.map(|at| at.saturating_sub(waits)),
            ..record
        })
    }

    async fn fork(
        &self,
        id: JobId,
        record: &JobRecord,
        copies: &[CopiedEntry],
    ) -> Result<(Self, bool), Error> {
        let client = self.job.queue().client();
        let mut call = script::RUN_FORK
            .on(self.job.queue().keys())
            .arg("")
            .arg(self.id().as_str())
            .arg(id.as_str())
            .arg(record.encode());
        for copy in copies {
            call.push(copy.number.to_string());
            call.push(copy.text.as_deref().unwrap_or_default());
        }
        let name = self.job.queue().name();
        let calls = AtomicU32::new(0);
        let fork = || {
            calls.fetch_add(1, Ordering::Relaxed);
            client.redis().run(&call)
        };
        let (now, code): (u64, String) = until_answered(client.deadline(), name, fork).await?;
        client.redis().saw_time(now);
        let queue = self.job.queue();
        match code.as_str() {
            "ok" | "exists" => {
                let job = JobHandle::new(queue.clone(), id);
                // Of a call whose reply was lost, what is there is most likely its own.
                let is_new = code == "ok" || calls.load(Ordering::Relaxed) > 1;
                Ok((Self { function: self.function.clone(), job }, is_new))
            }
            "gone" => Err(Error::NotFound { queue: queue.name().clone(), id: self.id().clone() }),
            other => match other.strip_prefix("held ") {
                Some(holder) => Err(Error::Duplicate {
                    queue: queue.name().clone(),
                    key: record.unique.as_ref().map(|(_, key)| key.clone()).unwrap_or_default(),
                    holder: JobId::new(holder)?,
                }),
                None => Err(ergate_shared::Error::Reply { script: "run/fork", reply: code }.into()),
            },
        }
    }
}

impl IntoFuture for Rerun {
    type Output = Result<RunHandle, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.start().await.map(|(run, _)| run) })
    }
}
