//! The scripts: assembled from `lua/`, named, and called by name. Nothing else changes more than one key.
//!
//! A file says in its head which keys and fragments it uses (`-- keys: …`, `-- uses: …`); the names become Lua locals,
//! so that an index into `KEYS` stands nowhere.

use std::sync::LazyLock;

use crate::key::{NameKeys, QueueKey, QueueKeys, RegistryKeys, ScheduleKeys, ShardKeys};

/// A script, ready to be sent.
#[derive(Debug)]
pub struct Script {
    /// Its path under `lua/` without the ending, such as `worker/turn`.
    pub name: &'static str,
    /// The whole text, fragments included.
    pub text: String,
    /// SHA-1 of the text, in hex.
    pub sha: String,
    keys: Vec<&'static str>,
    queue_keys: Vec<QueueKey>,
}

/// A script of which every argument but the last few is known, as one Redis command.
#[derive(Debug, Clone)]
pub struct Call {
    /// Which script.
    pub script: &'static Script,
    keys: Vec<String>,
    /// The arguments end to end, and where each ends: one allocation for a batch of thousands.
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

/// Names that every script uses often enough for a look-up in a table to be felt.
const PRELUDE: &str = "local call, byte, sub, match, format, unpack = \
     redis.call, string.byte, string.sub, string.match, string.format, unpack\n";

impl Script {
    fn assemble(name: &'static str, source: &'static str) -> Self {
        #[cfg(feature = "unsafe-switches")]
        let source = crate::safety::source(name, source);
        let keys: Vec<&'static str> = head(source, "-- keys:");
        let mut text = PRELUDE.to_owned();
        if !keys.is_empty() {
            let places: Vec<_> = (1..=keys.len()).map(|n| format!("KEYS[{n}]")).collect();
            text.push_str(&format!("local {} = {}\n", keys.join(", "), places.join(", ")));
        }
        for fragment in head(source, "-- uses:") {
            let (_, code) = FRAGMENTS.iter().find(|(known, _)| *known == fragment).unwrap_or_else(|| {
                panic!("script {name} uses the fragment {fragment}, which does not exist")
            });
            #[cfg(feature = "unsafe-switches")]
            let code = &crate::safety::source(&format!("lib/{fragment}"), code);
            text.push_str(code);
        }
        text.push_str(source);
        #[cfg(feature = "unsafe-switches")]
        let text = crate::safety::edited(name, text);
        let sha = redis::Script::new(&text).get_hash().to_owned();
        let queue_keys = keys.iter().filter_map(|key| QueueKey::by_name(key)).collect();
        Self { name, text, sha, keys, queue_keys }
    }

    /// A call on one queue.
    pub fn on(&'static self, keys: &QueueKeys) -> Call {
        debug_assert_eq!(self.queue_keys.len(), self.keys.len(), "{} is no script of a queue", self.name);
        let keys = self.queue_keys.iter().map(|key| keys.get(*key).to_owned()).collect();
        Call { script: self, keys, bytes: Vec::new(), ends: Vec::new() }
    }

    /// A call on the registry.
    pub fn on_registry(&'static self, keys: &RegistryKeys) -> Call {
        let keys = self.keys.iter().map(|key| keys.named(key).to_owned()).collect();
        Call { script: self, keys, bytes: Vec::new(), ends: Vec::new() }
    }

    /// A call on the schedules.
    ///
    /// # Panics
    /// If it is no script of schedules.
    pub fn on_schedules(&'static self, keys: &ScheduleKeys) -> Call {
        self.with_keys(|name| keys.named(name))
    }

    /// A call on a shard of the events.
    ///
    /// # Panics
    /// If it is no script of shards.
    pub fn on_shard(&'static self, keys: &ShardKeys) -> Call {
        self.with_keys(|name| keys.named(name))
    }

    /// A call on what is kept under an event's name.
    ///
    /// # Panics
    /// If it is no script of event names.
    pub fn on_name(&'static self, keys: &NameKeys) -> Call {
        self.with_keys(|name| keys.named(name))
    }

