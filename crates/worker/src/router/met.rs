//! Waits that events may end: whose conditions are met, and telling their runs.

use std::collections::{BTreeMap, HashMap, HashSet};

use ergate_client::{Client, Delivered, Error};
use ergate_shared::{EventName, QueueName, WaitRef, run::Resolution, wait::CANCELS};
use futures_util::{StreamExt as _, stream};

use super::{
    resume::{Candidate, Resumed},
    routing::Arrived,
};

/// Runs told by one call, and bytes of it: each is told the whole event.
const MOST_RUNS: usize = 100;
const MOST_BYTES: usize = 2 * 1024 * 1024;
/// Calls on their way at the same time.
const UNDER_WAY: usize = 16;

/// Tells the runs whose conditions are met, and then removes their waits.
pub(super) async fn end_waits(
    client: &Client,
    name: &EventName,
    arrived: &[Arrived<'_>],
    places: &[usize],
    candidates: Vec<Candidate>,
) -> Result<Vec<(usize, Resumed)>, Error> {
    let mut outcomes: HashMap<usize, Resumed> =
        places.iter().map(|place| (*place, Resumed::default())).collect();
    let mut taken: HashSet<WaitRef> = HashSet::new();
    let mut met: Vec<Met> = Vec::new();
    for Candidate { place, wait } in candidates {
        let event = &arrived[place];
        if event.entry.came < wait.since || event.entry.came > wait.until || taken.contains(&wait.wait) {
            continue;
        }
        let odd = |problem: &_| {
            let (id, wait) = (&event.record.id, &wait.wait);
            tracing::warn!(event.id = %id, %wait, %problem, "an event is none for a wait, as its condition comes to nothing");
        };
        match wait.condition.is_met_by(&event.record, odd) {
            Ok(false) => {}
            // The first of two events in a batch is the one that is meant.
            Ok(true) => {
                taken.insert(wait.wait.clone());
                met.push((place, wait.wait));
            }
            Err(error) => {
                tracing::error!(wait = %wait.wait, %error, "the condition of a wait cannot be read here");
                outcomes.entry(place).or_default().is_beyond_us = true;
            }
        }
    }
    let calls = calls_of(met, arrived).into_iter().map(|waits| async move {
        let told = tell(client, arrived, &waits).await;
        (waits, told)
    });
    let told: Vec<_> = stream::iter(calls.collect::<Vec<_>>()).buffered(UNDER_WAY).collect().await;
    let mut ended = Vec::new();
    let mut failed = None;
    for (waits, told) in told {
        match told {
            Ok(each) => {
                for ((place, wait), delivered) in waits.into_iter().zip(each) {
                    if delivered == Delivered::Done {
                        let run = (wait.queue.clone(), wait.run.clone());
                        let outcome = outcomes.entry(place).or_default();
                        let runs =
                            if wait.entry == CANCELS { &mut outcome.cancelled } else { &mut outcome.runs };
                        runs.push(run);
                    }
                    ended.push(wait);
                }
            }
            Err(error) => failed = Some(error),
        }
    }
    client.withdraw_waits(name, &ended).await?;
    match failed {
        Some(error) => Err(error),
        None => Ok(outcomes.into_iter().collect()),
    }
}

type Met = (usize, WaitRef);

/// What is told with one call each: a cancellation alone, events to many runs of a queue together.
fn calls_of(met: Vec<Met>, arrived: &[Arrived<'_>]) -> Vec<Vec<Met>> {
    let (cancels, waits): (Vec<Met>, Vec<Met>) = met.into_iter().partition(|(_, wait)| wait.entry == CANCELS);
    let mut calls: Vec<Vec<Met>> = cancels.into_iter().map(|cancel| vec![cancel]).collect();
    let mut by_queue: BTreeMap<QueueName, (usize, Vec<Met>)> = BTreeMap::new();
    for met in waits {
        let (bytes, call) = by_queue.entry(met.1.queue.clone()).or_default();
        let more = arrived[met.0].text.len();
        if call.len() == MOST_RUNS || (!call.is_empty() && *bytes + more > MOST_BYTES) {
            calls.push(std::mem::take(call));
            *bytes = 0;
        }
        *bytes += more;
        call.push(met);
    }
    calls.extend(by_queue.into_values().map(|(_, call)| call));
    calls
}

async fn tell(client: &Client, arrived: &[Arrived<'_>], waits: &[Met]) -> Result<Vec<Delivered>, Error> {
    let Some((place, first)) = waits.first() else { return Ok(Vec::new()) };
    if first.entry == CANCELS {
        let is_there = client.cancel_by_event(&first.queue, &first.run, &arrived[*place].record).await?;
        return Ok(vec![if is_there { Delivered::Done } else { Delivered::Gone }]);
    }
    let resolutions = waits.iter().map(|(place, wait)| {
        (wait.run.clone(), wait.entry, Resolution::Event(arrived[*place].record.clone()))
    });
    client.deliver_all(&first.queue, resolutions.collect()).await
}
