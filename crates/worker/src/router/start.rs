//! Starts the runs that a batch of events asks for, those of one function together.

use std::sync::Arc;

use ergate_client::{Client, EnqueueAll, Error, StartedRun};
use ergate_shared::{
    EventRecord, FunctionName, FunctionSpec, JobId, RunInput, function::StartRules, key::QueueKey,
};
use futures_util::{StreamExt as _, stream};

use super::routing::Arrived;

/// Waits for events that cancel a run, kept at the same time.
const AT_ONCE: usize = 64;

/// Runs of one function, in the order in which they are to start.
pub(super) struct Starts {
    pub(super) spec: Arc<FunctionSpec>,
    pub(super) runs: Vec<Start>,
}

/// A run that an event is to start.
pub(super) struct Start {
    /// The event's place in the batch.
    pub(super) place: usize,
    /// The run's id: the same however often the event is routed.
    pub(super) run: JobId,
    pub(super) rules: StartRules,
}

/// What came of the event at a place: the run that has it, or the function whose options dropped it.
type Outcome = (usize, Result<StartedRun, FunctionName>);

/// Starts all of them.
pub(super) async fn start_all(
    client: &Client,
    arrived: &[Arrived<'_>],
    starts: impl Iterator<Item = &Starts>,
    owned_until: u64,
) -> Result<Vec<Outcome>, Error> {
    let each = starts.map(|starts| start(client, arrived, starts, owned_until));
    Ok(futures_util::future::try_join_all(each).await?.into_iter().flatten().collect())
}

async fn start(
    client: &Client,
    arrived: &[Arrived<'_>],
    starts: &Starts,
    owned_until: u64,
) -> Result<Vec<Outcome>, Error> {
    let spec = &starts.spec;
    let found = watch_for_cancels(client, arrived, starts).await?;
    let jobs: EnqueueAll = starts
        .runs
        .iter()
        .map(|start| {
            let event = &arrived[start.place];
            let input = RunInput { version: spec.version, ..RunInput::of(event.record.clone()) };
            let enqueue = client.start_by(spec, start.rules.clone(), &input, event.entry.came);
            enqueue.id(start.run.as_str()).routed(owned_until)
        })
        .collect();
    let receipts = jobs.await?;
    for (start, event) in found {
        client.cancel_by_event(&spec.queue(), &start.run, &event).await?;
    }
    let mut outcomes = Vec::with_capacity(receipts.len());
    for (start, receipt) in starts.runs.iter().zip(receipts) {
        let run = StartedRun { function: spec.name.clone(), run: receipt.id };
        if receipt.dropped {
            client.let_no_events_cancel(&spec.queue(), &start.run, &start.rules.cancels).await;
        }
        outcomes.push((start.place, if receipt.dropped { Err(run.function) } else { Ok(run) }));
    }
    Ok(outcomes)
}

/// Keeps the waits for events that cancel the runs, before the runs themselves. One that came already is returned.
async fn watch_for_cancels<'a>(
    client: &Client,
    arrived: &[Arrived<'_>],
    starts: &'a Starts,
) -> Result<Vec<(&'a Start, EventRecord)>, Error> {
    // The event of a run that is put off may become another: the worker that begins it sees to it.
    if starts.spec.options.cancel_on.is_empty() || starts.spec.options.debounce.is_some() {
        return Ok(Vec::new());
    }
    let queue = starts.spec.queue();
    let mut waits = Vec::with_capacity(starts.runs.len());
    for start in &starts.runs {
        let since = arrived[start.place].entry.came;
        waits.push(client.let_events_cancel(&queue, &start.run, &start.rules.cancels, since));
    }
    let answers: Vec<_> = stream::iter(waits).buffered(AT_ONCE).collect().await;
    let mut found = Vec::new();
    for (start, answer) in starts.runs.iter().zip(answers) {
        found.extend(answer?.map(|event| (start, event)));
    }
    Ok(found)
}

/// Takes out the runs that a router before this one has started as another version of their function, which has been the
/// highest then; returns them with the places of their events.
pub(super) async fn leave_to_other_versions(
    client: &Client,
    starts: impl Iterator<Item = &mut Starts>,
) -> Result<Vec<(usize, StartedRun)>, Error> {
    let all: Vec<_> = client.queues().await?.iter().filter_map(FunctionName::of_queue).collect();
    let mut found = Vec::new();
    for Starts { spec, runs } in starts {
        for other in all.iter().filter(|other| other.base() == spec.name.base() && **other != spec.name) {
            let mut look = redis::pipe();
            for start in runs.iter() {
                look.zscore(client.keys(&other.queue()).get(QueueKey::routed), start.run.as_str());
            }
            let there: Vec<Option<f64>> = match runs.is_empty() {
                true => Vec::new(),
                false => client.redis().pipeline("ZSCORE", &look).await?,
            };
            let mut there = there.into_iter();
            runs.retain(|start| {
                let is_there = there.next().flatten().is_some();
                if is_there {
                    found.push((start.place, StartedRun { function: other.clone(), run: start.run.clone() }));
                }
                !is_there
            });
        }
    }
    Ok(found)
}
