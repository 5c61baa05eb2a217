//! Starts the runs that a batch of events asks for, those of one function together.

use std::sync::Arc;

use ergate_client::{Client, EnqueueAll, Error, StartedRun};
use ergate_shared::{FunctionName, FunctionSpec, JobId, RunInput, function::StartRules};

use super::routing::Arrived;

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
    let jobs: EnqueueAll = starts
        .runs
        .iter()
        .map(|start| {
            let event = arrived[start.place].record.clone();
            let input = RunInput { version: spec.version, ..RunInput::of(event) };
            client.start_by(spec, start.rules.clone(), &input).id(start.run.as_str()).routed(owned_until)
        })
        .collect();
    let receipts = jobs.await?;
    let outcomes = starts.runs.iter().zip(receipts).map(|(start, receipt)| {
        let run = StartedRun { function: spec.name.clone(), run: receipt.id };
        (start.place, if receipt.dropped { Err(run.function) } else { Ok(run) })
    });
    Ok(outcomes.collect())
}
