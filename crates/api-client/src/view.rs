//! What is known of one job.

use ergate_shared::{FailureRecord, JobId, JobRecord, JobState, QueueName, Tries, ending};
use redis::{FromRedisValue, ParsingError, Value};
use serde::de::DeserializeOwned;

use crate::Error;

/// How a job ended well or was cancelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// When, in ms since the epoch.
    pub at: u64,
    /// The result as JSON, or why it was cancelled as plain text.
    pub detail: String,
}

/// All that is known of one job.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct JobView {
    /// Its id.
    pub id: JobId,
    /// The queue it is in.
    pub queue: QueueName,
    /// The state it is in.
    pub state: JobState,
    /// What was enqueued; an error text for a record this release cannot read.
    pub record: Result<JobRecord, String>,
    /// The record as it is kept.
    pub record_bytes: Vec<u8>,
    /// What has happened to it so far.
    pub tries: Tries,
    /// Its last failure.
    pub failure: Option<FailureRecord>,
    /// How far its handler says it is, as JSON.
    pub progress: Option<String>,
    /// When it is due, for a scheduled job; since when it is dead, for a dead letter; in ms since the epoch.
    pub at: Option<u64>,
    /// The worker that runs it.
    pub worker: Option<String>,
    /// How it ended, if it completed or was cancelled.
    pub outcome: Option<Outcome>,
}

/// A job as `job/inspect` answers it.
pub(crate) struct Inspected {
    state: String,
    detail: Vec<u8>,
    record: Vec<u8>,
    tries: Option<String>,
    failure: Option<Vec<u8>>,
    progress: Option<String>,
}

impl FromRedisValue for Inspected {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let (state, detail, record, tries, failure, progress) = FromRedisValue::from_redis_value(value)?;
        Ok(Self { state, detail, record, tries, failure, progress })
    }
}

impl JobView {
    pub(crate) fn new(queue: QueueName, id: JobId, found: Inspected) -> Result<Self, Error> {
        let state: JobState = found.state.parse()?;
        let detail = String::from_utf8_lossy(&found.detail).into_owned();
        let outcome = matches!(state, JobState::Completed | JobState::Cancelled).then(|| {
            let (at, result) = ending::read(&detail);
            Outcome { at, detail: result.to_owned() }
        });
        Ok(Self {
            id,
            queue,
            state,
            record: JobRecord::decode(&found.record).map_err(|error| error.to_string()),
            record_bytes: found.record,
            // What others wrote there counts as none, as it does for scripts and workers: a look must not fail over it.
            tries: found.tries.and_then(|text| Tries::parse(&text).ok()).unwrap_or_default(),
            failure: found.failure.map(|bytes| FailureRecord::from_json(&bytes)),
            progress: found.progress,
            at: matches!(state, JobState::Scheduled | JobState::Dead)
                .then(|| detail.parse::<f64>().ok())
                .flatten()
                .map(|at| at as u64),
            worker: (state == JobState::Leased)
                .then(|| detail.split('.').next().unwrap_or_default().to_owned()),
            outcome,
        })
    }

    /// The job's name; empty for a record this release cannot read.
    pub fn name(&self) -> &str {
        self.record.as_ref().map_or("", |record| record.name.as_str())
    }

    /// The payload, as its type.
    ///
    /// # Errors
    /// [`Error::Payload`] if it is not of that type; [`Error::Contract`] for a record this release cannot read.
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let record = self.record.as_ref().map_err(|problem| ergate_shared::Error::Record(problem.clone()))?;
        serde_json::from_slice(&record.payload)
            .map_err(|source| Error::Payload { name: self.name().to_owned(), source })
    }

    /// The result of a completed job, as its type; `None` if it has not completed.
    ///
    /// # Errors
    /// [`Error::Payload`] if it is not of that type.
    pub fn result<T: DeserializeOwned>(&self) -> Result<Option<T>, Error> {
        match (&self.outcome, self.state) {
            (Some(outcome), JobState::Completed) => serde_json::from_str(&outcome.detail)
                .map(Some)
                .map_err(|source| Error::Payload { name: format!("{} (its result)", self.name()), source }),
            _ => Ok(None),
        }
    }

    /// Everything as JSON. Of payload and result it has the values and not the text: a number that no 64 bits hold is the nearest
    /// that they do. What is no JSON is a string.
    pub fn to_json(&self) -> serde_json::Value {
        let json = |text: &str| {
            serde_json::from_str(text).unwrap_or_else(|_| serde_json::Value::String(text.to_owned()))
        };
        let mut fields = serde_json::json!({
            "id": self.id, "queue": self.queue, "state": self.state, "name": self.name(),
            "tries": self.tries, "failure": self.failure, "worker": self.worker,
            "progress": self.progress.as_deref().map(json),
        });
        match &self.record {
            Ok(record) => {
                fields["priority"] = record.priority.get().into();
                fields["enqueued_at"] = record.enqueued_at.into();
                fields["due_at"] = record.due_at.into();
                fields["version"] = record.version.into();
                fields["options"] = serde_json::to_value(&record.options).unwrap_or_default();
                fields["payload"] = json(&String::from_utf8_lossy(&record.payload));
                if let Some(lane) = &record.lane {
                    fields["keys"] = lane.keys().map(|key| key.to_string()).collect::<Vec<_>>().into();
                }
                fields["unique_key"] = record.unique.as_ref().map(|(_, key)| key.clone()).into();
            }
            Err(problem) => fields["malformed"] = problem.clone().into(),
        }
        match self.state {
            JobState::Scheduled => fields["due_at"] = self.at.into(),
            JobState::Dead => fields["dead_at"] = self.at.into(),
            JobState::Completed => fields["result"] = self.outcome.as_ref().map(|o| json(&o.detail)).into(),
            JobState::Cancelled => fields["reason"] = self.outcome.as_ref().map(|o| o.detail.clone()).into(),
            JobState::Ready | JobState::Leased => {}
        }
        if let Some(outcome) = &self.outcome {
            fields["ended_at"] = outcome.at.into();
        }
        fields
    }
}
