//! Telling ends outside of their queue: results to the runs that wait for them, and events to functions.
//!
//! What is to be told is kept in a stream of the queue, by the script that ended the job, and deleted once it has been told.
//! Telling goes by names that make a second time change nothing.

use std::{
    collections::{BTreeMap, HashMap},
    future::IntoFuture,
};

use ergate_shared::{
    Event, EventId, EventName, EventRecord, FailureKind, FailureRecord, FunctionName, JobId, JobRecord,
    Parent, QueueName, RunInput, Trigger, ending,
    event::LARGEST_EVENT,
    function::{EndedRun, FunctionCancelled, FunctionFailed, FunctionFinished, tells_of_an_end},
    id::own_id,
    key::QueueKey,
    run::Resolution,
};
use serde_json::value::RawValue;

use crate::{Client, Error, SendEvent};

/// Ends told at once.
const AT_ONCE: usize = 200;
/// What an event may have beside the data of the run that it tells of, in bytes.
const REST_OF_EVENT: usize = 4096;

/// An end that is to be told.
struct Told {
    /// Its id in the stream, which no other end has, of the same run neither.
    entry: String,
    id: JobId,
    record: JobRecord,
    outcome: Outcome,
}

enum Outcome {
    Completed(Box<RawValue>),
    Failed(FailureRecord),
    Cancelled(FailureRecord),
}

impl Client {
    /// For the engine: tells the ends of a queue to whom they concern, until none is left.
    ///
    /// # Errors
    /// Errors of the connection; what was told by then may be told again.
    #[doc(hidden)]
    pub async fn tell_ends(&self, queue: &QueueName) -> Result<(), Error> {
        let keys = self.keys(queue);
        let outbox = keys.get(QueueKey::outbox);
        // Whether completed runs are told of; asked once, by the first that would be.
        let mut finished = None;
        loop {
            let mut range = redis::cmd("XRANGE");
            range.arg(outbox).arg("-").arg("+").arg("COUNT").arg(AT_ONCE);
            type Kept = Vec<(String, HashMap<String, Vec<u8>>)>;
            let kept: Kept = self.redis().command("XRANGE", &range).await?;
            if kept.is_empty() {
                return Ok(());
            }
            let mut delete = redis::cmd("XDEL");
            delete.arg(outbox);
            for (entry, _) in &kept {
                delete.arg(entry);
            }
            let count = kept.len();
            let told: Vec<Told> =
                kept.into_iter().filter_map(|(entry, fields)| read(entry, &fields)).collect();
            let ((), sent) =
                tokio::try_join!(self.tell_parents(&told), self.tell_functions(queue, &told, &mut finished))?;
            let started: Vec<&JobId> =
                told.iter().filter(|end| end.record.options.parent.is_some()).map(|end| &end.id).collect();
            let ((), deleted) = tokio::join!(
                self.let_starts_go(queue, &started),
                self.redis().command::<u64>("XDEL", &delete)
            );
            deleted?;
            sent.into_iter().for_each(|event| self.let_event_id_go(event));
            if count < AT_ONCE {
                return Ok(());
            }
        }
    }

    async fn tell_parents(&self, told: &[Told]) -> Result<(), Error> {
        let mut by_queue: BTreeMap<&QueueName, Vec<(&Parent, Resolution)>> = BTreeMap::new();
        for end in told {
            let Some(parent) = &end.record.options.parent else { continue };
            let resolution = match &end.outcome {
                Outcome::Completed(result) => Resolution::Result(result.clone()),
                Outcome::Failed(failure) | Outcome::Cancelled(failure) => {
                    Resolution::Failure(failure.clone())
                }
            };
            by_queue.entry(&parent.queue).or_default().push((parent, resolution));
        }
        let calls = by_queue.into_iter().map(async |(queue, resolutions)| {
            let resolutions =
                resolutions.into_iter().map(|(parent, with)| (parent.run.clone(), parent.entry, with));
            self.deliver_all(queue, resolutions.collect()).await
        });
        futures_util::future::try_join_all(calls).await.map(drop)
    }

