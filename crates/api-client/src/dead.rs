//! Dead letters: look at them, send them back, delete them.

use std::time::Duration;

use ergate_shared::{FailureKind, JobId, JobState, script};

use crate::{
    Error, JobView, Page, Queue,
    at_once::AtOnce,
    redrive::{Redrive, Redriven},
};

/// The dead letters of a queue.
#[derive(Debug, Clone)]
pub struct DeadLetters {
    queue: Queue,
}

/// Which dead letters are meant; an empty filter means all.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only jobs of this name.
    pub name: Option<String>,
    /// Only failures of this kind.
    pub kind: Option<FailureKind>,
    /// Only failures whose message has this text.
    pub message: Option<String>,
    /// Only jobs with this tag.
    pub tag: Option<String>,
    /// Only those that died at or after this time, in ms since the epoch.
    pub since: Option<u64>,
    /// Only those that died before this time, likewise.
    pub until: Option<u64>,
}

impl Filter {
    /// Whether a dead letter is meant.
    pub fn matches(&self, view: &JobView) -> bool {
        let failure = view.failure.as_ref();
        self.name.as_deref().is_none_or(|name| view.name() == name)
            && self.kind.is_none_or(|kind| failure.is_some_and(|failure| failure.kind == kind))
            && self
                .message
                .as_deref()
                .is_none_or(|text| failure.is_some_and(|failure| failure.message.contains(text)))
            && self.since.is_none_or(|since| view.at.is_some_and(|at| at >= since))
            && self.until.is_none_or(|until| view.at.is_some_and(|at| at < until))
            && self
                .tag
                .as_ref()
                .is_none_or(|tag| view.record.as_ref().is_ok_and(|record| record.options.tags.contains(tag)))
    }
}

/// The most dead letters looked at by one call.
const PAGE: usize = 200;

impl DeadLetters {
    pub(crate) fn new(queue: Queue) -> Self {
        Self { queue }
    }

    /// Dead letters, the last to die first.
    ///
    /// # Errors
    /// As [`Queue::list`].
    pub async fn list(&self, cursor: Option<&str>, limit: usize) -> Result<Page<JobView>, Error> {
        self.queue.list(JobState::Dead, cursor, limit).await
    }

    /// One dead letter.
    ///
    /// # Errors
    /// [`Error::NotFound`], or [`Error::WrongState`] if the job is not dead.
    pub async fn show(&self, id: &str) -> Result<JobView, Error> {
        let view = self.queue.job(id)?.get().await?;
        if view.state == JobState::Dead {
            return Ok(view);
        }
        Err(Error::WrongState { id: view.id, state: view.state, action: "shown as a dead letter" })
    }

    /// Sends one dead letter back to its queue, with another payload if one is given.
    ///
    /// # Errors
    /// As [`show`](Self::show); [`Error::Duplicate`] if another job holds its unique key.
    pub async fn redrive(&self, id: &str, payload: Option<&serde_json::Value>) -> Result<(), Error> {
        let view = self.show(id).await?;
        let record = payload.map(|payload| self.queue.edited(&view, payload)).transpose()?;
        let outcomes = self
            .send_back(std::slice::from_ref(&view.id), record.as_deref(), Duration::ZERO, Duration::ZERO)
            .await?;
        match outcomes.into_iter().next().as_deref() {
            Some("ok") => Ok(()),
            Some("gone") | None => Err(Error::NotFound { queue: self.queue.name().clone(), id: view.id }),
            Some(outcome) => match outcome.strip_prefix("held ") {
                Some(holder) => Err(Error::Duplicate {
                    queue: self.queue.name().clone(),
                    key: view
                        .record
                        .ok()
                        .and_then(|record| record.unique)
                        .map(|(_, key)| key)
                        .unwrap_or_default(),
                    holder: JobId::new(holder)?,
                }),
                None => Err(Error::WrongState { id: view.id, state: outcome.parse()?, action: "redriven" }),
            },
        }
    }

    /// Sends back all that match, `per_second` of them each second if that is given, telling `done` how many so far.
    ///
    /// The rate is kept by due times in Redis: this returns once all are on their way, not once they have run. With
    /// `dry_run` nothing is changed and the matches are counted.
    ///
    /// # Errors
    /// [`Error::Option`] for a rate that is not above 0.
    pub async fn redrive_all(
        &self,
        filter: &Filter,
        per_second: Option<f64>,
        dry_run: bool,
        mut done: impl FnMut(u64),
    ) -> Result<Redriven, Error> {
        let mut redrive = Redrive::at(per_second)?;
        let matching = self.matching(filter).await?;
        if dry_run {
            redrive.sum.redriven = matching.len() as u64;
        } else {
            redrive.send(self, &matching, &mut done).await?;
        }
        Ok(redrive.sum)
    }

    /// Deletes all that match, telling `done` how many so far.
    ///
    /// # Errors
    /// Errors of the connection.
    pub async fn purge(&self, filter: &Filter, mut done: impl FnMut(u64)) -> Result<u64, Error> {
        let matching = self.matching(filter).await?;
        let (mut removed, mut left) = (0, &matching[..]);
        while !left.is_empty() {
            let page = &left[..left.len().min(PAGE)];
            let mut call = script::JOB_REMOVE.on(self.queue.keys()).arg(JobState::Dead.as_str());
            for id in page {
                call.push(id.as_str());
            }
            let outcomes: Vec<String> = self.queue.client().redis().run(&call).await?;
            removed += outcomes.iter().filter(|outcome| *outcome == "ok").count() as u64;
            // Those behind long journals are left to the next call.
            left = &left[outcomes.len().clamp(1, page.len())..];
            done(removed);
        }
        Ok(removed)
    }

    /// Oldest first, so that what waited longest goes first.
    async fn matching(&self, filter: &Filter) -> Result<Vec<JobId>, Error> {
        let (mut matching, mut at_once) = (Vec::new(), AtOnce::new(PAGE));
        let mut cursor: Option<String> = None;
        loop {
            let page = at_once.until_in_time(async |count| self.list(cursor.as_deref(), count).await).await?;
            matching.extend(page.items.into_iter().filter(|view| filter.matches(view)).map(|view| view.id));
            cursor = page.next;
            if cursor.is_none() {
                matching.reverse();
                return Ok(matching);
            }
        }
    }

    pub(crate) async fn send_back(
        &self,
        ids: &[JobId],
        record: Option<&[u8]>,
        after: Duration,
        spacing: Duration,
    ) -> Result<Vec<String>, Error> {
        let mut call =
            script::JOB_RETRY.on(self.queue.keys()).arg("").arg(millis(after)).arg(millis(spacing)).arg("1");
        for id in ids {
            call.push(id.as_str());
            call.push(record.unwrap_or_default());
        }
        let (_, outcomes): (u64, Vec<String>) = self.queue.client().redis().run(&call).await?;
        Ok(outcomes)
    }
}

fn millis(duration: Duration) -> String {
    format!("{:.3}", duration.as_secs_f64() * 1000.0)
}
