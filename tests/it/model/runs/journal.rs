//! Entries as the engine writes them, and what they say.

use ergate_shared::{
    Condition, EventRecord,
    run::{Entry, Op, Resolution},
};
use serde_json::{json, value::to_raw_value};

use super::world::Wait;

pub(super) const EVENT: &str = "app/happened";

/// An entry on its way into a journal.
#[derive(Debug, Clone)]
pub(super) struct Write {
    pub(super) closes: Option<u32>,
    pub(super) opens: bool,
    pub(super) text: String,
}

fn write(step: String, at: u64, op: Op, closes: Option<u32>, opens: bool) -> Write {
    Write { closes, opens, text: Entry { step, at, op }.to_json() }
}

pub(super) fn done(step: String, at: u64) -> Write {
    let result = to_raw_value(&step).expect("it is JSON");
    write(step, at, Op::Done { result, attempt: 1, ran: 0 }, None, false)
}

pub(super) fn condition(number: u8) -> Condition {
    Condition::any().on("number", number)
}

pub(super) fn wait(step: String, at: u64, wait: &Wait) -> Write {
    let event = EVENT.parse().expect("it is a name");
    let op = Op::Wait { event, condition: condition(wait.number), since: wait.since, due: wait.until };
    write(step, at, op, None, true)
}

pub(super) fn invoke(step: String, at: u64, queue: &str, job: &str, due: u64) -> Write {
    let queue = queue.parse().expect("it is a name");
    write(step, at, Op::Invoke { queue, job: job.parse().expect("it is an id"), due }, None, true)
}

pub(super) fn timed_out(entry: u32, at: u64) -> Write {
    resolved(entry, at, Resolution::TimedOut)
}

pub(super) fn found(entry: u32, at: u64, record: &str) -> Write {
    resolved(entry, at, Resolution::Event(serde_json::from_str(record).expect("it is an event")))
}

pub(super) fn result(entry: u32, at: u64, of: &str) -> Write {
    resolved(entry, at, Resolution::Result(to_raw_value(of).expect("it is JSON")))
}

fn resolved(entry: u32, at: u64, with: Resolution) -> Write {
    Write { closes: Some(entry), opens: false, text: Entry::resolution(entry, with, at).to_json() }
}

/// An event's record as it is kept.
pub(super) fn event(id: &str, number: u8, ts: u64) -> String {
    let record = json!({"id": id, "name": EVENT, "data": {"number": number}, "ts": ts});
    let record: EventRecord = serde_json::from_value(record).expect("it is an event");
    serde_json::to_string(&record).expect("it is JSON")
}

/// Entries of a journal that wait for an event, and what for.
pub(super) fn waits(journal: &[String]) -> Vec<(u32, Wait)> {
    let waits = (1..).zip(journal).filter_map(|(number, text)| {
        let Op::Wait { condition, since, due, .. } = Entry::from_json(text).expect("it reads").op else {
            return None;
        };
        let of = condition.all[0].value.as_u64().expect("a number") as u8;
        Some((number, Wait { number: of, since, until: due }))
    });
    waits.collect()
}

/// The step of each entry, and for a resolution the entry it closes.
pub(super) fn steps(journal: &[String]) -> Vec<(String, Option<u32>)> {
    let of = |text: &String| {
        let entry = Entry::from_json(text).expect("it reads");
        let closes = match entry.op {
            Op::Resolved { entry, .. } => Some(entry),
            _ => None,
        };
        (entry.step, closes)
    };
    journal.iter().map(of).collect()
}
