//! A job as it is kept in Redis: written once, never rewritten on the happy path.
//!
//! ```text
//! byte 0      version of this layout, 1
//! byte 1      priority, 1..=10                                       | read by scripts,
//! byte 2      flags: 1, 2, 4 unique scopes · 8 expires · 16 options  | see lua/lib/record.lua
//!             · 32 order of its own · 64 keys · 128 its end is told    |
//! if unique   length (1 byte), unique key                            |
//! if keys     length (1 byte), lane                                  |
//! if ordered  6 bytes: the time it is ordered by, ms since the epoch,|
//!             big-endian                                             |
//! 6 bytes     enqueued at, ms since the epoch by Redis' clock as the producer knows it, big-endian
//! 6 bytes     due at, likewise (the same for a job that was ready at once)
//! 1 byte      payload format, 0 JSON
//! 2 bytes     payload version, big-endian
//! 1 byte      length of the job name, then the name
//! if options  length (4 bytes), options as JSON
//! rest        payload
//! ```

use crate::{Error, JobName, JobOptions, Lane, Priority};

const LAYOUT: u8 = 1;
const JSON: u8 = 0;
const EXPIRES: u8 = 8;
const OPTIONS: u8 = 16;
const ORDERED: u8 = 32;
const KEYED: u8 = 64;
const TELLS: u8 = 128;
const UNIQUE_SCOPES: u8 = 7;

/// The longest unique key, in bytes.
pub const LONGEST_UNIQUE_KEY: usize = 255;

/// How long a unique key is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UniqueScope {
    /// Until a worker starts the job.
    Started,
    /// Until the job has ended.
    Finished,
    /// For a time after it was enqueued, whatever becomes of it.
    Window,
}

impl UniqueScope {
    const fn flag(self) -> u8 {
        match self {
            Self::Started => 1,
            Self::Finished => 2,
            Self::Window => 4,
        }
    }
}

/// A job as it is kept in Redis.
#[derive(Debug, Clone, PartialEq)]
pub struct JobRecord {
    /// Which handler it is for.
    pub name: JobName,
    /// Its place within the queue.
    pub priority: Priority,
    /// The key it alone may hold, and for how long.
    pub unique: Option<(UniqueScope, String)>,
    /// The keys that limits count it by.
    pub lane: Option<Lane>,
    /// The time by which it stands among ready jobs of its priority, in ms since the epoch; `None`: when it became ready.
    pub order_at: Option<u64>,
    /// Whether it must have started by some time, which is kept in the set `expiring`.
    pub expires: bool,
    /// Whether its end is told outside the queue: to who waits for its result, to functions that are started by it.
    pub tells: bool,
    /// When it was enqueued, in ms since the epoch.
    pub enqueued_at: u64,
    /// When it was first due, in ms since the epoch.
    pub due_at: u64,
    /// The version of the payload's shape.
    pub version: u16,
    /// What the producer said beyond what the type declares.
    pub options: JobOptions,
    /// The payload, as JSON text.
    pub payload: Vec<u8>,
}

