//! Looking at events that were sent: a list, newest first, and one with what it started.

use std::{cmp::Reverse, collections::HashMap};

use ergate_shared::{
    EventId, EventName, EventRecord, FunctionName, JobId, QueueName, event::SHARDS, key::ShardKeys,
};
use redis::Cmd;
use serde::{Deserialize, Serialize};

use crate::{Client, Error, Page};

/// Entries looked at for one page of a name, in each shard: those of other names are passed over.
const LOOKED_AT: usize = 2000;
const SLICE: usize = 500;

/// An event, and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct EventView {
    /// The event.
    pub record: EventRecord,
    /// When it was sent, in ms since the epoch.
    pub sent_at: u64,
    /// What it started; `None` before it has been delivered.
    pub started: Option<Started>,
}

/// What an event started and whom it woke.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// When it was delivered, in ms since the epoch.
    #[serde(default)]
    pub at: u64,
    /// Runs it started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<StartedRun>,
    /// Runs that waited for it: queue and id, at most a hundred of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resumed: Vec<(QueueName, JobId)>,
    /// How many runs waited for it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub resumed_count: u64,
    /// Runs that it cancelled: queue and id, at most a hundred of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cancelled: Vec<(QueueName, JobId)>,
    /// Functions whose options dropped it: a rate limit, idempotency, or a singleton that was there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<FunctionName>,
    /// What kept it from starting something.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// A run that an event started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartedRun {
    /// Of which function.
    pub function: FunctionName,
    /// Its id.
    pub run: JobId,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The events that were sent, as far as they are kept: by default 10,000 of them for seven days.
#[derive(Debug, Clone)]
pub struct Events {
    client: Client,
    name: Option<EventName>,
}

impl Client {
    /// The events that were sent.
    pub fn events(&self) -> Events {
        Events { client: self.clone(), name: None }
    }

    /// An event, and what it started.
    ///
    /// # Errors
    /// [`Error::NoEvent`] if it is not known, or was trimmed from the history.
    pub async fn event(&self, id: &EventId) -> Result<EventView, Error> {
        let keys = self.shard_keys(id.shard());
        let mut own = Cmd::new();
        own.arg("HGET").arg(&keys.own).arg(id.as_str());
        let key = self.redis().command::<Option<String>>("HGET", &own).await?;
        let key = key.unwrap_or_else(|| id.to_string());
        let mut views = self.event_views(&keys, std::slice::from_ref(&key)).await?;
        views.remove(&key).ok_or_else(|| Error::NoEvent(id.clone()))
    }

    pub(crate) fn shard_keys(&self, shard: usize) -> ShardKeys {
        ShardKeys::new(self.namespace(), shard)
    }

    async fn event_views(
        &self,
        keys: &ShardKeys,
        wanted: &[String],
    ) -> Result<HashMap<String, EventView>, Error> {
        if wanted.is_empty() {
            return Ok(HashMap::new());
        }
        let mut look = redis::pipe();
        look.cmd("HMGET").arg(&keys.events).arg(wanted).cmd("HMGET").arg(&keys.started).arg(wanted);
        let (records, started): (Vec<Option<Vec<u8>>>, Vec<Option<String>>) =
            self.redis().pipeline("events", &look).await?;
        let views =
            wanted.iter().zip(records.into_iter().zip(started)).filter_map(|(key, (record, started))| {
                let record = serde_json::from_slice(&record?).ok()?;
                let started = started.and_then(|started| serde_json::from_str(&started).ok());
                let sent_at = EventId::new(key).ok()?.time_ms().unwrap_or(0);
                Some((key.clone(), EventView { record, sent_at, started }))
            });
        Ok(views.collect())
    }
}

/// A place in a stream: when an entry was added, and a number among those of the same millisecond.
type Place = (u64, u64);

struct Found {
    place: Place,
    shard: usize,
    key: String,
}

impl Events {
    /// Only those of this name.
    ///
    /// # Errors
    /// If the name is not valid.
    pub fn name(mut self, name: &str) -> Result<Self, Error> {
        self.name = Some(name.parse()?);
        Ok(self)
    }

