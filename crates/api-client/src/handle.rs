//! One job: look at it, wait for it, change its course.

use std::time::Duration;

use ergate_shared::{JobId, JobRecord, JobState, WorkerId, duration, key::QueueKeys, script};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Error, JobView, Queue, view::Inspected};

/// A job, by queue and id.
#[derive(Debug, Clone)]
pub struct JobHandle {
    queue: Queue,
    id: JobId,
}

/// What [`JobHandle::cancel`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// It had not started and will not.
    Done,
    /// It runs; its worker has been asked to stop it.
    Asked,
}

impl JobHandle {
    pub(crate) fn new(queue: Queue, id: JobId) -> Self {
        Self { queue, id }
    }

    /// The job's id.
    pub fn id(&self) -> &JobId {
        &self.id
    }

    /// The queue it is in.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// All that is known of it.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it does not exist, or was trimmed after it ended.
    pub async fn get(&self) -> Result<JobView, Error> {
        let found = self.queue.inspect(std::slice::from_ref(&self.id), false).await?;
        found.into_iter().next().flatten().ok_or_else(|| self.not_found())
    }

    /// The state it is in.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn status(&self) -> Result<JobState, Error> {
        Ok(self.get().await?.state)
    }

    /// Waits until it has ended, and returns its result.
    ///
    /// # Errors
    /// [`Error::NotEnded`] after `within`; [`Error::Ended`] if it is dead or cancelled; [`Error::Payload`] if its result is not
    /// of this type; [`Error::NotFound`] if it is gone, which for a queue that keeps no completed jobs is what happens when it
    /// ends.
    pub async fn result<T: DeserializeOwned>(&self, within: Duration) -> Result<T, Error> {
        let view = self.ended(within).await?;
        let detail = view.outcome.as_ref().map(|outcome| outcome.detail.clone()).unwrap_or_default();
        match view.state {
            JobState::Completed => serde_json::from_str(&detail)
                .map_err(|source| Error::Payload { name: format!("{} (its result)", view.name()), source }),
            state => {
                let reason = view.failure.map_or(detail, |failure| failure.message);
                Err(Error::Ended { id: self.id.clone(), state, reason })
            }
        }
    }

    /// Waits until it has ended, in whichever way.
    ///
    /// # Errors
    /// [`Error::NotEnded`] after `within`; [`Error::NotFound`] if it is gone.
    pub async fn ended(&self, within: Duration) -> Result<JobView, Error> {
        let client = self.queue.client();
        let mut bell = client.endings().subscribe(client, self.queue.name()).await;
        let deadline = tokio::time::Instant::now() + within.min(duration::LONGEST);
        loop {
            let found = self.queue.inspect(std::slice::from_ref(&self.id), true).await?;
            let view = found.into_iter().next().flatten().ok_or_else(|| self.not_found())?;
            if view.state.is_ended() {
                return Ok(view);
            }
            tokio::select! {
                () = bell.rings_for(&self.id) => {}
                () = tokio::time::sleep_until(deadline) => {
                    return Err(Error::NotEnded { id: self.id.clone(), state: view.state, after: within });
                }
            }
        }
    }

    /// Cancels it: at once if it waits, by asking its worker if it runs.
    ///
    /// # Errors
    /// [`Error::NotFound`], or [`Error::WrongState`] if it has ended.
    pub async fn cancel(&self, reason: &str) -> Result<Cancelled, Error> {
        let keys = self.queue.keys();
        let call = script::JOB_CANCEL.on(keys).arg("").arg(self.id.as_str()).arg(reason);
        let (_, code, token): (u64, String, String) = self.redis().run(&call).await?;
        match code.as_str() {
            "ok" => {
                if token == "told"
                    && let Err(error) = self.queue.client().courier(self.queue.name()).tell_ends().await
                {
                    tracing::debug!(%error, "a worker of the queue will tell of the cancellation");
                }
                Ok(Cancelled::Done)
            }
            "asked" => {
                call_worker(self.redis(), keys, &token).await;
                Ok(Cancelled::Asked)
            }
            "gone" => Err(self.not_found()),
            "ended" => Err(self.wrong_state(&token, "cancelled")?),
            _ => Err(unknown("job/cancel", code)),
        }
    }

    /// Makes an ended job ready again, with all its attempts.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::WrongState`] if it has not ended, [`Error::Duplicate`] if its unique key is taken.
    pub async fn retry(&self) -> Result<(), Error> {
        let call = script::JOB_RETRY
            .on(self.queue.keys())
            .arg("")
            .number(0)
            .number(0)
            .arg("")
            .arg(self.id.as_str())
            .arg("");
        let (_, outcomes): (u64, Vec<String>) = self.redis().run(&call).await?;
        let outcome = outcomes.into_iter().next().unwrap_or_default();
        match outcome.strip_prefix("held ") {
            Some(holder) => Err(self.held_by(JobId::new(holder)?).await?),
            None => self.answer(&outcome, "retried", "job/retry"),
        }
    }

    /// Runs a delayed job now.
    ///
    /// # Errors
    /// [`Error::NotFound`], or [`Error::WrongState`] if it does not wait.
    pub async fn promote(&self) -> Result<(), Error> {
        self.reschedule_to(String::new(), "promoted").await
    }

    /// Moves a waiting job to another time, at most ten years away.
    ///
    /// # Errors
    /// As [`promote`](Self::promote); [`Error::Option`] for a time too far away.
    pub async fn reschedule(&self, time: jiff::Timestamp) -> Result<(), Error> {
        let at = u64::try_from(time.as_millisecond()).unwrap_or(0);
        if Duration::from_millis(at.saturating_sub(self.redis().now_ms())) > duration::LONGEST {
            return Err(Error::Option(format!("time {time} is over ten years away")));
        }
        self.reschedule_to(format!("@{at}"), "rescheduled").await
    }

    /// Lets a waiting job wait this long from now, at most ten years.
    ///
    /// # Errors
    /// As [`promote`](Self::promote); [`Error::Option`] for a longer delay.
    pub async fn postpone(&self, delay: Duration) -> Result<(), Error> {
        if delay > duration::LONGEST {
            return Err(Error::Option(format!("delay of {} is over ten years", duration::show(delay))));
        }
        self.reschedule_to(format!("+{}", delay.as_millis()), "rescheduled").await
    }

    async fn reschedule_to(&self, when: String, action: &'static str) -> Result<(), Error> {
        let call = script::JOB_RESCHEDULE.on(self.queue.keys()).arg("").arg(self.id.as_str()).arg(when);
        let (_, code, _): (u64, String, u64) = self.redis().run(&call).await?;
        self.answer(&code, action, "job/reschedule")
    }

    /// Deletes it and all that is kept about it.
    ///
    /// # Errors
    /// [`Error::NotFound`], or [`Error::WrongState`] if it runs: cancel it first.
    pub async fn remove(&self) -> Result<(), Error> {
        let call = script::JOB_REMOVE.on(self.queue.keys()).arg("").arg(self.id.as_str());
        let outcomes: Vec<String> = self.redis().run(&call).await?;
        self.answer(&outcomes.into_iter().next().unwrap_or_default(), "removed", "job/remove")
    }

    /// Replaces the payload of a job that waits or is dead.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::WrongState`], [`Error::TooLarge`], or [`Error::Payload`].
    pub async fn update_payload(&self, payload: &impl Serialize) -> Result<(), Error> {
        loop {
            let view = self.get().await?;
            let record = self.queue.edited(&view, payload)?;
            let call = script::JOB_UPDATE
                .on(self.queue.keys())
                .arg(self.id.as_str())
                .arg(&view.record_bytes)
                .arg(record);
            let code: String = self.redis().run(&call).await?;
            if code != "changed" {
                return self.answer(&code, "edited", "job/update");
            }
        }
    }

    /// The log lines its handler wrote, oldest first.
    ///
    /// # Errors
    /// Errors of the connection; a job that does not exist has no lines.
    pub async fn log(&self) -> Result<Vec<String>, Error> {
        let mut get = redis::cmd("HGET");
        get.arg(self.queue.keys().get(ergate_shared::key::QueueKey::logs)).arg(self.id.as_str());
        let text: Option<String> = self.redis().command("HGET", &get).await?;
        Ok(text.unwrap_or_default().lines().map(str::to_owned).collect())
    }

    fn answer(&self, code: &str, action: &'static str, script: &'static str) -> Result<(), Error> {
        match code {
            "ok" => Ok(()),
            "gone" => Err(self.not_found()),
            state => match self.wrong_state(state, action) {
                Ok(error) => Err(error),
                Err(_) => Err(unknown(script, code.to_owned())),
            },
        }
    }

    fn redis(&self) -> &crate::Redis {
        self.queue.client().redis()
    }

    async fn held_by(&self, holder: JobId) -> Result<Error, Error> {
        let unique = self.get().await?.record.ok().and_then(|record| record.unique);
        let key = unique.map(|(_, key)| key).unwrap_or_default();
        Ok(Error::Duplicate { queue: self.queue.name().clone(), key, holder })
    }

    fn not_found(&self) -> Error {
        Error::NotFound { queue: self.queue.name().clone(), id: self.id.clone() }
    }

    fn wrong_state(&self, state: &str, action: &'static str) -> Result<Error, Error> {
        Ok(Error::WrongState { id: self.id.clone(), state: state.parse()?, action })
    }
}

