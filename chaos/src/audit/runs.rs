//! Journals of runs: entries as many as counted, open ones that are awaited, and nothing a run waits for that cannot come.

use std::collections::BTreeSet;

use ergate::{
    EventName, JobId, QueueName, WaitRef,
    run::{Entry, Op},
};
use ergate_shared::key::{NameKeys, QueueKey};

use super::{
    Findings,
    jobs::Jobs,
    kept::{Kept, text},
};

const OPEN: &str = ".open";

pub(super) fn judge(kept: &Kept, queue: &QueueName, jobs: &Jobs, findings: &mut Findings) {
    let keys = kept.keys_of(queue);
    let (steps, journal) = (keys.get(QueueKey::steps), keys.get(QueueKey::journal));
    for (run, count) in kept.hash(steps) {
        let count = text(count);
        let Ok(count) = count.parse::<u32>() else {
            findings.add(steps, format!("{run} has {count:?} entries"));
            continue;
        };
        judge_run(kept, queue, jobs, (run, count), findings);
    }
    for field in kept.hash(journal).keys() {
        let (run, number) = field.trim_end_matches(OPEN).rsplit_once('.').unwrap_or((field, ""));
        let count = kept.hash(steps).get(run).and_then(|count| text(count).parse::<u32>().ok()).unwrap_or(0);
        let is_counted = number.parse::<u32>().is_ok_and(|number| (1..=count).contains(&number));
        findings.expect(is_counted, journal, || format!("{field} is no entry of a run that has {count}"));
    }
}

fn judge_run(
    kept: &Kept,
    queue: &QueueName,
    jobs: &Jobs,
    (run, count): (&str, u32),
    findings: &mut Findings,
) {
    let keys = kept.keys_of(queue);
    let journal = keys.get(QueueKey::journal);
    let mut entries = Vec::new();
    for number in 1..=count {
        let Some(entry) = kept.hash(journal).get(&format!("{run}.{number}")) else {
            findings.add(journal, format!("entry {number} of {run} is missing"));
            return;
        };
        match Entry::from_json(&text(entry)) {
            Ok(entry) => entries.push((number, entry)),
            Err(error) => {
                findings.add(journal, format!("entry {number} of {run}: {error}"));
                return;
            }
        }
    }
    let id = JobId::stored(run);
    let mut resolved = BTreeSet::new();
    for (number, entry) in &entries {
        if let Op::Resolved { entry: of, .. } = entry.op {
            findings
                .expect(resolved.insert(of), journal, || format!("entry {of} of {run} is resolved twice"));
            findings.expect(of < *number && !kept.is_open(queue, &id, of), journal, || {
                format!("entry {of} of {run} is resolved and open")
            });
        }
    }
    let is_suspended = jobs.state(run) == Some("scheduled");
    for (number, entry) in &entries {
        let is_open = kept.is_open(queue, &id, *number);
        match &entry.op {
            Op::Wait { event, due, .. } if is_open => {
                let waits = is_suspended && *due > kept.now;
                findings.expect(!waits || is_kept(kept, queue, &id, *number, event), journal, || {
                    format!("entry {number} of {run} waits for {event}, which does not know of it")
                });
            }
            Op::Invoke { queue: of, job, due } if is_open => {
                let waits = is_suspended && *due > kept.now;
                findings.expect(!waits || is_to_come(kept, of, job), journal, || {
                    format!("entry {number} of {run} waits for the end of {job} in {of}, and there is none to come")
                });
            }
            Op::Wait { .. } | Op::Invoke { .. } => {
                findings.expect(resolved.contains(number), journal, || {
                    format!("entry {number} of {run} is closed, and nothing says how it came out")
                });
            }
            _ => findings.expect(!is_open, journal, || {
                format!("entry {number} of {run} is open and waits for nothing")
            }),
        }
    }
}

fn is_kept(kept: &Kept, queue: &QueueName, run: &JobId, entry: u32, event: &EventName) -> bool {
    let waits = NameKeys::new(&kept.namespace, event).waits;
    let wait = WaitRef { queue: queue.clone(), run: run.clone(), entry };
    kept.hash(&waits).contains_key(&wait.to_string())
}

/// Whether the end of a job that a run waits for will be told: it has not ended, or its end is still to be told.
fn is_to_come(kept: &Kept, queue: &QueueName, job: &JobId) -> bool {
    let lives = kept
        .jobs_of(queue)
        .is_some_and(|jobs| jobs.records.contains_key(job.as_str()) && !jobs.is_ended(job.as_str()));
    let outbox = kept.keys_of(queue).get(QueueKey::outbox).to_owned();
    let mut told = kept.stream(&outbox).into_iter().flat_map(|stream| stream.entries.values());
    lives || told.any(|fields| fields.get("id").is_some_and(|id| id == job.as_str().as_bytes()))
}
