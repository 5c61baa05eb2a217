//! Events that cancel a run: waits in the slots of their names, kept from when the run is started until it ends.
//!
//! They are kept before the run is, so that there is never a run without them. An event that comes in between finds no run to
//! cancel; the worker that executes the run first therefore asks for such events once more, back to when it was started.

use ergate_shared::{EventRecord, JobId, QueueName, WaitRef, function::Cancel, wait::CANCELS};

use crate::{Client, Error};

impl Client {
    /// Lets events cancel a run, back to `since_ms`: one that came since is returned, and it is the caller who has to cancel
    /// the run. Repeating the call changes nothing.
    ///
    /// # Errors
    /// As [`register_wait`](Self::register_wait).
    #[doc(hidden)]
    pub async fn let_events_cancel(
        &self,
        queue: &QueueName,
        run: &JobId,
        cancels: &[Cancel],
        since_ms: u64,
    ) -> Result<Option<EventRecord>, Error> {
        let wait = WaitRef { queue: queue.clone(), run: run.clone(), entry: CANCELS };
        for Cancel { event, condition, within_ms } in cancels {
            let until = since_ms.saturating_add(*within_ms);
            if let Some(came) = self.register_wait(event, &wait, condition, since_ms, until).await? {
                return Ok(Some(came));
            }
        }
        Ok(None)
    }

    /// Lets events cancel a run no more, as it has ended or was not started after all. What is left over by a failure is dropped
    /// once such an event comes, or its time is over.
    #[doc(hidden)]
    pub async fn let_no_events_cancel(&self, queue: &QueueName, run: &JobId, cancels: &[Cancel]) {
        let wait = WaitRef { queue: queue.clone(), run: run.clone(), entry: CANCELS };
        for cancel in cancels {
            if let Err(error) = self.withdraw_wait(&cancel.event, &wait).await {
                tracing::debug!(%queue, run.id = %run, %error, "a wait of a run that has ended is left over");
            }
        }
    }

    /// Cancels a run because an event came; one that has ended is none of its business any more.
    #[doc(hidden)]
    pub async fn cancel_by_event(
        &self,
        queue: &QueueName,
        run: &JobId,
        event: &EventRecord,
    ) -> Result<bool, Error> {
        match self.job(queue.as_str(), run.as_str())?.cancel(&cancelled_by(event)).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. } | Error::WrongState { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Why a run is cancelled, in words.
#[doc(hidden)]
pub fn cancelled_by(event: &EventRecord) -> String {
    format!("event {} of {}", event.id, event.name)
}
