//! Events of one shard on their way: many senders share a call.
//!
//! An event has a key that its sender made, so that a call that is sent again after a lost reply keeps nothing twice and
//! answers the same.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use ergate_shared::{EventId, EventName, Namespace, event::SHARDS, key::ShardKeys, script};

use crate::{
    Error, Redis,
    coalesce::{Coalescer, Haul, until_answered},
};

/// The most events of one call: each costs Redis a few microseconds.
pub(super) const MOST_PARCELS: usize = 500;
/// The most bytes of one call, unless one event alone has more.
pub(super) const MOST_BYTES: usize = 4 * 1024 * 1024;
/// For how long an own id is not taken again.
const OWN_ID_FOR: Duration = Duration::from_hours(24);

/// An event as it goes into the script.
#[derive(Debug, Clone)]
pub(crate) struct Parcel {
    pub(crate) id: EventId,
    /// What it is kept under: its id, unless that is the user's own.
    pub(super) key: EventId,
    pub(crate) is_own: bool,
    pub(super) name: EventName,
    pub(crate) record: Vec<u8>,
    /// When it is to be delivered, in ms since the epoch, if not now.
    pub(super) due: Option<u64>,
}

/// What became of one event of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    New,
    Duplicate,
}

pub(crate) type EventBatcher = Coalescer<Shard>;

/// The sends into one shard.
pub(crate) struct Shard {
    redis: Redis,
    keys: ShardKeys,
    number: usize,
    deadline: Duration,
    kept: AtomicU64,
    duplicates: AtomicU64,
    /// Takes everything instead of Redis.
    #[cfg(feature = "testing")]
    recording: Option<crate::Outbox>,
}

impl EventBatcher {
    /// New events and refused duplicates so far.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let shard = self.haul();
        (shard.kept.load(Ordering::Relaxed), shard.duplicates.load(Ordering::Relaxed))
    }

    pub(crate) fn of_all_shards(
        redis: &Redis,
        namespace: &Namespace,
        deadline: Duration,
        #[cfg(feature = "testing")] recording: Option<&crate::Outbox>,
    ) -> Vec<Self> {
        let shard = |number| Shard {
            redis: redis.clone(),
            keys: ShardKeys::new(namespace, number),
            number,
            deadline,
            kept: AtomicU64::new(0),
            duplicates: AtomicU64::new(0),
            #[cfg(feature = "testing")]
            recording: recording.cloned(),
        };
        (0..SHARDS).map(|number| Self::new(shard(number))).collect()
    }
}

impl Haul for Shard {
    type Item = Parcel;
    type Outcome = Kept;
    const MOST_ITEMS: usize = MOST_PARCELS;
    const MOST_BYTES: usize = MOST_BYTES;

    fn size(parcel: &Parcel) -> usize {
        parcel.record.len()
    }

    fn deadline(&self) -> Duration {
        self.deadline
    }

    async fn send(&self, parcels: Vec<&Parcel>, _: u64, left: Duration) -> Result<Vec<Kept>, Error> {
        #[cfg(feature = "testing")]
        if let Some(outbox) = &self.recording {
            return Ok(parcels.into_iter().map(|parcel| outbox.take_event(parcel)).collect());
        }
        let mut call = script::EVENT_SEND.on_shard(&self.keys).arg("").number(OWN_ID_FOR.as_millis() as i128);
        for parcel in &parcels {
            call.push(parcel.key.as_str());
            call.push(if parcel.is_own { parcel.id.as_str() } else { "" });
            call.push(parcel.name.as_str());
            call.push(&parcel.record);
            call.push(parcel.due.map(|due| due.to_string()).unwrap_or_default());
        }
        let (now, outcomes): (u64, Vec<String>) =
            until_answered(left, &self.number, || self.redis.run(&call)).await?;
        self.redis.saw_time(now);
        if outcomes.len() != parcels.len() {
            let reply = format!("{} outcomes for {} events", outcomes.len(), parcels.len());
            return Err(ergate_shared::Error::Reply { script: "event/send", reply }.into());
        }
        let new = outcomes.iter().filter(|outcome| outcome.is_empty()).count() as u64;
        self.kept.fetch_add(new, Ordering::Relaxed);
        self.duplicates.fetch_add(outcomes.len() as u64 - new, Ordering::Relaxed);
        outcomes
            .into_iter()
            .map(|outcome| match outcome.as_str() {
                "" => Ok(Kept::New),
                "duplicate" => Ok(Kept::Duplicate),
                _ => Err(ergate_shared::Error::Reply { script: "event/send", reply: outcome }.into()),
            })
            .collect()
    }
}