/// Has the worker that leased something under this token hear of a cancellation. Only for haste: its next heartbeat tells it too.
pub(crate) async fn call_worker(redis: &crate::Redis, keys: &QueueKeys, token: &str) {
    let call_key = keys.call(&WorkerId::of_token(token));
    let mut pipeline = redis::pipe();
    pipeline.lpush(&call_key, 1).ignore().expire(&call_key, 60).ignore();
    if let Err(error) = redis.pipeline::<()>("a worker's call", &pipeline).await {
        tracing::debug!(%error, "the worker will hear of the cancellation later");
    }
}

fn unknown(script: &'static str, reply: String) -> Error {
    ergate_shared::Error::Reply { script, reply }.into()
}

impl Queue {
    pub(crate) async fn inspect(&self, ids: &[JobId], watch: bool) -> Result<Vec<Option<JobView>>, Error> {
        let mut call = script::JOB_INSPECT.on(self.keys()).arg("").arg(if watch { "1" } else { "" });
        for id in ids {
            call.push(id.as_str());
        }
        let (_, found): (u64, Vec<Option<Inspected>>) = self.client().redis().run(&call).await?;
        ids.iter()
            .zip(found)
            .map(|(id, found)| {
                found.map(|found| JobView::new(self.name().clone(), id.clone(), found)).transpose()
            })
            .collect()
    }

    /// The record of `view` with another payload, checked like a new one.
    pub(crate) fn edited(&self, view: &JobView, payload: &impl Serialize) -> Result<Vec<u8>, Error> {
        let record = view.record.clone().map_err(ergate_shared::Error::Record)?;
        let payload = serde_json::to_vec(payload)
            .map_err(|source| Error::Payload { name: record.name.to_string(), source })?;
        let limit = self.client().payload_limit();
        if payload.len() > limit {
            return Err(Error::TooLarge { name: record.name.to_string(), size: payload.len(), limit });
        }
        Ok(JobRecord { payload, ..record }.encode())
    }
}
