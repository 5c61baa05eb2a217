//! A batch of events, from their records to the acknowledgement.
//!
//! Runs are started and waits resolved before an event is acknowledged, both under names that make a second time change
//! nothing.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use ergate_client::{Client, Error, Started};
use ergate_shared::{EventId, EventRecord, FunctionName, key::ShardKeys, script};

use super::{
    GROUP,
    reader::{Batch, Entry},
    resume::{Names, Resumed},
    start::{self, Start, Starts},
    table::Table,
};
use crate::{Metrics, cut_off::cut_off};

/// Runs of one event that are told as woken by it; more are counted.
const NAMED: usize = 100;

pub(super) struct Routing {
    client: Client,
    keys: Arc<[ShardKeys]>,
    keep: u64,
    keep_for: Duration,
    table: Table,
    names: Names,
    metrics: Metrics,
    /// The version of the registry by which the first of what was cut off was routed.
    cut_at: Option<u64>,
}

/// An event of a batch with its record.
pub(super) struct Arrived<'a> {
    pub(super) entry: &'a Entry,
    pub(super) key: &'a EventId,
    pub(super) record: EventRecord,
    /// The record as it is kept.
    pub(super) text: Vec<u8>,
}

/// An entry as it is acknowledged: its key, unless it has no event, and what came of it.
type Done<'a> = (&'a Entry, Option<&'a EventId>, Started);

impl Routing {
    pub(super) fn new(
        client: Client,
        keys: Arc<[ShardKeys]>,
        keep: u64,
        keep_for: Duration,
        metrics: Metrics,
    ) -> Self {
        let names = Names::new(client.clone());
        Self { client, keys, keep, keep_for, table: Table::default(), names, metrics, cut_at: None }
    }

    /// Routes a batch; whether some of it is to be tried again soon. What cannot be routed stays unacknowledged, and if that will
    /// not change soon, whoever may take it over tries again.
    pub(super) async fn route(&mut self, batch: Batch) -> bool {
        let Err(error) = self.try_route(&batch.entries, &batch).await else { return false };
        let soon_over = if error.is_connection() || matches!(error, Error::Late) {
            Some(error)
        } else {
            if !error.is_temporary() {
                tracing::warn!(%error, "events that were read together are routed one by one");
            }
            self.route_singly(&batch).await
        };
        if let Some(error) = &soon_over {
            self.cut_at.get_or_insert(self.table.version());
            cut_off!(error, "events were not routed; they are tried again");
        }
        soon_over.is_some()
    }

    /// One event that cannot be routed must not hold up those it was read with. Returns what is over soon, if it was that.
    async fn route_singly(&mut self, batch: &Batch) -> Option<Error> {
        let mut soon_over = None;
        for entry in &batch.entries {
            match self.try_route(std::slice::from_ref(entry), batch).await {
                Err(error) if is_soon_over(&error) => soon_over = Some(error),
                Err(error) => {
                    tracing::error!(event = ?entry.event, %error, "an event was not routed; it is tried again");
                }
                Ok(()) => {}
            }
        }
        soon_over
    }

    /// Forgets what was cut off: nothing of it is left to be done again by this router.
    pub(super) fn forget_cut(&mut self) {
        self.cut_at = None;
    }

    /// Routes these entries of a batch.
    async fn try_route(&mut self, entries: &[Entry], batch: &Batch) -> Result<(), Error> {
        let owned_until = batch.owned_until;
        let (arrived, mut done) = self.read(entries).await?;
        if batch.is_again && self.cut_at.is_some_and(|version| version != self.table.version()) {
            // A start as another version may be on its way: who takes these over comes when that would be late.
            return Ok(());
        }
        let mut starts: BTreeMap<FunctionName, Starts> = BTreeMap::new();
        let mut outcomes: Vec<Started> = Vec::with_capacity(arrived.len());
        let mut beyond_us = vec![false; arrived.len()];
        for (place, event) in arrived.iter().enumerate() {
            let found = self.table.starts(&event.record);
            beyond_us[place] = found.is_beyond_us;
            let sent_at = event.key.time_ms().unwrap_or(event.entry.came);
            outcomes.push(Started { problems: found.problems, ..Started::default() });
            for (function, (spec, rules)) in found.functions {
                let run = event.record.id.run_id(sent_at, &function.base());
                let starts = starts.entry(function).or_insert_with(|| Starts { spec, runs: Vec::new() });
                starts.runs.push(Start { place, run, rules });
            }
        }
        for starts in starts.values_mut() {
            // Shards were read one after the other: what came first starts first.
            starts.runs.sort_by_key(|start| (arrived[start.place].entry.came, arrived[start.place].key));
        }
        if batch.is_left_behind {
            for (place, run) in start::leave_to_other_versions(&self.client, starts.values_mut()).await? {
                outcomes[place].runs.push(run);
            }
        }
        let (started, resumed) = tokio::join!(
            start::start_all(&self.client, &arrived, starts.values(), owned_until),
            self.names.resume(&arrived)
        );
        for (place, started) in started? {
            match started {
                Ok(run) => outcomes[place].runs.push(run),
                Err(function) => outcomes[place].dropped.push(function),
            }
        }
        for (place, resumed) in resumed?.into_iter().enumerate() {
            let Resumed { runs, cancelled, is_beyond_us } = resumed;
            beyond_us[place] |= is_beyond_us;
            outcomes[place].resumed_count = runs.len() as u64;
            outcomes[place].cancelled = cancelled.into_iter().take(NAMED).collect();
            outcomes[place].resumed = runs.into_iter().take(NAMED).collect();
        }
        let now = self.client.redis().now_ms();
        for ((event, outcome), beyond_us) in arrived.iter().zip(outcomes).zip(&beyond_us) {
            if *beyond_us {
                tracing::error!(
                    event = %event.record.id,
                    problems = ?outcome.problems,
                    "an expression is beyond this build; the event is left to another router"
                );
                continue;
            }
            done.push((event.entry, Some(event.key), Started { at: now, ..outcome }));
        }
        self.finish(&done, owned_until).await?;
        let now = self.client.redis().now_ms();
        for (entry, ..) in done.iter().filter(|(_, key, _)| key.is_some()) {
            self.metrics.routed(Duration::from_millis(now.saturating_sub(entry.came)));
        }
        if batch.is_again {
            // A call made before may come yet, and must find the ids taken. They are forgotten after a day.
            return Ok(());
        }
        let client = &self.client;
        let acknowledged: Vec<_> = starts
            .values()
            .map(|starts| {
                let runs = starts.runs.iter().filter(|start| !beyond_us[start.place]);
                let runs: Vec<_> = runs.map(|start| start.run.clone()).collect();
                async move { client.acknowledged(&starts.spec.queue(), &runs).await }
            })
            .collect();
        for acknowledged in futures_util::future::join_all(acknowledged).await {
            // What is left over is forgotten after a day.
            if let Err(error) = acknowledged {
                tracing::debug!(%error, "ids of runs stay taken for a day");
            }
        }
        Ok(())
    }