    async fn tell_functions(
        &self,
        queue: &QueueName,
        told: &[Told],
        finished: &mut Option<bool>,
    ) -> Result<Vec<EventId>, Error> {
        // Who is started by the end of a function does not care which version it was.
        let Some(function) = FunctionName::of_queue(queue).map(|function| function.base()) else {
            return Ok(Vec::new());
        };
        let mut events = Vec::new();
        for end in told {
            let Ok(input) = serde_json::from_slice::<RunInput>(&end.record.payload) else { continue };
            if input.events.first().is_some_and(|event| tells_of_an_end(&event.name)) {
                continue;
            }
            let heard = match *finished {
                Some(heard) => heard,
                None => *finished.insert(self.starts_something(FunctionFinished::NAME).await?),
            };
            events.extend(self.events_of(&function, end, input.events, heard));
        }
        let mut ids = Vec::new();
        for sent in futures_util::future::join_all(events.into_iter().map(SendEvent::into_future)).await {
            match sent {
                Ok(receipt) => ids.push(receipt.id),
                Err(error) if error.is_temporary() => return Err(error),
                // It would be refused for ever, and hold up all that come after it.
                Err(error) => tracing::error!(%function, %error, "an end is told to no function"),
            }
        }
        Ok(ids)
    }

    /// The events that tell of an end.
    fn events_of(
        &self,
        function: &FunctionName,
        end: &Told,
        mut started_by: Vec<EventRecord>,
        finished: bool,
    ) -> Vec<SendEvent> {
        let size: usize = started_by.iter().map(|event| event.data.to_string().len()).sum();
        let mut result = match &end.outcome {
            Outcome::Completed(result) => serde_json::to_value(result).unwrap_or_default(),
            _ => serde_json::Value::Null,
        };
        // The first event is told twice, and there are limits to what an event may have.
        if 2 * size + REST_OF_EVENT > LARGEST_EVENT / 2 {
            started_by.clear();
        }
        if result.to_string().len() > LARGEST_EVENT / 2 - REST_OF_EVENT {
            result = serde_json::Value::Null;
        }
        let event = started_by.first().cloned();
        let events = if started_by.len() > 1 { started_by } else { Vec::new() };
        let run = EndedRun { function: function.clone(), id: end.id.clone(), event, events };
        let id = format!("{}.{}", run.id, end.entry);
        let error = match &end.outcome {
            Outcome::Completed(_) => None,
            Outcome::Failed(failure) | Outcome::Cancelled(failure) => Some(failure.clone()),
        };
        let mut sends = Vec::new();
        if finished {
            let told = FunctionFinished { run: run.clone(), result, error: error.clone() };
            sends.push(self.tell(&told, &format!("{id}.finished")));
        }
        match (&end.outcome, error) {
            (Outcome::Failed(_), Some(error)) => sends.push(self.tell(&FunctionFailed { run, error }, &id)),
            (Outcome::Cancelled(_), Some(error)) => {
                sends.push(self.tell(&FunctionCancelled { run, error }, &id));
            }
            _ => {}
        }
        sends
    }

    fn tell<E: Event>(&self, event: &E, id: &str) -> SendEvent {
        let name = EventName::new(E::NAME).expect("the name is valid");
        let data = serde_json::to_value(event).expect("what is told is JSON");
        self.announce(name, data).id(own_id(id.to_owned()))
    }

    /// For the engine: whether an event of this name starts a function, as far as is declared.
    ///
    /// # Errors
    /// Errors of the connection.
    #[doc(hidden)]
    pub async fn starts_something(&self, event: &str) -> Result<bool, Error> {
        let name = event.parse::<EventName>()?;
        let means =
            |trigger: &Trigger| matches!(trigger, Trigger::Event { event, .. } if event.matches(&name));
        Ok(self.functions().await?.values().any(|function| function.triggers.iter().any(means)))
    }
}

/// Reads what is kept; what no release wrote concerns nobody.
fn read(entry: String, fields: &HashMap<String, Vec<u8>>) -> Option<Told> {
    let id = JobId::stored(String::from_utf8_lossy(fields.get("id")?));
    let record = match JobRecord::decode(fields.get("record")?) {
        Ok(record) => record,
        Err(error) => {
            tracing::error!(job.id = %id, %error, "the end of a job whose record cannot be read is told to nobody");
            return None;
        }
    };
    let end = String::from_utf8_lossy(fields.get("end")?);
    let (at, detail) = ending::read(&end);
    let outcome = match end.as_bytes().first() {
        Some(&ending::COMPLETED) => Outcome::Completed(
            RawValue::from_string(detail.to_owned()).unwrap_or_else(|_| RawValue::NULL.to_owned()),
        ),
        Some(&ending::CANCELLED) => Outcome::Cancelled(FailureRecord {
            kind: FailureKind::Cancelled,
            message: match detail {
                "" => format!("{} {id} was cancelled", record.name),
                why => format!("{} {id} was cancelled: {why}", record.name),
            },
            chain: Vec::new(),
            attempt: 0,
            worker: String::new(),
            at,
        }),
        _ => Outcome::Failed(FailureRecord::from_json(detail.as_bytes())),
    };
    Some(Told { entry, id, record, outcome })
}
