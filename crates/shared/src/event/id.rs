//! Ids of events, and what is derived from them: the shard an event is kept in, and the ids of the runs it starts.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Error, FunctionName, JobId,
    fnv::fnv1a,
    id::{check_own, ulid_ms, ulid_text},
};

/// How many streams events are spread over. Fixed, as an event is found again by its id alone.
pub const SHARDS: usize = 4;

/// The bits of a ULID below its time.
const RANDOM: u128 = (1 << 80) - 1;

/// Identifies an event: a ULID made by the sender, or a text the user chose.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventId(Arc<str>);

impl EventId {
    /// Makes a new id for the time `now_ms`, which is that of Redis as far as the sender knows it.
    pub fn generate(now_ms: u64) -> Self {
        Self::of_bits(now_ms, Uuid::now_v7().as_u128() & RANDOM)
    }

    /// The id of the event at place `index` (from 1) of a call that is sent again with the same seed: a time and ten random
    /// bytes, to whose last four the index is added.
    pub fn seeded(ms: u64, entropy: [u8; 10], index: u32) -> Self {
        let [head @ .., a, b, c, d] = entropy;
        let tail = u32::from_be_bytes([a, b, c, d]).wrapping_add(index);
        let head = head.iter().fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
        Self::of_bits(ms, head << 32 | u128::from(tail))
    }

    fn of_bits(ms: u64, random: u128) -> Self {
        Self(ulid_text(u128::from(ms) << 80 | random).into())
    }

    /// Takes an id of the user's own.
    ///
    /// # Errors
    /// [`Error::Name`] if it is empty, over 128 bytes, or has white space or control characters.
    pub fn new(id: impl AsRef<str>) -> Result<Self, Error> {
        check_own("event id", id.as_ref())?;
        Ok(Self(id.as_ref().into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The time in a ULID, in ms since the epoch; `None` for a text that is none.
    pub fn time_ms(&self) -> Option<u64> {
        ulid_ms(&self.0)
    }

    /// Which of the [`SHARDS`] streams keeps the event.
    pub fn shard(&self) -> usize {
        let hash = fnv1a(self.0.as_bytes());
        // The low bits of this hash depend on the low bits of the text alone.
        ((hash ^ hash >> 32) % SHARDS as u64) as usize
    }

    /// The id of the run this event starts of a function: the same however often the event is delivered.
    ///
    /// The first ten characters are the time the event was sent at, the others 80 bits of the SHA-1 of the event's id, a
    /// line feed and the function's name. SHA-1 is in every build of Ergate, as scripts are named by it, and at 80 bits no
    /// better hash would be harder to collide.
    pub fn run_id(&self, sent_ms: u64, function: &FunctionName) -> JobId {
        let digest = sha1_smol::Sha1::from(format!("{self}\n{function}")).digest().bytes();
        let random = digest[..10].iter().fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
        JobId::stored(ulid_text(u128::from(sent_ms & ((1 << 48) - 1)) << 80 | random))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for EventId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::new(text)
    }
}

impl TryFrom<String> for EventId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        Self::new(text)
    }
}

impl From<EventId> for String {
    fn from(id: EventId) -> Self {
        id.0.as_ref().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn function(name: &str) -> FunctionName {
        FunctionName::new(name.to_owned()).unwrap()
    }

    proptest! {
        #[test]
        fn the_time_of_an_id_reads_back(ms in 0_u64..1 << 48) {
            prop_assert_eq!(EventId::generate(ms).time_ms(), Some(ms));
        }

        #[test]
        fn every_id_has_a_shard(id in "[!-~]{1,128}") {
            prop_assert!(EventId::new(id).unwrap().shard() < SHARDS);
        }
    }

    #[test]
    fn a_text_that_is_no_ulid_has_no_time() {
        for text in ["order-7", "8ZZZZZZZZZZZZZZZZZZZZZZZZZ", "01M8056QWSQ9XV7H2EQXHEXH0U"] {
            assert_eq!(EventId::new(text).unwrap().time_ms(), None, "{text}");
        }
    }

    #[test]
    fn ids_spread_evenly_over_the_shards() {
        let mut counts = [0; SHARDS];
        for n in 0..4000 {
            counts[EventId::generate(1_795_301_793_689 + n).shard()] += 1;
        }

        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_seed_gives_the_same_ids_again_and_another_one_for_each_place() {
        let ids: Vec<_> = (1..=3).map(|index| EventId::seeded(1_795_301_793_689, [255; 10], index)).collect();

        assert_eq!(ids[0], EventId::seeded(1_795_301_793_689, [255; 10], 1));
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 3);
        assert_eq!(ids[2].time_ms(), Some(1_795_301_793_689));
    }

    #[test]
    fn a_run_is_named_by_event_and_function() {
        let event = EventId::new("order-7").unwrap();

        let run = event.run_id(1_795_301_793_689, &function("ship"));

        assert_eq!(run, event.run_id(1_795_301_793_689, &function("ship")));
        assert_ne!(run, event.run_id(1_795_301_793_689, &function("bill")));
        assert_ne!(run, EventId::new("order-8").unwrap().run_id(1_795_301_793_689, &function("ship")));
        assert_eq!(ulid_ms(run.as_str()), Some(1_795_301_793_689));
    }
}