    /// A call on the list a worker is called by.
    ///
    /// # Panics
    /// If it is no script of such lists.
    pub fn on_bell(&'static self, bell: &str) -> Call {
        self.with_keys(|name| (name == "bell").then_some(bell))
    }

    fn with_keys<'a>(&'static self, named: impl Fn(&str) -> Option<&'a str>) -> Call {
        let key = |name: &&str| named(name).unwrap_or_else(|| panic!("{} has no key {name}", self.name));
        let keys = self.keys.iter().map(|name| key(name).to_owned()).collect();
        Call { script: self, keys, bytes: Vec::new(), ends: Vec::new() }
    }

    /// Every script, in the order of their names.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        ALL.iter().map(|script| &***script)
    }
}

impl Call {
    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<[u8]>) -> Self {
        self.push(arg);
        self
    }

    /// Adds one argument in place.
    pub fn push(&mut self, arg: impl AsRef<[u8]>) {
        self.bytes.extend_from_slice(arg.as_ref());
        self.ends.push(self.bytes.len());
    }

    /// Adds a number.
    #[must_use]
    pub fn number(self, number: impl Into<i128>) -> Self {
        self.arg(number.into().to_string())
    }

    /// The call as `EVALSHA`.
    pub fn by_sha(&self) -> redis::Cmd {
        self.command("EVALSHA", &self.script.sha)
    }

    /// The call as `EVAL`, which also makes the server remember the script.
    pub fn by_text(&self) -> redis::Cmd {
        self.command("EVAL", &self.script.text)
    }

    fn command(&self, verb: &str, script: &str) -> redis::Cmd {
        let keys: usize = self.keys.iter().map(String::len).sum();
        let mut command = redis::Cmd::with_capacity(
            3 + self.keys.len() + self.ends.len(),
            verb.len() + script.len() + 4 + keys + self.bytes.len(),
        );
        command.arg(verb).arg(script).arg(self.keys.len()).arg(&self.keys);
        let mut start = 0;
        for end in &self.ends {
            command.arg(&self.bytes[start..*end]);
            start = *end;
        }
        command
    }
}

impl QueueKey {
    fn by_name(name: &str) -> Option<Self> {
        Self::all().find(|key| key.name() == name)
    }
}

