//! Enqueueing many jobs.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::IntoFuture,
    pin::Pin,
};

use ergate_shared::QueueName;

use crate::{
    Durability, Enqueue, Error, OnConflict, Receipt,
    batch::{Enqueues, Made},
    enqueue::{Ready, receipt, unshare},
};

/// Up to this many jobs of one queue, and 4 MiB, are enqueued all or none; more go in batches, in order.
pub const ATOMIC_BATCH: usize = 1000;
/// A batch has fewer jobs if they come to more bytes than this: 4 MiB.
const ATOMIC_BYTES: usize = 4 * 1024 * 1024;
/// Batches on their way at once, so that the next is being read while one is under way.
const AHEAD: usize = 4;

/// Many jobs about to be enqueued: `.await` it. Every job is checked before the first is sent.
///
/// The receipts come in the order of the jobs. A job whose unique key is held is not enqueued, whatever its own option says:
/// its receipt is a duplicate and names the holder, so that the receipts of the others are not lost.
///
/// Jobs of one queue go in batches of at most 1,000 jobs or 4 MiB; each is enqueued all or none. Up to four batches are under
/// way at once. So after an error it is not known which batches are in, and some behind the one that failed may be. Give jobs
/// [ids](Enqueue::id) of your own, and enqueue all of them again: what is there is a duplicate.
///
/// # Errors
/// As awaiting an [`Enqueue`], but neither for a unique key that is held nor for a run that is dropped: their receipts say so.
#[derive(Debug)]
#[must_use = "jobs are enqueued when this is awaited"]
pub struct EnqueueAll {
    jobs: Vec<Enqueue>,
}

impl EnqueueAll {
    pub(crate) fn new(jobs: Vec<Enqueue>) -> Self {
        Self { jobs }
    }

    /// Sets options on every job.
    pub fn each(mut self, options: impl FnMut(Enqueue) -> Enqueue) -> Self {
        self.jobs = self.jobs.into_iter().map(options).collect();
        self
    }

    async fn send(self) -> Result<Vec<Receipt>, Error> {
        let Some(client) = self.jobs.first().map(|job| job.client().clone()) else { return Ok(Vec::new()) };
        let mut queues: BTreeMap<QueueName, Vec<(usize, Ready)>> = BTreeMap::new();
        for (place, job) in self.jobs.into_iter().enumerate() {
            let ready = job.prepared().await?.draft()?;
            queues.entry(ready.queue.clone()).or_default().push((place, ready));
        }
        let mut receipts: Vec<Option<Receipt>> = Vec::new();
        for (queue, jobs) in queues {
            let batcher = client.batcher(&queue);
            let mut jobs = jobs.into_iter().peekable();
            let mut under_way = std::collections::VecDeque::new();
            let mut asked = Vec::new();
            loop {
                while under_way.len() < AHEAD {
                    let (mut drafts, mut about) = (Vec::new(), Vec::new());
                    let mut bytes = 0;
                    while drafts.len() < ATOMIC_BATCH
                        && let Some((place, ready)) = jobs.next_if(|(_, job)| {
                            bytes += job.draft.record.len();
                            drafts.is_empty() || bytes <= ATOMIC_BYTES
                        })
                    {
                        about.push((
                            place,
                            ready.draft.id.clone(),
                            ready.unique.map(|(key, _)| (key, OnConflict::Ignore)),
                            ready.durability,
                        ));
                        drafts.push(ready.draft);
                    }
                    if drafts.is_empty() {
                        break;
                    }
                    under_way.push_back((about, batcher.submit(drafts)));
                }
                let Some((about, answer)) = under_way.pop_front() else { break };
                let taken = answer.await.map_err(unshare)?;
                for ((place, id, unique, durability), (taken, call)) in about.into_iter().zip(taken) {
                    if receipts.len() <= place {
                        receipts.resize_with(place + 1, || None);
                    }
                    receipts[place] = Some(receipt(&queue, id, taken, unique)?);
                    if durability != Durability::Fast {
                        asked.push((place, durability, call));
                    }
                }
            }
            make_safe(batcher.haul(), &asked, &mut receipts).await;
        }
        Ok(receipts.into_iter().flatten().collect())
    }
}

/// Says of the jobs of a queue that are to be safe how safe they are: place, what is wanted, and the call each went with.
///
/// This is asked once behind the last batch, and not behind each: what holds for the last call holds for all before it that went
/// over the same connection, and where replicas are missing each time of asking takes two seconds. A job that went over an earlier
/// connection may have gone to a server whose place another has taken: nothing is claimed of it.
async fn make_safe(
    enqueues: &Enqueues,
    asked: &[(usize, Durability, Made)],
    receipts: &mut [Option<Receipt>],
) {
    let Some((.., last)) = asked.last() else { return };
    // Jobs on a disk may be on no replica, and the other way round.
    let kinds: BTreeSet<Durability> = asked.iter().map(|(_, wanted, _)| *wanted).collect();
    for kind in kinds {
        let reached = kind.reach(enqueues, *last).await;
        for (place, ..) in asked.iter().filter(|(_, wanted, call)| *wanted == kind && call.over == last.over)
        {
            if let Some(receipt) = &mut receipts[*place] {
                receipt.durability = reached;
            }
        }
    }
}

/// Collects jobs of any kind, such as those of [`Client::enqueue_raw`](crate::Client::enqueue_raw).
impl FromIterator<Enqueue> for EnqueueAll {
    fn from_iter<T: IntoIterator<Item = Enqueue>>(jobs: T) -> Self {
        Self::new(jobs.into_iter().collect())
    }
}

impl IntoFuture for EnqueueAll {
    type Output = Result<Vec<Receipt>, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}
