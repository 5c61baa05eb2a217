//! What a queue keeps beside its jobs: leases and who holds them, unique keys, ends to be told, counts of calls.

use std::collections::BTreeMap;

use ergate::{JobRecord, QueueName, UniqueScope, WorkerId};
use ergate_shared::key::QueueKey;

use super::{
    Findings, jobs,
    jobs::Jobs,
    kept::{Kept, text},
    lanes, runs,
};

pub(super) fn judge(kept: &Kept, queue: &QueueName, findings: &mut Findings) {
    jobs::judge(kept, queue, findings);
    let Some(of_queue) = kept.jobs_of(queue) else { return };
    judge_leases(kept, queue, findings);
    judge_unique(kept, queue, of_queue, findings);
    judge_outbox(kept, queue, findings);
    judge_producers(kept, queue, findings);
    lanes::judge(kept, queue, of_queue, findings);
    runs::judge(kept, queue, of_queue, findings);
}

/// Every lease has a holder, every holder a count, and the count is that of its leases.
fn judge_leases(kept: &Kept, queue: &QueueName, findings: &mut Findings) {
    let keys = kept.keys_of(queue);
    let (leased, held, workers) =
        (keys.get(QueueKey::leased), keys.get(QueueKey::held), keys.get(QueueKey::workers));
    let mut counts: BTreeMap<String, i64> = BTreeMap::new();
    for (id, token) in kept.hash(leased) {
        let worker = WorkerId::of_token(&text(token)).to_string();
        findings.expect(kept.sorted(workers).contains_key(&worker), leased, || {
            format!("{id} is leased by {worker}, which is no worker of the queue")
        });
        *counts.entry(worker).or_default() += 1;
    }
    for worker in kept.sorted(workers).keys() {
        let count = kept.hash(held).get(worker);
        findings.expect(count.is_some(), held, || format!("worker {worker} has no count"));
    }
    for (worker, count) in kept.hash(held) {
        let (count, leases) = (text(count), counts.get(worker).copied().unwrap_or(0));
        findings.expect(kept.sorted(workers).contains_key(worker), held, || {
            format!("{worker} is no worker of the queue")
        });
        findings.expect(count.parse() == Ok(leases), held, || {
            format!("worker {worker} is said to hold {count} jobs, its leases are {leases}")
        });
    }
}

/// A unique key belongs to a job that has it, as long as that holds it; and who should hold one does.
fn judge_unique(kept: &Kept, queue: &QueueName, jobs: &Jobs, findings: &mut Findings) {
    let keys = kept.keys_of(queue);
    let (unique, windows) = (keys.get(QueueKey::unique), keys.get(QueueKey::windows));
    for (key, holder) in kept.hash(unique) {
        // A window's key is let go by time, whatever became of the job.
        if kept.sorted(windows).contains_key(key) {
            continue;
        }
        let holder = text(holder);
        let Some(record) = jobs.record(&holder) else {
            findings.add(unique, format!("{key:?} is held by {holder}, which is no job"));
            continue;
        };
        let Some((scope, own)) = &record.unique else {
            findings.add(unique, format!("{key:?} is held by {holder}, which has no unique key"));
            continue;
        };
        findings.expect(own == key, unique, || format!("{key:?} is held by {holder}, whose key is {own:?}"));
        let holds = match scope {
            UniqueScope::Started => jobs.waits(&holder),
            UniqueScope::Finished => !jobs.is_ended(&holder),
            // Its window is gone.
            UniqueScope::Window => false,
        };
        findings.expect(holds, unique, || {
            format!(
                "{key:?} is held by {holder}, which is {}",
                jobs.state(&holder).unwrap_or("in no one state")
            )
        });
    }
    for (id, record) in &jobs.records {
        let Some(JobRecord { unique: Some((UniqueScope::Finished, key)), .. }) = record else { continue };
        // One that is to make room for another has handed it its key.
        let makes_room = kept.hash(keys.get(QueueKey::cancels)).contains_key(id);
        if !jobs.is_ended(id) && !makes_room && jobs.state(id).is_some() {
            let holder = kept.hash(unique).get(key).map(|holder| text(holder));
            findings.expect(holder.as_ref() == Some(id), unique, || {
                format!("{key:?} is not held by {id}, which has not ended, but by {holder:?}")
            });
        }
    }
}

fn judge_outbox(kept: &Kept, queue: &QueueName, findings: &mut Findings) {
    let keys = kept.keys_of(queue);
    let outbox = keys.get(QueueKey::outbox);
    let Some(stream) = kept.stream(outbox) else { return };
    for (place, fields) in &stream.entries {
        let record = fields.get("record").and_then(|record| JobRecord::decode(record).ok());
        let is_whole = fields.contains_key("id") && fields.contains_key("end");
        findings.expect(is_whole && record.is_some_and(|record| record.tells), outbox, || {
            format!("entry {}-{} tells no end of a job", place.0, place.1)
        });
    }
}

fn judge_producers(kept: &Kept, queue: &QueueName, findings: &mut Findings) {
    let keys = kept.keys_of(queue);
    let producers = keys.get(QueueKey::producers);
    for (producer, last) in kept.hash(producers) {
        let last = text(last);
        let numbers: Vec<_> =
            last.lines().next().unwrap_or_default().split(' ').map(str::parse::<u64>).collect();
        findings.expect(numbers.len() == 2 && numbers.iter().all(Result::is_ok), producers, || {
            format!("{producer} has {last:?} for number and time of its last call")
        });
    }
}