    /// A page of the list, newest first; those of the future come once they are due. `cursor` is what the page before said.
    ///
    /// A page of one name may have fewer events than `limit` and not be the last: others were passed over.
    ///
    /// # Errors
    /// [`Error::Option`] for a cursor that no page gave.
    pub async fn list(&self, cursor: Option<&str>, limit: usize) -> Result<Page<EventView>, Error> {
        let limit = limit.clamp(1, 1000);
        let before = cursor.map(read_cursor).transpose()?;
        let shards = (0..SHARDS).map(|shard| self.newest(shard, before, limit));
        let mut found = Vec::new();
        // Beyond the place where the first shard stopped looking, a later one may have more.
        let mut horizon = None;
        for shard in futures_util::future::try_join_all(shards).await? {
            let (of_shard, stopped_at) = shard;
            found.extend(of_shard);
            horizon = horizon.max(stopped_at);
        }
        found.sort_by_key(|found| Reverse((found.place, found.shard)));
        if let Some((place, shard)) = horizon {
            found.retain(|found| (found.place, found.shard) >= (place, shard));
        }
        let more = found.len() > limit || horizon.is_some();
        let cut = found.len() > limit;
        found.truncate(limit);
        let last = found.last().map(|found| (found.place, found.shard));
        let next = if cut { last } else { horizon.or(last) };
        let next = if more { next.map(write_cursor) } else { None };
        let mut views = HashMap::new();
        for shard in 0..SHARDS {
            let keys: Vec<_> =
                found.iter().filter(|found| found.shard == shard).map(|found| found.key.clone()).collect();
            views.extend(self.client.event_views(&self.client.shard_keys(shard), &keys).await?);
        }
        let items = found.iter().filter_map(|found| views.remove(&found.key)).collect();
        Ok(Page { items, next })
    }

    /// The newest events of a shard before a place, and where it stopped looking if it did not get to the end.
    async fn newest(
        &self,
        shard: usize,
        before: Option<(Place, usize)>,
        limit: usize,
    ) -> Result<(Vec<Found>, Option<(Place, usize)>), Error> {
        let stream = self.client.shard_keys(shard).stream;
        let mut end = match before {
            None => "+".to_owned(),
            // Of entries added in the same millisecond under the same number, those of higher shards come first.
            Some(((ms, number), last)) if shard < last => format!("{ms}-{number}"),
            Some(((ms, number), _)) => format!("({ms}-{number}"),
        };
        let mut found = Vec::new();
        let mut looked_at = 0;
        loop {
            let mut range = Cmd::new();
            let slice = if self.name.is_some() { SLICE } else { limit + 1 };
            range.arg("XREVRANGE").arg(&stream).arg(&end).arg("-").arg("COUNT").arg(slice);
            let entries: Vec<(String, HashMap<String, String>)> =
                self.client.redis().command("XREVRANGE", &range).await?;
            let at_end = entries.len() < slice;
            looked_at += entries.len();
            let mut last = None;
            for (id, mut fields) in entries {
                let Some(place) = read_place(&id) else { continue };
                last = Some(place);
                end = format!("({id}");
                let (Some(key), Some(name)) = (fields.remove("key"), fields.remove("name")) else { continue };
                if self.name.as_ref().is_none_or(|wanted| wanted.as_str() == name) {
                    found.push(Found { place, shard, key });
                }
            }
            if at_end {
                return Ok((found, None));
            }
            if found.len() > limit || looked_at >= LOOKED_AT {
                return Ok((found, last.map(|place| (place, shard))));
            }
        }
    }
}

fn read_place(id: &str) -> Option<Place> {
    let (ms, number) = id.split_once('-')?;
    Some((ms.parse().ok()?, number.parse().ok()?))
}

fn read_cursor(cursor: &str) -> Result<(Place, usize), Error> {
    cursor
        .rsplit_once('-')
        .and_then(|(place, shard)| Some((read_place(place)?, shard.parse().ok()?)))
        .filter(|(_, shard)| *shard < SHARDS)
        .ok_or_else(|| Error::Option(format!("cursor {cursor:?} is not one that a page gave")))
}

fn write_cursor(((ms, number), shard): (Place, usize)) -> String {
    format!("{ms}-{number}-{shard}")
}
