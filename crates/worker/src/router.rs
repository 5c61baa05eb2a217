//! Routes events: starts the functions they trigger, wakes the runs that wait for them, keeps what came of each.
//!
//! Every worker with functions has a router; together they are one consumer group on all shards, so that each event is read
//! by one of them. Whatever a router does to an event can be done again: it may die between any two commands, and another
//! takes over what it had not acknowledged. Only the owner of an entry starts runs: that it is not late is judged by Redis'
//! clock, in the script that starts them.
//!
//! | part | owns |
//! |---|---|
//! | `reader` | the blocked connection |
//! | `table` | which functions an event starts |
//! | `start` | the runs that events start |
//! | `routing` | a batch of events, from their records to the acknowledgement |
//! | `resume` | recent events of a name, and the waits for them |

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ergate_client::{Client, Error};
use ergate_shared::{WorkerId, event::SHARDS, key::ShardKeys, script};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

mod clean;
mod met;
mod reader;
mod resume;
mod routing;
mod start;
mod table;

use crate::Metrics;
use reader::{Batch, Entry, Read};
use routing::Routing;

/// The consumer group all routers are in.
const GROUP: &str = "router";
/// How long what a router has read is its own. It stops at four fifths of it: the rest is what clocks may differ by.
const LEASE: Duration = Duration::from_secs(10);
/// How often a shard is looked after at the least.
const TEND_AT_LEAST: Duration = Duration::from_secs(5);
/// Entries taken over at once, and the most of each other kind worked off by looking after a shard.
const TAKE_OVER: u64 = 100;
const TEND_LIMIT: u64 = 500;
/// After which a router that reads nothing any more is taken off the list.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(1);
/// How long a stopping router waits for a read under way: one that has something to read is answered at once.
const LAST_READ: Duration = Duration::from_millis(200);
/// Events kept in each shard once they have been routed, and for how long.
const KEEP_EVENTS: u64 = 2500;
const KEEP_FOR: Duration = Duration::from_hours(7 * 24);

/// Routes events until it is told to stop.
#[derive(Debug)]
pub struct Router {
    client: Client,
    keep: u64,
    keep_for: Duration,
    lease: Duration,
    metrics: Metrics,
}

impl Router {
    /// A router on a client's Redis.
    pub fn new(client: Client) -> Self {
        Self { client, keep: KEEP_EVENTS, keep_for: KEEP_FOR, lease: LEASE, metrics: Metrics::default() }
    }

    /// Sets how many routed events the history has, default 10,000, and for how long, default seven days.
    #[must_use]
    pub fn keep(mut self, events: u64, time: Duration) -> Self {
        self.keep = events.div_ceil(SHARDS as u64);
        self.keep_for = time;
        self
    }

