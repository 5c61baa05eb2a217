//! The call that settles and leases: its arguments, and its reply.

use std::{sync::Arc, time::Duration};

use ergate_client::{Error, Redis};
use ergate_shared::{
    JobId, WorkerId, duration, ending,
    script::{self, Call},
};

use crate::{
    identity::Seat,
    outcome::{Action, Settlement},
};

/// After how many bytes of records the script leases no more, and how many bytes of outcomes are added to a call.
pub(crate) const MOST_BYTES: usize = 4 * 1024 * 1024;

/// What a turn answered.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) code: Code,
    pub(crate) now: u64,
    pub(crate) held: u64,
    pub(crate) next_in: Option<Duration>,
    pub(crate) more: bool,
    pub(crate) leased: Vec<Leased>,
    /// Jobs whose settlement came too late.
    pub(crate) stale: Vec<String>,
}

impl Turn {
    /// Whether jobs may have been left because those it leased are large enough together.
    pub(crate) fn is_full(&self) -> bool {
        self.leased.iter().map(|job| job.record.len()).sum::<usize>() >= MOST_BYTES
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    Ok,
    Paused,
    Lapsed,
}

/// A job this worker now has.
#[derive(Debug)]
pub(crate) struct Leased {
    pub(crate) id: String,
    pub(crate) record: Vec<u8>,
    pub(crate) tries: Option<String>,
    /// How many entries its journal has, if it is a run.
    pub(crate) steps: u32,
}

pub(crate) async fn take(
    redis: &Redis,
    seat: &Seat,
    worker: &WorkerId,
    token: &str,
    ask: usize,
    settlements: &[Settlement],
) -> Result<Turn, Error> {
    type Reply = (
        u64,
        String,
        u64,
        i64,
        u64,
        Vec<String>,
        Vec<Vec<u8>>,
        Vec<Option<String>>,
        Vec<Option<u32>>,
        Vec<String>,
    );
    let call = |connection| arguments(redis, seat, worker, token, ask, settlements, connection);
    let (now, code, held, next, more, ids, records, tries, steps, stale): Reply =
        redis.run_over("worker/turn", call).await?;
    let code = match code.as_str() {
        "ok" => Code::Ok,
        "paused" => Code::Paused,
        "lapsed" => Code::Lapsed,
        _ => return Err(ergate_shared::Error::Reply { script: "worker/turn", reply: code }.into()),
    };
    let tries = tries.into_iter().chain(std::iter::repeat(None));
    let steps = steps.into_iter().chain(std::iter::repeat(None));
    let leased = ids
        .into_iter()
        .zip(records)
        .zip(tries.zip(steps))
        .map(|((id, record), (tries, steps))| Leased { id, record, tries, steps: steps.unwrap_or(0) })
        .collect();
    let next_in = u64::try_from(next).ok().map(Duration::from_millis);
    Ok(Turn { code, now, held, next_in, more: more == 1, leased, stale })
}

/// No journal has as many entries.
const NO_COUNT: &str = "-1";

/// The arguments as they are right over one connection.
fn arguments(
    redis: &Redis,
    seat: &Seat,
    worker: &WorkerId,
    token: &str,
    ask: usize,
    settlements: &[Settlement],
    connection: u64,
) -> Call {
    type Group<'a> = (&'a Arc<str>, Vec<(&'a JobId, &'a str)>);
    let mut groups: Vec<Group<'_>> = Vec::new();
    for settled in settlements {
        let Action::Complete(result) = &settled.action else { continue };
        let entry = (&settled.id, result.as_str());
        // Few tokens, so a search is quicker than a map.
        match groups.iter_mut().find(|(token, _)| *token == &settled.token) {
            Some((_, jobs)) => jobs.push(entry),
            None => groups.push((&settled.token, vec![entry])),
        }
    }
    let mut call = script::WORKER_TURN
        .on(&seat.keys)
        .arg("")
        .arg(worker.as_str())
        .arg(token)
        .number(ask as u64)
        .number(groups.len() as u64);
    for (token, jobs) in &groups {
        call.push(token.as_bytes());
        call.push(jobs.len().to_string());
    }
    let now = redis.now_ms();
    let mut end = Vec::new();
    for (id, result) in groups.iter().flat_map(|(_, jobs)| jobs) {
        call.push(id.as_str());
        call.push(ending::write(&mut end, ending::COMPLETED, now, result.as_bytes()));
    }
    for settled in settlements {
        let (kind, when, tries) = match &settled.action {
            Action::Other { kind, delay, tries, .. } => {
                (*kind, delay.min(&duration::LONGEST).as_millis().to_string(), *tries)
            }
            Action::Suspend { due, .. } => ("suspend", due.to_string(), None),
            Action::Complete(_) | Action::Nothing => continue,
        };
        call.push(kind);
        call.push(settled.id.as_str());
        call.push(settled.token.as_bytes());
        call.push(when);
        call.push(tries.map(ergate_shared::Tries::to_text).unwrap_or_default());
        match &settled.action {
            Action::Other { kind: "complete" | "tell", detail, .. } => {
                call.push(ending::write(&mut end, ending::COMPLETED, now, detail));
            }
            Action::Suspend { known, connection: began_on, .. } if *began_on == connection => {
                call.push(known.to_string());
            }
            Action::Suspend { .. } => call.push(NO_COUNT),
            Action::Other { detail, .. } => call.push(detail),
            Action::Complete(_) | Action::Nothing => {}
        }
    }
    call
}

/// Everything Redis says `worker` holds, with the tokens: read page by page, as only the worker itself changes it.
pub(crate) async fn holdings(
    redis: &Redis,
    seat: &Seat,
    worker: &WorkerId,
) -> Result<Vec<(JobId, Arc<str>)>, Error> {
    use ergate_shared::key::QueueKey;
    let (mut held, mut cursor) = (std::collections::HashMap::new(), 0_u64);
    loop {
        let mut scan = redis::cmd("HSCAN");
        scan.arg(seat.keys.get(QueueKey::leased)).arg(cursor).arg("COUNT").arg(500);
        let (next, entries): (u64, Vec<(String, String)>) = redis.command("HSCAN", &scan).await?;
        for (id, token) in entries {
            if WorkerId::of_token(&token) == *worker {
                held.insert(JobId::stored(id), Arc::from(token));
            }
        }
        cursor = next;
        if cursor == 0 {
            return Ok(held.into_iter().collect());
        }
    }
}

/// The records of jobs the worker holds without having been told.
pub(crate) async fn records(redis: &Redis, seat: &Seat, ids: &[JobId]) -> Result<Vec<Leased>, Error> {
    use ergate_shared::key::QueueKey;
    let mut pipeline = redis::pipe();
    for key in [QueueKey::jobs, QueueKey::tries, QueueKey::steps] {
        pipeline.cmd("HMGET").arg(seat.keys.get(key));
        for id in ids {
            pipeline.arg(id.as_str());
        }
    }
    type Found = (Vec<Option<Vec<u8>>>, Vec<Option<String>>, Vec<Option<u32>>);
    let (records, tries, steps): Found = redis.pipeline("HMGET", &pipeline).await?;
    Ok(ids
        .iter()
        .zip(records)
        .zip(tries.into_iter().zip(steps))
        .filter_map(|((id, record), (tries, steps))| {
            Some(Leased { id: id.to_string(), record: record?, tries, steps: steps.unwrap_or(0) })
        })
        .collect())
}
