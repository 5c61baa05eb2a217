//! Looks for states of a queue that must not exist, and repairs them.
//!
//! Every record is in exactly one state and every lease has a holder, so the numbers of [`QueueStats`](crate::QueueStats)
//! add up. As long as they do, this costs one script call; only if not are the records read and judged one by one.

use std::{collections::HashSet, time::Duration};

use ergate_shared::{JobState, WorkerId, key::QueueKey, script};
use redis::Cmd;

use crate::{Error, Queue};

/// How much was wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Repairs {
    /// Records that were in no state, made ready.
    pub records: u64,
    /// Ids without a record, dropped.
    pub unlisted: u64,
    /// Counts of leases put right.
    pub holders: u64,
    /// Counts of keys put right, and lanes set up anew.
    pub flow: u64,
}

impl Repairs {
    /// All of them.
    pub fn total(self) -> u64 {
        self.records + self.unlisted + self.holders + self.flow
    }
}

const PAGE: usize = 200;

/// Repairs a queue whose numbers do not add up.
///
/// # Errors
/// Errors of the connection; running it again goes on.
pub async fn reconcile(queue: &Queue) -> Result<Repairs, Error> {
    reconcile_spaced(queue, None).await
}

/// For workers: the same, but leaves the keys, of which there may be any number, to the worker that has begun with them less than
/// `spacing` ago.
///
/// # Errors
/// As [`reconcile`].
#[doc(hidden)]
pub async fn reconcile_beside_others(queue: &Queue, spacing: Duration) -> Result<Repairs, Error> {
    reconcile_spaced(queue, Some(spacing)).await
}

async fn reconcile_spaced(queue: &Queue, spacing: Option<Duration>) -> Result<Repairs, Error> {
    let stats = queue.stats().await?;
    // What runs of each key is told by the leases alone, so it is counted anew each time.
    let flow = if stats.has_keys { repair_flow(queue, spacing).await? } else { 0 };
    if stats.adds_up() {
        return Ok(Repairs { flow, ..Repairs::default() });
    }
    let holders = repair_holders(queue).await?;
    let unlisted = repair_unlisted(queue).await?;
    let records = repair_records(queue).await?;
    Ok(Repairs { records, unlisted, holders, flow })
}

async fn repair(queue: &Queue, kind: &str, suspects: &[String]) -> Result<u64, Error> {
    let mut repaired = 0;
    for page in suspects.chunks(PAGE) {
        let mut call = script::QUEUE_REPAIR.on(queue.keys()).arg(kind);
        for suspect in page {
            call.push(suspect);
        }
        let (count, _): (u64, String) = queue.client().redis().run(&call).await?;
        repaired += count;
    }
    Ok(repaired)
}

/// Page by page: of keys, and of windows of functions among them, there may be any number.
async fn repair_flow(queue: &Queue, mut spacing: Option<Duration>) -> Result<u64, Error> {
    let (mut repaired, mut cursor) = (0, "0".to_owned());
    loop {
        let mut call = script::QUEUE_REPAIR.on(queue.keys()).arg("flow").arg(&cursor);
        if let Some(spacing) = spacing.take() {
            call = call.number(spacing.as_millis() as i128);
        }
        let (count, next): (u64, String) = queue.client().redis().run(&call).await?;
        repaired += count;
        cursor = next;
        if cursor == "0" {
            return Ok(repaired);
        }
    }
}

async fn scan(queue: &Queue, key: QueueKey, cursor: u64) -> Result<(u64, Vec<(String, Vec<u8>)>), Error> {
    let mut scan = Cmd::new();
    scan.arg("HSCAN").arg(queue.keys().get(key)).arg(cursor).arg("COUNT").arg(PAGE);
    queue.client().redis().command("HSCAN", &scan).await
}

async fn repair_holders(queue: &Queue) -> Result<u64, Error> {
    let mut workers = HashSet::new();
    for key in [QueueKey::held, QueueKey::leased] {
        let mut cursor = 0;
        loop {
            let (next, entries) = scan(queue, key, cursor).await?;
            for (field, value) in entries {
                workers.insert(match key {
                    QueueKey::held => field,
                    _ => WorkerId::of_token(&String::from_utf8_lossy(&value)).to_string(),
                });
            }
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
    }
    repair(queue, "holder", &workers.into_iter().collect::<Vec<_>>()).await
}

async fn repair_unlisted(queue: &Queue) -> Result<u64, Error> {
    let mut repaired = 0;
    for state in JobState::ALL {
        let mut cursor: Option<String> = None;
        loop {
            let page = queue.ids(state, cursor.as_deref(), PAGE).await?;
            let mut get = Cmd::new();
            get.arg("HMGET").arg(queue.keys().get(QueueKey::jobs));
            for id in &page.items {
                get.arg(id.as_str());
            }
            if !page.items.is_empty() {
                let records: Vec<Option<Vec<u8>>> = queue.client().redis().command("HMGET", &get).await?;
                let missing = page.items.iter().zip(&records).filter(|(_, record)| record.is_none());
                let missing: Vec<String> = missing.map(|(id, _)| id.to_string()).collect();
                repaired += repair(queue, "unlisted", &missing).await?;
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
    }
    Ok(repaired)
}

/// The script judges each record; those in the ready list cost it a search, so records known to be there are left out.
async fn repair_records(queue: &Queue) -> Result<u64, Error> {
    let mut listed = HashSet::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = queue.ids(JobState::Ready, cursor.as_deref(), PAGE).await?;
        listed.extend(page.items.into_iter().map(|id| id.to_string()));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let (mut repaired, mut cursor) = (0, 0);
    loop {
        let (next, entries) = scan(queue, QueueKey::jobs, cursor).await?;
        let suspects: Vec<String> =
            entries.into_iter().map(|(id, _)| id).filter(|id| !listed.contains(id)).collect();
        repaired += repair(queue, "record", &suspects).await?;
        cursor = next;
        if cursor == 0 {
            return Ok(repaired);
        }
    }
}
