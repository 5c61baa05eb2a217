//! A client that keeps what is enqueued in memory: for tests of code that enqueues.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ergate_shared::{Job, JobId, JobRecord, QueueName};

use crate::{
    Client, ClientBuilder, Redis,
    batch::{Draft, Taken},
};

/// Names a socket that is not there, so that whatever is not recorded fails at once and says where it went.
const NOWHERE: &str = "unix:///a-recording-client-has-no-redis";

/// A job that was enqueued on a recording client.
#[derive(Debug, Clone)]
pub struct RecordedJob {
    /// The queue it was put into.
    pub queue: QueueName,
    /// Its id.
    pub id: JobId,
    /// The job, with its name, options and payload.
    pub record: JobRecord,
}

/// What was enqueued on a recording client, in order. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Outbox {
    jobs: Arc<Mutex<Vec<RecordedJob>>>,
}

impl Client {
    /// A client without Redis, and what is enqueued on it.
    ///
    /// Enqueueing is checked as always, and refuses an own id that was used before; unique keys are not looked at. All else
    /// fails, as there is no Redis to ask.
    ///
    /// ```
    /// # use ergate_client::Client;
    /// # use ergate_shared::Job;
    /// # #[derive(serde::Serialize, serde::Deserialize)] struct SendWelcome { user: u64 }
    /// # impl Job for SendWelcome { const NAME: &str = "send-welcome"; }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ergate_client::Error> {
    /// let (client, outbox) = Client::recording();
    ///
    /// client.enqueue(SendWelcome { user: 7 }).await?;
    ///
    /// assert_eq!(outbox.jobs::<SendWelcome>()[0].user, 7);
    /// # Ok(())
    /// # }
    /// ```
    pub fn recording() -> (Self, Outbox) {
        let outbox = Outbox::default();
        let redis = Redis::open(NOWHERE).expect("the address can be read");
        (ClientBuilder::default().build_recording(redis, NOWHERE, outbox.clone()), outbox)
    }
}

impl Outbox {
    fn locked(&self) -> MutexGuard<'_, Vec<RecordedJob>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that was enqueued.
    pub fn all(&self) -> Vec<RecordedJob> {
        self.locked().clone()
    }

    /// The payloads of all jobs of one type.
    ///
    /// # Panics
    /// If a payload under that name is of another shape.
    pub fn jobs<J: Job>(&self) -> Vec<J> {
        let of_type = |job: &&RecordedJob| job.record.name.as_str() == J::NAME;
        let read = |job: &RecordedJob| {
            serde_json::from_slice(&job.record.payload)
                .unwrap_or_else(|error| panic!("job {} is no {}: {error}", job.id, J::NAME))
        };
        self.locked().iter().filter(of_type).map(read).collect()
    }

    pub(crate) fn take(&self, queue: &QueueName, drafts: &[&Draft]) -> Vec<Taken> {
        let mut jobs = self.locked();
        let mut known: HashSet<JobId> =
            jobs.iter().filter(|job| job.queue == *queue).map(|job| job.id.clone()).collect();
        drafts
            .iter()
            .map(|draft| {
                if !known.insert(draft.id.clone()) {
                    return Taken::Exists;
                }
                let record = JobRecord::decode(&draft.record).expect("it was written here");
                jobs.push(RecordedJob { queue: queue.clone(), id: draft.id.clone(), record });
                Taken::New
            })
            .collect()
    }
}
