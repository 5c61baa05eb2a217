//! The events that tell of an end. Whatever the run was started with, returned or failed with, they are small enough to be sent:
//! what is too large is left out or cut.

use ergate_shared::{
    Event, EventName, EventRecord, FunctionName,
    event::LARGEST_EVENT,
    function::{EndedRun, FunctionCancelled, FunctionFailed, FunctionFinished},
    id::own_id,
};
use serde::Serialize;
use serde_json::Value;

use super::{
    brief::brief,
    told::{Outcome, Told},
};

/// What an event may have beside what the run was started with and what came of it, in bytes: names and ids.
const REST: usize = 4096;
/// The most that it may have of each of these two, in bytes of JSON.
const HALF: usize = LARGEST_EVENT / 2 - REST;

/// An event that tells of an end, before it is sent.
#[derive(Debug)]
pub(super) struct News {
    pub(super) name: EventName,
    /// The same whenever this end is told.
    pub(super) id: String,
    pub(super) data: Value,
}

impl News {
    fn new<E: Event>(id: String, event: &E) -> Self {
        let name = EventName::new(E::NAME).expect("the name is valid");
        let data = serde_json::to_value(event).expect("what is told is JSON");
        Self { name, id: own_id(id), data }
    }

    /// What is to be sent of the end of a run that these events started; if `finished`, also what tells of all ends.
    pub(super) fn of(
        function: &FunctionName,
        end: &Told,
        started_by: Vec<EventRecord>,
        finished: bool,
    ) -> Vec<Self> {
        let (event, events) = fitting(started_by);
        let run = EndedRun { function: function.clone(), id: end.id.clone(), event, events };
        let id = format!("{}.{}", run.id, end.entry);
        let error = match &end.outcome {
            Outcome::Completed(_) => None,
            Outcome::Failed(failure) | Outcome::Cancelled(failure) => Some(brief(failure)),
        };
        let mut news = Vec::new();
        if finished {
            let result = result_of(&end.outcome);
            let told = FunctionFinished { run: run.clone(), result, error: error.clone() };
            news.push(Self::new(format!("{id}.finished"), &told));
        }
        match (&end.outcome, error) {
            (Outcome::Failed(_), Some(error)) => news.push(Self::new(id, &FunctionFailed { run, error })),
            (Outcome::Cancelled(_), Some(error)) => {
                news.push(Self::new(id, &FunctionCancelled { run, error }));
            }
            _ => {}
        }
        news
    }
}

/// The first event, and all of them for a batch, which has the first twice; none if they are too large.
fn fitting(started_by: Vec<EventRecord>) -> (Option<EventRecord>, Vec<EventRecord>) {
    let first = started_by.first().cloned();
    let all = if started_by.len() > 1 { started_by } else { Vec::new() };
    if size(&first) + size(&all) > HALF { (None, Vec::new()) } else { (first, all) }
}

/// What a run returned; `null` if it did not, or that is too large.
fn result_of(outcome: &Outcome) -> Value {
    let Outcome::Completed(result) = outcome else { return Value::Null };
    let result = serde_json::to_value(result).unwrap_or_default();
    if size(&result) > HALF { Value::Null } else { result }
}

/// In bytes of JSON.
fn size(what: &impl Serialize) -> usize {
    serde_json::to_vec(what).expect("what is told is JSON").len()
}

#[cfg(test)]
mod tests {
    use ergate_shared::{
        EventId, FailureKind, FailureRecord, JobId, JobName, JobOptions, JobRecord, Priority,
    };
    use serde_json::{json, value::RawValue};

    use super::*;

    const KIB: usize = 1024;

    fn event(data: usize, user: usize) -> EventRecord {
        let event = json!({
            "id": "a", "name": "x/y", "data": "d".repeat(data), "user": "u".repeat(user), "ts": 1
        });
        serde_json::from_value(event).unwrap()
    }

    fn failure(message: String, chain: Vec<String>) -> FailureRecord {
        let kind = FailureKind::Error;
        FailureRecord { kind, message, chain, attempt: 1, worker: String::new(), at: 1 }
    }

    fn end(outcome: Outcome) -> Told {
        let record = JobRecord {
            name: JobName::new("long").unwrap(),
            priority: Priority::default(),
            unique: None,
            lane: None,
            order_at: None,
            tells: true,
            expires: false,
            enqueued_at: 1,
            due_at: 1,
            version: 1,
            options: JobOptions::default(),
            payload: Vec::new(),
        };
        Told { entry: "1795301793689-0".to_owned(), id: JobId::stored("r".repeat(128)), record, outcome }
    }

    /// What is told of a run with this end, each as an event that can be sent.
    fn news(started_by: Vec<EventRecord>, outcome: Outcome) -> Vec<Value> {
        let function = "f".repeat(100).parse().unwrap();
        let sent = |news: News| {
            let id = EventId::new(&news.id).unwrap();
            let record =
                EventRecord { id, name: news.name, data: news.data, user: None, ts: 1 << 45, v: None };
            assert!(size(&record) <= LARGEST_EVENT, "{} has {} bytes", record.name, size(&record));
            record.data
        };
        News::of(&function, &end(outcome), started_by, true).into_iter().map(sent).collect()
    }

    fn completed(result: usize) -> Outcome {
        Outcome::Completed(RawValue::from_string(format!("\"{}\"", "r".repeat(result))).unwrap())
    }

    #[test]
    fn a_failure_of_any_length_can_be_told_with_what_started_the_run() {
        let long = failure("\u{1}".repeat(400 * KIB), vec!["\u{1}".repeat(400 * KIB); 100]);

        for outcome in [Outcome::Failed(long.clone()), Outcome::Cancelled(long)] {
            let told = news(vec![event(200 * KIB, 0)], outcome);

            assert_eq!(told.len(), 2);
            for told in told {
                assert!(told["error"]["message"].as_str().unwrap().ends_with("… [405504 bytes more]"));
                assert_eq!(told["event"]["data"].as_str().unwrap().len(), 200 * KIB);
            }
        }
    }

    #[test]
    fn what_an_event_says_of_its_user_counts_as_its_data_does() {
        let ended = || Outcome::Failed(failure("no".to_owned(), Vec::new()));

        for batch in [vec![event(0, 300 * KIB); 2], vec![event(0, 90 * KIB); 2], vec![event(0, 300 * KIB)]] {
            for told in news(batch, ended()) {
                assert_eq!((&told["event"], &told["events"]), (&Value::Null, &Value::Null));
            }
        }
        for told in news(vec![event(0, 80 * KIB); 2], ended()) {
            assert!(told["event"].is_object() && told["events"].as_array().unwrap().len() == 2);
        }
    }

    #[test]
    fn a_result_is_told_beside_what_started_the_run_as_far_as_each_is_half_an_event() {
        let both = news(vec![event(125 * KIB, 125 * KIB)], completed(250 * KIB));
        let neither = news(vec![event(256 * KIB, 0)], completed(256 * KIB));

        assert!(both[0]["event"].is_object() && both[0]["result"].is_string());
        assert!(neither[0]["event"].is_null() && neither[0]["result"].is_null());
    }
}
