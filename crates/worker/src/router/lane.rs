//! Shards that share a connection: what is read of them is routed, one batch after the other, and in between they are looked after.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use ergate_client::{Client, Error};
use ergate_shared::{key::ShardKeys, script};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{
    GROUP, Router, clean,
    reader::{self, Batch, Entry, Read},
    routing::Routing,
};
use crate::cut_off::cut_off;

/// How often a shard is looked after at the least.
const TEND_AT_LEAST: Duration = Duration::from_secs(5);
/// How soon what failed is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// Entries taken over at once, and the most of each other kind worked off by looking after a shard.
const TAKE_OVER: u64 = 100;
const TEND_LIMIT: u64 = 500;
/// After which a router that reads nothing any more is taken off the list.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(1);
/// How long a stopping router waits for a read under way: one that has something to read is answered at once.
const LAST_READ: Duration = Duration::from_millis(200);

pub(super) struct Lane {
    client: Client,
    name: String,
    keys: Arc<[ShardKeys]>,
    cleans: bool,
    keep: u64,
    keep_for: Duration,
    lease: Duration,
    routing: Routing,
    /// Something may be this router's own that it has not heard of, or could not route.
    uncertain: bool,
    /// What was found so, with its shard: the one read that may be under way could bring it as well.
    found: HashSet<(usize, String)>,
}

impl Lane {
    /// The lane of a router under this name; one of them `cleans` what is not in shards.
    pub(super) fn new(router: &Router, name: String, keys: Arc<[ShardKeys]>, cleans: bool) -> Self {
        let Router { client, keep, keep_for, lease, metrics } = router;
        let routing = Routing::new(client.clone(), Arc::clone(&keys), *keep, *keep_for, metrics.clone());
        Self {
            client: client.clone(),
            name,
            keys,
            cleans,
            keep: *keep,
            keep_for: *keep_for,
            lease: *lease,
            routing,
            uncertain: false,
            found: HashSet::new(),
        }
    }

    pub(super) async fn run(mut self, stopping: CancellationToken) {
        let cleaning =
            self.cleans.then(|| AbortOnDropHandle::new(tokio::spawn(clean::run(self.client.clone()))));
        // The groups must be there before the first read.
        let mut tend_at = self.tend().await;
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
                () = tokio::time::sleep_until(tend_at.into()) => tend_at = self.tend().await,
                read = reads.recv() => match read {
                    Some(Read::Batch(batch)) => tend_at = tend_at.min(self.route_read(batch).await),
                    Some(Read::Broken) => {
                        self.uncertain = true;
                        // The read that could have brought it is over.
                        self.found.clear();
                        tend_at = self.tend().await;
                    }
                    None => break,
                },
            }
        }
        drop(cleaning);
        // The reader begins no other read; one that is under way may bring something yet.
        while let Ok(Some(read)) = tokio::time::timeout(LAST_READ, reads.recv()).await {
            if let Read::Batch(batch) = read {
                self.route_read(batch).await;
            }
        }
        drop(reading);
        if self.uncertain {
            self.tend().await;
        }
    }

    /// Routes what was read, but for what has been found and routed since it was.
    async fn route_read(&mut self, mut batch: Batch) -> Instant {
        let found = std::mem::take(&mut self.found);
        if !found.is_empty() {
            batch.entries.retain(|entry| !found.contains(&(entry.shard, entry.id.clone())));
            if batch.entries.is_empty() {
                return self.later();
            }
        }
        self.route(batch).await
    }

    /// Routes a batch, and says when a shard is to be looked after: for an event of the future that was announced, or for what
    /// could not be routed.
    async fn route(&mut self, batch: Batch) -> Instant {
        let due = batch.entries.iter().filter_map(|entry| entry.announces).min();
        let next = due.map_or_else(|| self.later(), |due| self.instant(due));
        self.uncertain |= self.routing.route(batch).await;
        if self.uncertain { next.min(Instant::now() + AGAIN) } else { next }
    }

    /// Looks after every shard, and says when next.
    async fn tend(&mut self) -> Instant {
        let uncertain = std::mem::take(&mut self.uncertain);
        let tended: Vec<_> = (0..self.keys.len()).map(|place| self.tend_one(place, uncertain)).collect();
        let mut next = self.later();
        for tended in futures_util::future::join_all(tended).await {
            match tended {
                Ok((due, batch)) => {
                    if let Some(due) = due {
                        next = next.min(self.instant(due));
                    }
                    if !batch.entries.is_empty() {
                        tracing::info!(events = batch.entries.len(), "routing what was left behind");
                        if uncertain {
                            self.found
                                .extend(batch.entries.iter().map(|entry| (entry.shard, entry.id.clone())));
                            // There may be more of its own.
                            self.uncertain |= batch.entries.len() as u64 == TAKE_OVER;
                        }
                        next = next.min(self.route(batch).await);
                    }
                }
                Err(error) => {
                    self.uncertain = true;
                    cut_off!(error, "looking after the events was cut off; it is done again");
                }
            }
        }
        if self.uncertain {
            return next.min(Instant::now() + AGAIN);
        }
        self.routing.forget_cut();
        next
    }

    /// Looks after one shard. Whoever is `uncertain` is handed what is its own once more.
    async fn tend_one(&self, place: usize, uncertain: bool) -> Result<(Option<u64>, Batch), Error> {
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
            .number(FORGOTTEN_AFTER.as_millis() as i128)
            .arg(if uncertain { "1" } else { "" });
        type Reply = (u64, String, Vec<reader::Raw>);
        let (now, due, taken): Reply = self.client.redis().run(&call).await?;
        self.client.redis().saw_time(now);
        let entries = taken.into_iter().filter_map(|raw| Entry::read(place, raw)).collect();
        Ok((due.parse().ok(), Batch::new(entries, sent_at, self.owned_for()).left_behind(uncertain)))
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