    /// Reads the records, and with them whether the registry of functions has changed: so an event never meets a registry
    /// older than itself, and an event costs no call for that.
    async fn read<'a>(&mut self, entries: &'a [Entry]) -> Result<(Vec<Arrived<'a>>, Vec<Done<'a>>), Error> {
        let mut by_shard: Vec<Vec<(&Entry, &EventId)>> = vec![Vec::new(); self.keys.len()];
        let mut done = Vec::new();
        for entry in entries {
            match &entry.event {
                Some((key, _)) => by_shard[entry.shard].push((entry, key)),
                None => done.push((entry, None, Started::default())),
            }
        }
        let client = &self.client;
        let records: Vec<_> = by_shard
            .iter()
            .zip(self.keys.iter())
            .filter(|(wanted, _)| !wanted.is_empty())
            .map(|(wanted, keys)| {
                let mut read = redis::cmd("HMGET");
                read.arg(&keys.events);
                for (_, key) in wanted {
                    read.arg(key.as_str());
                }
                async move {
                    let records: Vec<Option<Vec<u8>>> = client.redis().command("HMGET", &read).await?;
                    Ok::<_, Error>((wanted, records))
                }
            })
            .collect();
        let mut version = redis::cmd("GET");
        version.arg(&self.client.registry_keys().functions_version);
        let version = self.client.redis().command::<Option<u64>>("GET", &version);
        let (records, version) = tokio::try_join!(futures_util::future::try_join_all(records), version)?;
        let mut arrived = Vec::new();
        for (wanted, records) in records {
            for ((entry, key), record) in wanted.iter().copied().zip(records) {
                let Some(text) = record else {
                    done.push((entry, None, Started::default()));
                    continue;
                };
                match serde_json::from_slice(&text) {
                    Ok(record) => arrived.push(Arrived { entry, key, record, text }),
                    Err(error) => {
                        tracing::error!(event = %key, %error, "the record of an event cannot be read");
                        let problems = vec![format!("its record cannot be read: {error}")];
                        let at = self.client.redis().now_ms();
                        done.push((entry, Some(key), Started { at, problems, ..Started::default() }));
                    }
                }
            }
        }
        let version = version.unwrap_or(0);
        if version != self.table.version() {
            self.table = Table::new(version, &self.client.functions().await?);
        }
        Ok((arrived, done))
    }

    async fn finish(&self, done: &[Done<'_>], owned_until: u64) -> Result<(), Error> {
        let mut by_shard: HashMap<usize, Vec<&Done<'_>>> = HashMap::new();
        for one in done {
            by_shard.entry(one.0.shard).or_default().push(one);
        }
        let calls: Vec<_> = by_shard
            .into_iter()
            .map(|(shard, done)| {
                let mut call = script::EVENT_FINISH
                    .on_shard(&self.keys[shard])
                    .arg("")
                    .arg(GROUP)
                    .number(owned_until)
                    .number(self.keep)
                    .number(self.keep_for.as_millis() as i128);
                for (entry, key, outcome) in done {
                    call.push(&entry.id);
                    call.push(key.map(EventId::as_str).unwrap_or_default());
                    call.push(serde_json::to_vec(outcome).expect("an outcome is JSON"));
                }
                async move { self.client.redis().run::<(u64, String)>(&call).await }
            })
            .collect();
        for answer in futures_util::future::join_all(calls).await {
            let (now, code) = answer?;
            self.client.redis().saw_time(now);
            if code == "late" {
                return Err(Error::Late);
            }
        }
        Ok(())
    }
}

/// Whether what failed so may succeed soon.
fn is_soon_over(error: &Error) -> bool {
    error.is_temporary() || matches!(error, Error::Late)
}
