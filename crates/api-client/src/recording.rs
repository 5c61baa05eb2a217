//! A client that keeps what is enqueued and sent in memory: for tests of code that does so.

use std::{
    collections::HashSet,
    fmt::Display,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ergate_shared::{Event, EventRecord, Job, JobId, JobRecord, QueueName};

use crate::{
    Client, ClientBuilder, Redis,
    batch::{Draft, Taken},
    event::batch::{Kept, Parcel},
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

/// What was enqueued and sent on a recording client, in order. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Outbox {
    kept: Arc<Mutex<Contents>>,
}

#[derive(Debug, Default)]
struct Contents {
    jobs: Vec<RecordedJob>,
    events: Vec<EventRecord>,
}

impl Client {
    /// A client without Redis, and what is enqueued and sent on it.
    ///
    /// All is checked as always. An own id that was used before is refused, for an event as a duplicate; unique keys are not
    /// looked at. Nothing is delivered, and all else fails, as there is no Redis to ask.
    ///
    /// ```
    /// # use ergate_client::Client;
    /// # use ergate_shared::{Event, Job};
    /// # #[derive(serde::Serialize, serde::Deserialize)] struct SendWelcome { user: u64 }
    /// # impl Job for SendWelcome { const NAME: &str = "send-welcome"; }
    /// # #[derive(serde::Serialize, serde::Deserialize)] struct SignedUp { user: u64 }
    /// # impl Event for SignedUp { const NAME: &str = "user/signed-up"; }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ergate_client::Error> {
    /// let (client, outbox) = Client::recording();
    ///
    /// client.enqueue(SendWelcome { user: 7 }).await?;
    /// client.send(SignedUp { user: 7 }).await?;
    ///
    /// assert_eq!(outbox.assert_enqueued::<SendWelcome>()[0].user, 7);
    /// assert_eq!(outbox.assert_sent::<SignedUp>()[0].user, 7);
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
    fn locked(&self) -> MutexGuard<'_, Contents> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that was enqueued.
    pub fn all(&self) -> Vec<RecordedJob> {
        self.locked().jobs.clone()
    }

    /// Every event that was sent, with its id, time and version.
    pub fn all_events(&self) -> Vec<EventRecord> {
        self.locked().events.clone()
    }

    /// The payloads of all jobs of one type.
    ///
    /// # Panics
    /// If a payload under that name is of another shape.
    #[track_caller]
    pub fn jobs<J: Job>(&self) -> Vec<J> {
        let read = |job: RecordedJob| {
            serde_json::from_slice(&job.record.payload)
                .unwrap_or_else(|error| panic!("job {} is no {}: {error}", job.id, J::NAME))
        };
        self.all().into_iter().filter(|job| job.record.name.as_str() == J::NAME).map(read).collect()
    }

    /// The data of all events of one type.
    ///
    /// # Panics
    /// If data under that name is of another shape.
    #[track_caller]
    pub fn events<E: Event>(&self) -> Vec<E> {
        let read = |event: EventRecord| {
            event.decode().unwrap_or_else(|error| panic!("event {} is no {}: {error}", event.id, E::NAME))
        };
        self.all_events().into_iter().filter(|event| event.name.as_str() == E::NAME).map(read).collect()
    }

    /// The payloads of all jobs of one type, of which there must be one at least.
    ///
    /// # Panics
    /// If none was enqueued: it says what was.
    #[track_caller]
    pub fn assert_enqueued<J: Job>(&self) -> Vec<J> {
        let jobs = self.jobs();
        let others = names(self.all().iter().map(|job| &job.record.name));
        assert!(!jobs.is_empty(), "no job {} was enqueued; what was: {others}", J::NAME);
        jobs
    }

    /// The data of all events of one type, of which there must be one at least.
    ///
    /// # Panics
    /// If none was sent: it says what was.
    #[track_caller]
    pub fn assert_sent<E: Event>(&self) -> Vec<E> {
        let events = self.events();
        let others = names(self.all_events().iter().map(|event| &event.name));
        assert!(!events.is_empty(), "no event {} was sent; what was: {others}", E::NAME);
        events
    }

    /// Asserts that nothing was enqueued and nothing sent.
    ///
    /// # Panics
    /// If something was: it says what.
    #[track_caller]
    pub fn assert_empty(&self) {
        let contents = self.locked();
        let (jobs, events) = (&contents.jobs, &contents.events);
        assert!(
            jobs.is_empty() && events.is_empty(),
            "enqueued: {}; sent: {}",
            names(jobs.iter().map(|job| &job.record.name)),
            names(events.iter().map(|event| &event.name))
        );
    }

    pub(crate) fn take(&self, queue: &QueueName, drafts: &[&Draft]) -> Vec<Taken> {
        let jobs = &mut self.locked().jobs;
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

    pub(crate) fn take_event(&self, parcel: &Parcel) -> Kept {
        let events = &mut self.locked().events;
        if parcel.is_own && events.iter().any(|event| event.id == parcel.id) {
            return Kept::Duplicate;
        }
        events.push(serde_json::from_slice(&parcel.record).expect("it was written here"));
        Kept::New
    }
}

/// What there is, for people.
fn names(names: impl Iterator<Item = impl Display>) -> String {
    let names: Vec<_> = names.map(|name| name.to_string()).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}
