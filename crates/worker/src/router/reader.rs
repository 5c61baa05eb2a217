//! Reads events as they come: one blocked connection for all shards of a lane.

use std::{collections::HashMap, sync::Arc, time::Duration};

use ergate_client::{Client, Error};
use ergate_shared::{EventId, EventName, key::ShardKeys};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::GROUP;
use crate::cut_off::cut_off;

/// How soon a connection that is dead is noticed; new events end the block.
const BLOCK: Duration = Duration::from_secs(5);
/// More than the 100 ms at whose tick Redis ends blocked commands.
const MARGIN: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(200);
/// Events read at once from each shard: enough to share every call that follows.
const AT_ONCE: usize = 50;

/// An entry of a stream as Redis answers it.
pub(super) type Raw = (String, HashMap<String, String>);

#[derive(Debug)]
pub(super) enum Read {
    Batch(Batch),
    /// The connection broke, or the group is gone.
    Broken,
}

/// Entries that are this router's own for a while.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) entries: Vec<Entry>,
    /// Until when, in ms since the epoch by Redis' clock.
    pub(super) owned_until: u64,
    /// Whether some of it may have been routed already, by another router or this one.
    pub(super) is_left_behind: bool,
    /// Whether this router has had it before: a call it made then may still be on its way, in time.
    pub(super) is_again: bool,
}

#[derive(Debug)]
pub(super) struct Entry {
    /// Which of the lane's shards it is in.
    pub(super) shard: usize,
    /// Its place in the stream.
    pub(super) id: String,
    /// When it was added, in ms since the epoch by Redis' clock.
    pub(super) came: u64,
    /// The event; none for an entry that only announces one of the future, and when that is due.
    pub(super) event: Option<(EventId, EventName)>,
    pub(super) announces: Option<u64>,
}

impl Entry {
    pub(super) fn read(shard: usize, (id, fields): Raw) -> Option<Self> {
        let came = id.split_once('-')?.0.parse().ok()?;
        let event = fields.get("key").zip(fields.get("name"));
        let event = event.and_then(|(key, name)| Some((EventId::new(key).ok()?, name.parse().ok()?)));
        let announces = fields.get("due").and_then(|due| due.parse().ok());
        Some(Self { shard, id, came, event, announces })
    }
}

impl Batch {
    /// Of entries that were handed to this router by a call sent at `sent_at`: not before that, nor before they were added.
    pub(super) fn new(entries: Vec<Entry>, sent_at: u64, owned_for: Duration) -> Self {
        let newest = entries.iter().map(|entry| entry.came).max().unwrap_or(0);
        let owned_until = newest.max(sent_at) + owned_for.as_millis() as u64;
        Self { entries, owned_until, is_left_behind: false, is_again: false }
    }

    /// Of entries that another router left behind, or `again` this one.
    pub(super) fn left_behind(self, is_again: bool) -> Self {
        Self { is_left_behind: true, is_again, ..self }
    }
}

/// Reads until stopped, one batch ahead of what is being routed.
pub(super) async fn run(
    client: Client,
    keys: Arc<[ShardKeys]>,
    name: String,
    owned_for: Duration,
    batches: mpsc::Sender<Read>,
    stopping: CancellationToken,
) {
    let mut read = redis::cmd("XREADGROUP");
    read.arg("GROUP").arg(GROUP).arg(&name).arg("COUNT").arg(AT_ONCE);
    read.arg("BLOCK").arg(BLOCK.as_millis() as u64).arg("STREAMS");
    for keys in keys.iter() {
        read.arg(&keys.stream);
    }
    for _ in keys.iter() {
        read.arg(">");
    }
    let mut connection = None;
    while !stopping.is_cancelled() {
        let Ok(room) = batches.reserve().await else { return };
        if stopping.is_cancelled() {
            return;
        }
        let sent_at = client.redis().now_ms();
        let answer = async {
            if connection.is_none() {
                connection = Some(client.redis().dedicated().await?);
            }
            let connection = connection.as_mut().expect("it was just made");
            let answer: Option<Vec<(String, Vec<Raw>)>> =
                connection.command("XREADGROUP", &read, BLOCK + MARGIN).await?;
            Ok::<_, Error>(answer.unwrap_or_default())
        };
        match answer.await {
            Ok(streams) if streams.is_empty() => {}
            Ok(streams) => {
                let entries = streams.into_iter().flat_map(|(stream, entries)| {
                    let shard = keys.iter().position(|keys| keys.stream == stream).unwrap_or(0);
                    entries.into_iter().filter_map(move |raw| Entry::read(shard, raw))
                });
                room.send(Read::Batch(Batch::new(entries.collect(), sent_at, owned_for)));
            }
            Err(error) => {
                cut_off!(error, "waiting for events was cut off");
                connection = None;
                tokio::time::sleep(PAUSE).await;
                room.send(Read::Broken);
            }
        }
    }
}