impl JobRecord {
    /// Writes the record as it is kept.
    ///
    /// # Panics
    /// If the unique key is over [`LONGEST_UNIQUE_KEY`]; builders check that first.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(24 + self.name.as_str().len() + self.payload.len());
        let options = (!self.options.is_empty())
            .then(|| serde_json::to_vec(&self.options).expect("options always serialise"));
        let mut flags = self.unique.as_ref().map_or(0, |(scope, _)| scope.flag());
        if self.expires {
            flags |= EXPIRES;
        }
        if options.is_some() {
            flags |= OPTIONS;
        }
        if self.lane.is_some() {
            flags |= KEYED;
        }
        if self.order_at.is_some() {
            flags |= ORDERED;
        }
        if self.tells {
            flags |= TELLS;
        }
        bytes.extend([LAYOUT, self.priority.get(), flags]);
        if let Some((_, key)) = &self.unique {
            bytes.push(u8::try_from(key.len()).expect("unique keys are checked where they enter"));
            bytes.extend(key.as_bytes());
        }
        if let Some(lane) = &self.lane {
            bytes.push(u8::try_from(lane.as_str().len()).expect("a lane is at most 255 bytes"));
            bytes.extend(lane.as_str().as_bytes());
        }
        if let Some(order_at) = self.order_at {
            bytes.extend(&order_at.to_be_bytes()[2..]);
        }
        bytes.extend(&self.enqueued_at.to_be_bytes()[2..]);
        bytes.extend(&self.due_at.to_be_bytes()[2..]);
        bytes.push(JSON);
        bytes.extend(self.version.to_be_bytes());
        bytes.push(u8::try_from(self.name.as_str().len()).expect("names are at most 128 bytes"));
        bytes.extend(self.name.as_str().as_bytes());
        if let Some(options) = options {
            bytes.extend(u32::try_from(options.len()).expect("options are small").to_be_bytes());
            bytes.extend(options);
        }
        bytes.extend(&self.payload);
        bytes
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`Error::Record`] for bytes that no release up to this one wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut rest = Reader { bytes };
        let layout = rest.byte()?;
        if layout != LAYOUT {
            return Err(Error::Record(format!("layout {layout} is not known to this release")));
        }
        let priority = Priority::new(i64::from(rest.byte()?))?;
        let flags = rest.byte()?;
        let unique = match flags & UNIQUE_SCOPES {
            0 => None,
            scope => {
                let length = usize::from(rest.byte()?);
                let scope = match scope {
                    1 => UniqueScope::Started,
                    2 => UniqueScope::Finished,
                    4 => UniqueScope::Window,
                    _ => return Err(Error::Record(format!("flags {flags} name two unique scopes"))),
                };
                Some((scope, rest.text(length)?))
            }
        };
        let lane = if flags & KEYED == 0 {
            None
        } else {
            let length = usize::from(rest.byte()?);
            Some(Lane::stored(rest.text(length)?))
        };
        let order_at = if flags & ORDERED == 0 { None } else { Some(rest.millis()?) };
        let enqueued_at = rest.millis()?;
        let due_at = rest.millis()?;
        match rest.byte()? {
            JSON => {}
            format => {
                return Err(Error::Record(format!("payload format {format} is not known to this release")));
            }
        }
        let version = u16::from_be_bytes([rest.byte()?, rest.byte()?]);
        let length = usize::from(rest.byte()?);
        let name = JobName::new(rest.text(length)?)?;
        let options = if flags & OPTIONS == 0 {
            JobOptions::default()
        } else {
            let length = u32::from_be_bytes([rest.byte()?, rest.byte()?, rest.byte()?, rest.byte()?]);
            serde_json::from_slice(rest.take(length as usize)?)
                .map_err(|error| Error::Record(format!("options: {error}")))?
        };
        let payload = rest.bytes.to_vec();
        Ok(Self {
            name,
            priority,
            unique,
            lane,
            order_at,
            expires: flags & EXPIRES != 0,
            tells: flags & TELLS != 0,
            enqueued_at,
            due_at,
            version,
            options,
            payload,
        })
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        match self.bytes.split_at_checked(length) {
            Some((taken, rest)) => {
                self.bytes = rest;
                Ok(taken)
            }
            None => Err(Error::Record(format!("{} bytes are missing", length - self.bytes.len()))),
        }
    }

    fn byte(&mut self) -> Result<u8, Error> {
        Ok(self.take(1)?[0])
    }

    fn millis(&mut self) -> Result<u64, Error> {
        let mut wide = [0; 8];
        wide[2..].copy_from_slice(self.take(6)?);
        Ok(u64::from_be_bytes(wide))
    }

    fn text(&mut self, length: usize) -> Result<String, Error> {
        String::from_utf8(self.take(length)?.to_vec())
            .map_err(|_| Error::Record("text is not UTF-8".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn records() -> impl Strategy<Value = JobRecord> {
        let unique = proptest::option::of((
            prop_oneof![Just(UniqueScope::Started), Just(UniqueScope::Finished), Just(UniqueScope::Window)],
            "[a-zé ]{0,60}",
        ));
        let options = (proptest::option::of(0_u32..100), proptest::collection::vec("[a-z]{1,8}", 0..3));
        let bytes = proptest::collection::vec(any::<u8>(), 0..300);
        let lane = proptest::option::of("account=[a-zé]{1,60}".prop_map(Lane::stored));
        let times = (proptest::option::of(0_u64..1 << 48), 0_u64..1 << 48, 0_u64..1 << 48);
        (1_i64..=10, unique, lane, any::<(bool, bool)>(), times, any::<u16>(), options, bytes).prop_map(
            |(priority, unique, lane, marks, times, version, (retries, tags), payload)| {
                let (order_at, enqueued_at, due_at) = times;
                let (expires, tells) = marks;
                JobRecord {
                    name: JobName::new("send-welcome").unwrap(),
                    priority: Priority::new(priority).unwrap(),
                    unique,
                    lane,
                    order_at,
                    expires,
                    tells,
                    enqueued_at,
                    due_at,
                    version,
                    options: JobOptions { retries, tags, ..JobOptions::default() },
                    payload,
                }
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(record in records()) {
            prop_assert_eq!(JobRecord::decode(&record.encode()).unwrap(), record);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = JobRecord::decode(&bytes);
        }
    }

    #[test]
    fn a_record_cut_short_says_how_much_is_missing() {
        let error = JobRecord::decode(&[1, 5, 0, 0]).unwrap_err().to_string();

        assert_eq!(error, "record is malformed: 5 bytes are missing");
    }

    #[test]
    fn options_of_a_later_release_survive_a_round_trip() {
        let options: JobOptions = serde_json::from_str(r#"{"retries":1,"colour":"red"}"#).unwrap();

        assert_eq!(serde_json::to_string(&options).unwrap(), r#"{"retries":1,"colour":"red"}"#);
    }
}
