//! Every Redis key is made here, and nowhere else.
//!
//! All keys of a queue carry the queue's name as hash tag, so that a script touches one slot and queues spread over a
//! cluster: `ergate:{mail}:ready`. What concerns worker processes as a whole is in the slot of `{ergate}`. Events are kept in
//! a fixed number of shards, `ergate:{events/0}:stream`; what waits for events of a name is in the slot of that name,
//! `ergate:{event/app/user.created}:waits`. A queue may be called like either: no key of one is called like one of another.

use crate::{EventName, Namespace, QueueName, WorkerId};

mod owner;

pub use owner::Owner;

/// The keys of one queue.
#[derive(Debug, Clone)]
pub struct QueueKeys {
    prefix: String,
    all: std::sync::Arc<[String]>,
}

macro_rules! keys {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A key of a queue, by the name scripts know it by.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(non_camel_case_types, reason = "the names are those of the scripts")]
        pub enum QueueKey { $($(#[$doc])* $name,)* }

        impl QueueKey {
            const ALL: &[Self] = &[$(Self::$name,)*];

            /// Every key.
            pub fn all() -> impl Iterator<Item = Self> {
                Self::ALL.iter().copied()
            }

            /// The name in scripts and keys.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }
        }
    };
}

keys! {
    /// Hash: settings, and small facts such as when it was last swept.
    meta,
    /// Hash: job id → record.
    jobs,
    /// List: ids of ready jobs of the plain priority, first to run at the head.
    ready,
    /// Sorted set: ids of ready jobs of other priorities, by priority and order.
    ranked,
    /// Hash: ids whose entry in `ready` counts no more.
    withdrawn,
    /// Sorted set, all scores equal: ready jobs with keys by lane, priority and order.
    laned,
    /// Hash: id of such a job → what comes before the id in `laned`.
    places,
    /// Hash: lane with ready jobs → where it stands, empty for the ring.
    lanes,
    /// Sorted set: lanes whose jobs may run, by when they were last served.
    ring,
    /// Sorted set, all scores equal: lanes that wait for a key, by key and when they were last served.
    parked,
    /// Sorted set: keys that lanes wait for, by when their rate lets jobs start.
    opening,
    /// Hash: name of keys → their limit.
    limits,
    /// Hash: key → how many jobs with it run, what its rate and spacing reckon with, and since when it is paused.
    flow,
    /// Sorted set: ids by due time.
    scheduled,
    /// Sorted set: ids by the time at which they must have started.
    expiring,
    /// Hash: id of a running job → lease token.
    leased,
    /// Hash: worker id → how many jobs it holds.
    held,
    /// Sorted set: worker ids by when their lease ends.
    workers,
    /// Hash: id of a running job that shall be cancelled → its token, a space, and the reason.
    cancels,
    /// Hash: id → counts of failures, crashes and so on, once one is not zero.
    tries,
    /// Hash: id → last failure.
    failures,
    /// Hash: id → progress.
    progress,
    /// Hash: id → log lines.
    logs,
    /// Hash: id of a job that completed or was cancelled → which, when, and its result.
    ended,
    /// List: ids of completed jobs, oldest at the head.
    completed,
    /// List: ids of cancelled jobs, oldest at the head.
    cancelled,
    /// Sorted set: ids of dead letters by time.
    dead,
    /// Hash: unique key → id of the job that holds it.
    unique,
    /// Sorted set: unique keys that are held for a time, by its end.
    windows,
    /// Hash: producer → number of its last call that was applied.
    producers,
    /// List: empty, or one marker that wakes one idle worker.
    wake,
    /// Stream: ends that are still to be told outside the queue, each with the job's id, its end and its record.
    outbox,
    /// Hash: ids whose end somebody waits for.
    watched,
    /// Sorted set: ids of runs whose event has not been acknowledged yet, by when they were started.
    routed,
    /// Hash: id of a run → how many entries its journal has.
    steps,
    /// Hash: id of a run, a dot, a number → that entry of the run's journal; the same and `.open` → nothing, as long as
    /// the entry waits for something from outside.
    journal,
}

impl QueueKeys {
    /// The keys of `queue` in `namespace`.
    pub fn new(namespace: &Namespace, queue: &QueueName) -> Self {
        let prefix = format!("{namespace}:{{{queue}}}:");
        let all = QueueKey::ALL.iter().map(|key| format!("{prefix}{}", key.name())).collect();
        Self { prefix, all }
    }

    /// One key.
    pub fn get(&self, key: QueueKey) -> &str {
        &self.all[key as usize]
    }

    /// The list a worker is called by: anything in it makes it send a heartbeat at once.
    pub fn call(&self, worker: &WorkerId) -> String {
        format!("{}call:{worker}", self.prefix)
    }
}

/// The keys that concern worker processes and queues as a whole.
#[derive(Debug, Clone)]
pub struct RegistryKeys {
    /// Set: names of all queues.
    pub queues: String,
    /// Sorted set: worker processes by when they were last seen.
    pub seen: String,
    /// Hash: worker process → what it is, as JSON.
    pub about: String,
    /// Hash: worker process → `quiet` or `stop`.
    pub orders: String,
    /// String: made up once for a data set; another one means another data set.
    pub epoch: String,
    /// String: number of the data format.
    pub format: String,
    /// Hash: function → what it is, as JSON.
    pub functions: String,
    /// Sorted set: functions by when a worker last declared them.
    pub functions_declared: String,
    /// String: a number that grows whenever `functions` changes.
    pub functions_version: String,
    /// Hash: event name → when it was last routed or waited for by a process that had not seen it before.
    pub event_names: String,
}

impl RegistryKeys {
    /// The keys of `namespace`.
    pub fn new(namespace: &Namespace) -> Self {
        let key = |name| format!("{namespace}:{{{namespace}}}:{name}");
        Self {
            queues: key("queues"),
            seen: key("seen"),
            about: key("about"),
            orders: key("orders"),
            epoch: key("epoch"),
            format: key("format"),
            functions: key("functions"),
            functions_declared: key("functions_declared"),
            functions_version: key("functions_version"),
            event_names: key("event_names"),
        }
    }

    /// One key, by the name scripts know it by.
    pub(crate) fn named(&self, name: &str) -> &str {
        match name {
            "queues" => &self.queues,
            "seen" => &self.seen,
            "about" => &self.about,
            "orders" => &self.orders,
            "epoch" => &self.epoch,
            "functions" => &self.functions,
            "functions_declared" => &self.functions_declared,
            "functions_version" => &self.functions_version,
            "event_names" => &self.event_names,
            _ => &self.format,
        }
    }
}

macro_rules! slot {
    ($(#[$doc:meta])* $family:ident { $($(#[$key_doc:meta])* $name:ident,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $family {
            $($(#[$key_doc])* pub $name: String,)*
        }

        impl $family {
            fn in_slot(namespace: &Namespace, slot: &str) -> Self {
                Self { $($name: format!("{namespace}:{{{slot}}}:{}", stringify!($name)),)* }
            }

            /// One key, by the name scripts know it by.
            pub(crate) fn named(&self, name: &str) -> Option<&str> {
                match name {
                    $(stringify!($name) => Some(&self.$name),)*
                    _ => None,
                }
            }
        }
    };
}

slot! {
    /// The keys of one shard of the events.
    ShardKeys {
        /// Stream: events in the order they came, each with its key, its name, and its own id if it has one.
        stream,
        /// Hash: key of an event → record.
        events,
        /// Sorted set: `<key> <name> <own id>` of events of the future, by their time.
        future,
        /// Hash: own id → key of the event that has it.
        own,
        /// Sorted set: own ids by when they may be used again.
        owned,
        /// Hash: key of a routed event → what it started, as JSON.
        started,
    }
}

slot! {
    /// The keys of one event name: what came lately, and who waits.
    NameKeys {
        /// Sorted set: keys of recent events by their place in the log, µs that never repeat.
        recent,
        /// Hash: key of a recent event → its terms, when it came, and its record, a line each.
        bodies,
        /// Sorted set: `<term> <place> <key>` of recent events, in order of the text.
        seen,
        /// Hash: field that conditions are indexed by → place in the log behind which events carry its term.
        fields,
        /// Hash: wait → its term, since when and until when, and its condition.
        waits,
        /// Sorted set: `<term> <wait>`, in order of the text.
        waiting,
        /// Sorted set: waits by until when.
        lapsing,
        /// Hash: the last place in the log, and its size in bytes.
        facts,
    }
}

slot! {
    /// The keys that concern schedules, all of them in one slot.
    ScheduleKeys {
        /// Hash: name → what was declared, JSON.
        definitions,
        /// Hash: name → how far it is, JSON.
        states,
        /// Sorted set: names by when somebody must look at them.
        due,
        /// Sorted set: names of those that code set, by when a worker last declared them.
        declared,
        /// Sorted set: names of those that no worker declares any more, by since when.
        retired,
    }
}

impl ScheduleKeys {
    /// The keys of `namespace`.
    pub fn new(namespace: &Namespace) -> Self {
        Self::in_slot(namespace, "schedules")
    }
}

impl ShardKeys {
    /// The keys of shard `shard`, from 0.
    pub fn new(namespace: &Namespace, shard: usize) -> Self {
        Self::in_slot(namespace, &format!("events/{shard}"))
    }
}

impl NameKeys {
    /// The keys of an event name.
    pub fn new(namespace: &Namespace, name: &EventName) -> Self {
        Self::in_slot(namespace, &format!("event/{name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_a_queue_has_the_queue_as_hash_tag() {
        let keys = QueueKeys::new(&Namespace::default(), &QueueName::new("mail").unwrap());

        assert_eq!(keys.get(QueueKey::ready), "ergate:{mail}:ready");
        assert!(QueueKey::ALL.iter().all(|key| keys.get(*key).starts_with("ergate:{mail}:")));
    }

    #[test]
    fn no_key_of_events_is_called_like_one_of_a_queue() {
        let shard = ShardKeys::new(&Namespace::default(), 0);
        let name = NameKeys::new(&Namespace::default(), &EventName::new("app/x").unwrap());

        assert_eq!(shard.stream, "ergate:{events/0}:stream");
        assert_eq!(name.waits, "ergate:{event/app/x}:waits");
        for key in QueueKey::ALL {
            assert!(shard.named(key.name()).is_none() && name.named(key.name()).is_none(), "{key:?}");
        }
    }

    #[test]
    fn no_key_of_schedules_is_one_of_a_queue_of_that_name() {
        let namespace = Namespace::default();
        let queue = QueueKeys::new(&namespace, &QueueName::new("schedules").unwrap());
        let schedules = ScheduleKeys::new(&namespace);

        for name in ["definitions", "states", "due", "declared", "retired"] {
            let key = schedules.named(name).unwrap();
            assert_eq!(key, format!("ergate:{{schedules}}:{name}"));
            assert!(QueueKey::all().all(|other| queue.get(other) != key), "{key}");
        }
    }
}