/// The words after `mark` in a script's head.
fn head(source: &'static str, mark: &str) -> Vec<&'static str> {
    source
        .lines()
        .find_map(|line| line.strip_prefix(mark))
        .map(|words| words.split_whitespace().collect())
        .unwrap_or_default()
}

macro_rules! fragments {
    ($($name:literal)*) => {
        const FRAGMENTS: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../../lua/lib/", $name, ".lua"))),)*];
    };
}

fragments! {
    "cancel" "clock" "finish" "flow" "forget" "history" "journal" "lane" "limit" "locate" "memory" "promote" "ready" "recent" "record" "start" "take" "throttle" "tries" "turns"
    "unique" "waits" "wake" "windows"
}

macro_rules! scripts {
    ($($(#[$doc:meta])* $constant:ident = $path:literal;)*) => {
        $($(#[$doc])*
        pub static $constant: LazyLock<Script> = LazyLock::new(|| {
            Script::assemble($path, include_str!(concat!("../../../lua/", $path, ".lua")))
        });)*

        static ALL: &[&LazyLock<Script>] = &[$(&$constant,)*];
    };
}

scripts! {
    /// Acknowledges events that have been routed.
    EVENT_FINISH = "event/finish";
    /// Adds events to the recent ones of their name, and finds who waits for them.
    EVENT_ROUTE = "event/route";
    /// Keeps events.
    EVENT_SEND = "event/send";
    /// Delivers what falls due, takes over what another router left, trims the history.
    EVENT_TEND = "event/tend";
    /// Removes waits.
    EVENT_UNWAIT = "event/unwait";
    /// Looks back for an event, or keeps a wait for it.
    EVENT_WAIT = "event/wait";
    /// Reads on in who waits for an event.
    EVENT_WAITS = "event/waits";
    /// Forgets what an event name has no use for any more.
    EVENT_CLEAN = "event/clean";
    /// Cancels a job.
    JOB_CANCEL = "job/cancel";
    /// Puts a batch of jobs in.
    JOB_ENQUEUE = "job/enqueue";
    /// Tells all that is known about some jobs.
    JOB_INSPECT = "job/inspect";
    /// Deletes jobs.
    JOB_REMOVE = "job/remove";
    /// Moves a waiting job to another time.
    JOB_RESCHEDULE = "job/reschedule";
    /// Makes ended jobs ready again.
    JOB_RETRY = "job/retry";
    /// Replaces the record of a waiting job.
    JOB_UPDATE = "job/update";
    /// Sets and clears a queue's settings.
    QUEUE_CONFIGURE = "queue/configure";
    /// Sets the limit of all keys of one name.
    QUEUE_LIMIT = "queue/limit";
    /// Pauses and resumes a key.
    QUEUE_PAUSE_KEY = "queue/pause_key";
    /// Repairs what must not exist.
    QUEUE_REPAIR = "queue/repair";
    /// Counts a queue's jobs.
    QUEUE_STATS = "queue/stats";
    /// House-keeping of a queue.
    QUEUE_SWEEP = "queue/sweep";
    /// Declares functions.
    REGISTRY_DECLARE = "registry/declare";
    /// Takes a function off.
    REGISTRY_REMOVE = "registry/remove";
    /// Resolves an open entry of a run's journal from outside.
    RUN_DELIVER = "run/deliver";
    /// Tells what a worker process is.
    REGISTRY_ANNOUNCE = "registry/announce";
    /// Starts a run over from some step, as a new one.
    RUN_FORK = "run/fork";
    /// Writes what runs have done into their journals.
    RUN_RECORD = "run/record";
    /// Tells the last entries of journals.
    RUN_TAIL = "run/tail";
    /// Tells what is kept about schedules.
    SCHEDULE_READ = "schedule/read";
    /// Deletes schedules.
    SCHEDULE_REMOVE = "schedule/remove";
    /// Writes a schedule down.
    SCHEDULE_SET = "schedule/set";
    /// Takes schedules from one state to the next.
    SCHEDULE_STEP = "schedule/step";
    /// Hands out schedules that are due.
    SCHEDULE_TICK = "schedule/tick";
    /// Has a worker look at its queues again.
    WAITER_CALL = "waiter/call";
    /// Extends all leases of a worker.
    WORKER_HEARTBEAT = "worker/heartbeat";
    /// Enters a worker into a queue.
    WORKER_JOIN = "worker/join";
    /// Takes a worker out of a queue.
    WORKER_LEAVE = "worker/leave";
    /// Keeps progress and log lines.
    WORKER_NOTE = "worker/note";
    /// Returns a dead worker's jobs to the queue.
    WORKER_REAP = "worker/reap";
    /// Settles and leases in one call.
    WORKER_TURN = "worker/turn";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EventName, Namespace};

    #[test]
    fn every_assembled_script_is_as_reviewed() {
        for script in Script::all() {
            insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
                insta::assert_snapshot!(script.name.replace('/', "_"), script.text);
            });
        }
    }

    #[test]
    fn every_key_a_script_names_exists() {
        let shard = ShardKeys::new(&Namespace::default(), 0);
        let name = NameKeys::new(&Namespace::default(), &EventName::new("x").unwrap());
        let of_queues_and_events = |script: &&Script| {
            ["registry/", "schedule/", "waiter/"].iter().all(|other| !script.name.starts_with(other))
        };
        for script in Script::all().filter(of_queues_and_events) {
            if script.name.starts_with("event/") {
                let all = |named: &dyn Fn(&str) -> bool| script.keys.iter().all(|key| named(key));
                assert!(
                    all(&|key| shard.named(key).is_some()) || all(&|key| name.named(key).is_some()),
                    "{} names keys of more than one slot",
                    script.name
                );
                continue;
            }
            assert_eq!(
                script.queue_keys.len(),
                script.keys.len(),
                "{} names a key nobody makes",
                script.name
            );
        }
    }
}
