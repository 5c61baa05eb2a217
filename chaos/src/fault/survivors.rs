//! What Redis, after a restart or a failover that may have lost something, has of what it acknowledged last: that must not be
//! lost any more.

use ergate::{Client, EventId};

use crate::{
    evidence::Evidence,
    ground::Ground,
    ledger::{self, Answer, Told},
    play::insist,
    stage::Stage,
};

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// Jobs and runs.
    Job,
    /// Events.
    Event,
}

/// Notes which jobs and events that were acknowledged since `since` (ns) are there now, as `client` has it: its connection must not
/// be to who is no master any more.
pub(super) async fn note<G: Ground>(
    stage: &mut Stage<G>,
    client: &Client,
    since: u64,
    sorts: &[Sort],
) -> anyhow::Result<()> {
    let told: Vec<Told> = ledger::read(&stage.told());
    for told in told.into_iter().filter(|told| told.answer == Answer::Kept && told.ns >= since) {
        let sort = match told.kind.as_str() {
            "ordered" | "paid" => Sort::Event,
            "pack" => Sort::Job,
            kind if Evidence::JOBS.contains(&kind) => Sort::Job,
            _ => continue,
        };
        if sorts.contains(&sort) && is_there(client, sort, &told).await? {
            stage.diary.survivors.insert(told.id);
        }
    }
    Ok(())
}

async fn is_there(client: &Client, sort: Sort, told: &Told) -> anyhow::Result<bool> {
    let found = match sort {
        Sort::Job => {
            let job = client.queue(&Evidence::queue_of(&told.kind))?.job(&told.id)?;
            insist(async || job.status().await).await.map(|_| ())
        }
        Sort::Event => {
            let id = EventId::new(&told.id)?;
            insist(async || client.event(&id).await).await.map(|_| ())
        }
    };
    match found {
        Ok(()) => Ok(true),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error.into()),
    }
}
