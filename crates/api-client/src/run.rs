//! Runs of durable functions: start one by hand, look at it, wait for it, change its course.

use std::time::Duration;

use ergate_shared::{
    EventId, EventName, EventRecord, FunctionName, JobId, RunInput,
    key::QueueKey,
    run::{Entry, Journal, RecordedRun, RunState, entry_field},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Cancelled, Client, Enqueue, Error, JobHandle};

mod bulk;
mod list;
mod rerun;
mod trace;
mod view;

pub use bulk::CancelledRuns;
pub use list::{RunFilter, Runs};
pub use rerun::Rerun;
pub use trace::RunTrace;
pub use view::RunView;

/// The name of the event a run gets that was started by hand.
pub const INVOKED: &str = "ergate/function.invoked";
/// Journal entries read by one command.
const ENTRIES_AT_ONCE: u32 = 1000;

impl Client {
    /// Starts a run of a function by hand, with this as its event's data: `.await` what it returns, after setting options
    /// if need be. The receipt's id is the run's.
    ///
    /// A function that no worker has declared yet, or whose name is misspelt, is no error: the run waits in the queue
    /// `fn/<function>` for a worker that has it, and options that decide at the start (rate limit, idempotency, debounce, batch,
    /// singleton, throttle, keys, priority, start time-out) are not applied to it.
    ///
    /// ```no_run
    /// # async fn example(client: ergate_client::Client) -> Result<(), ergate_client::Error> {
    /// let receipt = client.invoke("onboard", &serde_json::json!({ "user": 7 })).await?;
    /// println!("run {}", receipt.id);
    /// # Ok(())
    /// # }
    /// ```
    pub fn invoke(&self, function: &str, data: &impl Serialize) -> Enqueue {
        let now = self.redis().now_ms();
        let event = serde_json::to_value(data).map(|data| EventRecord {
            id: EventId::generate(now),
            name: EventName::new(INVOKED).expect("the name is valid"),
            data,
            user: None,
            ts: now,
            v: None,
        });
        let payload = event.and_then(|event| serde_json::to_vec(&RunInput::of(event)));
        Enqueue::run(self, FunctionName::new(function.to_owned()), payload)
    }

    /// A run, by function and id; whether it exists is seen when it is asked.
    ///
    /// # Errors
    /// If the name or id is not valid.
    pub fn run(&self, function: &str, id: &str) -> Result<RunHandle, Error> {
        let function = FunctionName::new(function.to_owned())?;
        let job = self.job(function.queue().as_str(), id)?;
        Ok(RunHandle { function, job })
    }
}

/// A run, by function and id.
#[derive(Debug, Clone)]
pub struct RunHandle {
    function: FunctionName,
    job: JobHandle,
}

impl RunHandle {
    /// The run's id.
    pub fn id(&self) -> &JobId {
        self.job.id()
    }

    /// Its function.
    pub fn function(&self) -> &FunctionName {
        &self.function
    }

    /// The job it is.
    pub fn job(&self) -> &JobHandle {
        &self.job
    }

    /// The state it is in.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it does not exist, or was trimmed after it ended.
    pub async fn state(&self) -> Result<RunState, Error> {
        let state = self.job.status().await?;
        Ok(RunState::of(state, self.entries().await?))
    }

    /// Waits until it has ended, and returns its result.
    ///
    /// # Errors
    /// As [`JobHandle::result`].
    pub async fn result<T: DeserializeOwned>(&self, within: Duration) -> Result<T, Error> {
        self.job.result(within).await
    }

    /// What it has done so far; empty for a run that has not begun or does not exist.
    ///
    /// # Errors
    /// Errors of the connection, or of entries this release cannot read.
    pub async fn journal(&self) -> Result<Journal, Error> {
        let (count, mut journal) = (self.entries().await?, Journal::default());
        let keys = self.job.queue().keys();
        for from in (1..=count).step_by(ENTRIES_AT_ONCE as usize) {
            let mut get = redis::cmd("HMGET");
            get.arg(keys.get(QueueKey::journal));
            for number in from..=count.min(from + ENTRIES_AT_ONCE - 1) {
                get.arg(entry_field(self.id().as_str(), number));
            }
            let texts: Vec<Option<String>> = self.redis().command("HMGET", &get).await?;
            for text in texts.into_iter().flatten() {
                journal.append(Entry::from_json(&text)?, text.len());
            }
        }
        Ok(journal)
    }

    /// The run as it stands, to be kept in a file and replayed in a test.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it does not exist, [`Error::Payload`] if it is no run, or as [`journal`](Self::journal).
    pub async fn recorded(&self) -> Result<RecordedRun, Error> {
        // The state first: what happens in between then looks like more than the state tells, and never like less.
        let view = self.job.get().await?;
        let journal = self.journal().await?;
        Ok(RecordedRun {
            function: self.function.clone(),
            id: self.id().clone(),
            state: RunState::of(view.state, journal.len()),
            started_at: view.record.as_ref().map_or(0, |record| record.enqueued_at),
            input: view.payload()?,
            entries: journal.entries().to_vec(),
        })
    }

    /// Cancels it: at once if it waits, by asking its worker if it executes.
    ///
    /// # Errors
    /// As [`JobHandle::cancel`].
    pub async fn cancel(&self, reason: &str) -> Result<Cancelled, Error> {
        self.job.cancel(reason).await
    }

    /// Lets a run that failed go on: steps that worked are not done again, the one that failed gets all its attempts.
    ///
    /// # Errors
    /// As [`JobHandle::retry`].
    pub async fn again(&self) -> Result<(), Error> {
        self.job.retry().await
    }

    async fn entries(&self) -> Result<u32, Error> {
        let mut get = redis::cmd("HGET");
        get.arg(self.job.queue().keys().get(QueueKey::steps)).arg(self.id().as_str());
        let count: Option<u32> = self.redis().command("HGET", &get).await?;
        Ok(count.unwrap_or(0))
    }

    fn redis(&self) -> &crate::Redis {
        self.job.queue().client().redis()
    }
}
