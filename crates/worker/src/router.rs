//! Routes events: starts the functions they trigger, wakes the runs that wait for them, keeps what came of each.
//!
//! Every worker with functions has a router; together they are one consumer group on all shards, so that each event is read
//! by one of them. Whatever a router does to an event can be done again: it may die between any two commands, and another
//! takes over what it had not acknowledged. Only the owner of an entry starts runs: that it is not late is judged by Redis'
//! clock, in the script that starts them.
//!
//! | part | owns |
//! |---|---|
//! | `lane` | shards that are read and looked after together, and what is to be done again |
//! | `reader` | the blocked connection |
//! | `table` | which functions an event starts |
//! | `start` | the runs that events start |
//! | `routing` | a batch of events, from their records to the acknowledgement |
//! | `resume` | recent events of a name, and the waits for them |

use std::time::Duration;

use ergate_client::Client;
use ergate_shared::{WorkerId, event::SHARDS, key::ShardKeys};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

mod clean;
mod lane;
mod met;
mod reader;
mod resume;
mod routing;
mod start;
mod table;

use crate::Metrics;
use lane::Lane;

/// The consumer group all routers are in.
const GROUP: &str = "router";
/// How long what a router has read is its own. It stops at four fifths of it: the rest is what clocks may differ by.
const LEASE: Duration = Duration::from_secs(10);
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

    /// Sets how many routed events the history has, default 10,000, and for how long, default seven days. Those of the last
    /// minute are kept whatever their number, as they may be sent again.
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
                let keys = shards.iter().map(|shard| ShardKeys::new(self.client.namespace(), *shard));
                // One of them looks after what is not in shards.
                let lane = Lane::new(&self, name.clone(), keys.collect(), shards[0] == 0);
                AbortOnDropHandle::new(tokio::spawn(lane.run(stopping.clone())))
            })
            .collect();
        stop.await;
        stopping.cancel();
        futures_util::future::join_all(lanes).await;
    }
}