    /// Sets how long what it has read is its own; default 10 s. What a router that died had not acknowledged is taken over
    /// by another after this and half of it again, at the latest. All routers must agree on it.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Counts into these metrics instead of ones of its own.
    #[must_use]
    pub fn metrics(mut self, metrics: Metrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// Routes until `stop` resolves; what has been read by then is routed.
    pub async fn run_until(self, stop: impl Future<Output = ()>) {
        let name = WorkerId::generate().to_string();
        let stopping = CancellationToken::new();
        let groups: Vec<Vec<usize>> = if self.client.redis().is_cluster() {
            (0..SHARDS).map(|shard| vec![shard]).collect()
        } else {
            vec![(0..SHARDS).collect()]
        };
        let lanes: Vec<_> = groups
            .into_iter()
            .map(|shards| {
                let lane = Lane {
                    client: self.client.clone(),
                    name: name.clone(),
                    keys: shards
                        .iter()
                        .map(|shard| ShardKeys::new(self.client.namespace(), *shard))
                        .collect::<Arc<[_]>>(),
                    // One of them looks after what is not in shards.
                    cleans: shards[0] == 0,
                    keep: self.keep,
                    keep_for: self.keep_for,
                    lease: self.lease,
                    metrics: self.metrics.clone(),
                };
                AbortOnDropHandle::new(tokio::spawn(lane.run(stopping.clone())))
            })
            .collect();
        stop.await;
        stopping.cancel();
        futures_util::future::join_all(lanes).await;
    }
}

/// The shards of one connection.
struct Lane {
    client: Client,
    name: String,
    keys: Arc<[ShardKeys]>,
    cleans: bool,
    keep: u64,
    keep_for: Duration,
    lease: Duration,
    metrics: Metrics,
}

impl Lane {
    async fn run(self, stopping: CancellationToken) {
        let mut routing = Routing::new(
            self.client.clone(),
            Arc::clone(&self.keys),
            self.keep,
            self.keep_for,
            self.metrics.clone(),
        );
        let cleaning =
            self.cleans.then(|| AbortOnDropHandle::new(tokio::spawn(clean::run(self.client.clone()))));
        // The groups must be there before the first read.
        let mut tend_at = self.tend(&mut routing).await;
        let (sender, mut reads) = tokio::sync::mpsc::channel(1);
        let reading = reader::run(
            self.client.clone(),
            Arc::clone(&self.keys),
            self.name.clone(),
            self.owned_for(),
            sender,
            stopping.clone(),
        );
        let reading = AbortOnDropHandle::new(tokio::spawn(reading));
        loop {
            tokio::select! {
                () = stopping.cancelled() => break,
                () = tokio::time::sleep_until(tend_at.into()) => tend_at = self.tend(&mut routing).await,
                read = reads.recv() => match read {
                    Some(Read::Batch(batch)) => tend_at = tend_at.min(self.route(&mut routing, batch).await),
                    Some(Read::Broken) => tend_at = self.tend(&mut routing).await,
                    None => break,
                },
            }
        }
        drop(cleaning);
        // The reader begins no other read; one that is under way may bring something yet.
        while let Ok(Some(read)) = tokio::time::timeout(LAST_READ, reads.recv()).await {
            if let Read::Batch(batch) = read {
                self.route(&mut routing, batch).await;
            }
        }
        drop(reading);
    }

    /// Routes a batch, and says when a shard is to be looked after, for an event of the future that was announced.
    async fn route(&self, routing: &mut Routing, batch: Batch) -> Instant {
        let due = batch.entries.iter().filter_map(|entry| entry.announces).min();
        routing.route(batch).await;
        due.map_or_else(|| self.later(), |due| self.instant(due))
    }

    /// Looks after every shard, and says when next.
    async fn tend(&self, routing: &mut Routing) -> Instant {
        let tended: Vec<_> = (0..self.keys.len()).map(|place| self.tend_one(place)).collect();
        let mut next = self.later();
        let mut broken = false;
        for tended in futures_util::future::join_all(tended).await {
            match tended {
                Ok((due, batch)) => {
                    if let Some(due) = due {
                        next = next.min(self.instant(due));
                    }
                    if !batch.entries.is_empty() {
                        tracing::info!(
                            events = batch.entries.len(),
                            "taking over what another router left behind"
                        );
                        next = next.min(self.route(routing, batch).await);
                    }
                }
                Err(error) => {
                    broken = true;
                    tracing::warn!(%error, "looking after the events was cut off; it is done again");
                }
            }
        }
        if broken { next.min(Instant::now() + Duration::from_millis(500)) } else { next }
    }

    async fn tend_one(&self, place: usize) -> Result<(Option<u64>, Batch), Error> {
        let sent_at = self.client.redis().now_ms();
        let call = script::EVENT_TEND
            .on_shard(&self.keys[place])
            .arg("")
            .arg(GROUP)
            .arg(&self.name)
            .number(self.lease.as_millis() as i128)
            .number(TAKE_OVER)
            .number(TEND_LIMIT)
            .number(self.keep)
            .number(self.keep_for.as_millis() as i128)
            .number(FORGOTTEN_AFTER.as_millis() as i128);
        type Reply = (u64, String, Vec<reader::Raw>);
        let (now, due, taken): Reply = self.client.redis().run(&call).await?;
        self.client.redis().saw_time(now);
        let entries = taken.into_iter().filter_map(|raw| Entry::read(place, raw)).collect();
        Ok((due.parse().ok(), Batch::new(entries, sent_at, self.owned_for()).taken_over()))
    }

    fn instant(&self, due: u64) -> Instant {
        // At least a millisecond, as Redis' clock is known here within about that.
        let left = Duration::from_millis(due.saturating_sub(self.client.redis().now_ms()).max(1));
        (Instant::now() + left).min(self.later())
    }

    fn later(&self) -> Instant {
        Instant::now() + TEND_AT_LEAST.min(self.lease / 2)
    }

    fn owned_for(&self) -> Duration {
        self.lease * 4 / 5
    }
}
