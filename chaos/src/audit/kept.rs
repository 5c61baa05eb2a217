//! All keys of a namespace as they were read.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::Context;
use ergate::{Client, EventName, JobId, Namespace, QueueName};
use ergate_shared::key::{Owner, QueueKey, QueueKeys};
use redis::{Cmd, FromRedisValue};

use super::{Findings, jobs::Jobs};

/// Keys asked for by one `SCAN`.
const PAGE: usize = 1000;

/// What `TTL` says of a key that does not go by itself.
const FOR_EVER: i64 = -1;
/// Keys read in one round trip: what is large is slow to read, and a call has its time.
const AT_ONCE: usize = 50;

type Hash = BTreeMap<String, Vec<u8>>;
type Sorted = BTreeMap<String, f64>;

/// What a key holds.
#[derive(Debug)]
enum Value {
    Text,
    Hash(Hash),
    List(Vec<String>),
    Set(BTreeSet<String>),
    Sorted(Sorted),
    Stream(Stream),
    /// A type that Ergate does not use.
    Other(String),
}

/// A stream, and what its one group has to do with it.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) entries: BTreeMap<Place, HashMap<String, Vec<u8>>>,
    /// Up to where it was handed out; none without a group.
    pub(super) handed_out: Option<Place>,
    pub(super) unacknowledged: BTreeSet<Place>,
}

/// The id of an entry in a stream: time and number.
pub(super) type Place = (u64, u64);

/// All keys of a namespace as they were read.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) namespace: Namespace,
    /// Redis' clock before the first key was read, in ms since the epoch.
    pub(super) now: u64,
    values: BTreeMap<String, Value>,
    /// Lists that workers are called by, and that do not go by themselves.
    lasting_calls: BTreeSet<String>,
    pub(super) jobs: BTreeMap<QueueName, Jobs>,
}

impl Kept {
    pub(super) async fn read(client: &Client) -> anyhow::Result<Self> {
        let time: (u64, u64) = ask(client, "TIME", &[]).await?;
        let (mut values, mut lasting_calls) = (BTreeMap::new(), BTreeSet::new());
        for keys in by_slot(client, scan(client).await?) {
            read(client, keys, &mut values, &mut lasting_calls).await?;
        }
        let now = time.0 * 1000 + time.1 / 1000;
        let namespace = client.namespace().clone();
        let mut kept = Self { namespace, now, values, lasting_calls, jobs: BTreeMap::new() };
        kept.jobs = kept.queues().into_iter().map(|queue| (queue.clone(), Jobs::of(&kept, &queue))).collect();
        Ok(kept)
    }

    /// Whether each key is one that somebody makes, and of the type it should have.
    pub(super) fn judge(&self, findings: &mut Findings) {
        for (key, value) in &self.values {
            let Some(owner) = Owner::of(&self.namespace, key) else {
                findings.add(key, "no release makes such a key");
                continue;
            };
            if let Owner::Call(..) = owner {
                findings
                    .expect(!self.lasting_calls.contains(key), key, || "does not go by itself".to_owned());
            }
            let (is, should) = (value.kind(), kind_of(&owner));
            findings.expect(is == should, key, || format!("is a {is} and not a {should}"));
        }
    }

    fn owners(&self) -> impl Iterator<Item = Owner> {
        self.values.keys().filter_map(|key| Owner::of(&self.namespace, key))
    }

    /// Every queue that has a key.
    pub(super) fn queues(&self) -> BTreeSet<QueueName> {
        let queue = |owner| match owner {
            Owner::Queue(queue, _) | Owner::Call(queue, _) => Some(queue),
            _ => None,
        };
        self.owners().filter_map(queue).collect()
    }

    /// Every event name that has a key.
    pub(super) fn event_names(&self) -> BTreeSet<EventName> {
        let name = |owner| match owner {
            Owner::Name(name, _) => Some(name),
            _ => None,
        };
        self.owners().filter_map(name).collect()
    }

    pub(super) fn keys_of(&self, queue: &QueueName) -> QueueKeys {
        QueueKeys::new(&self.namespace, queue)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    pub(super) fn hash(&self, key: &str) -> &Hash {
        static NONE: Hash = Hash::new();
        match self.values.get(key) {
            Some(Value::Hash(hash)) => hash,
            _ => &NONE,
        }
    }

    pub(super) fn list(&self, key: &str) -> &[String] {
        match self.values.get(key) {
            Some(Value::List(list)) => list,
            _ => &[],
        }
    }

    pub(super) fn set(&self, key: &str) -> &BTreeSet<String> {
        static NONE: BTreeSet<String> = BTreeSet::new();
        match self.values.get(key) {
            Some(Value::Set(set)) => set,
            _ => &NONE,
        }
    }

    pub(super) fn sorted(&self, key: &str) -> &Sorted {
        static NONE: Sorted = Sorted::new();
        match self.values.get(key) {
            Some(Value::Sorted(sorted)) => sorted,
            _ => &NONE,
        }
    }

    pub(super) fn stream(&self, key: &str) -> Option<&Stream> {
        match self.values.get(key) {
            Some(Value::Stream(stream)) => Some(stream),
            _ => None,
        }
    }

    /// The jobs of a queue; none if it has no key.
    pub(super) fn jobs_of(&self, queue: &QueueName) -> Option<&Jobs> {
        self.jobs.get(queue)
    }

    /// Whether entry `number` of a run's journal waits for something from outside.
    pub(super) fn is_open(&self, queue: &QueueName, run: &JobId, number: u32) -> bool {
        let keys = self.keys_of(queue);
        self.hash(keys.get(QueueKey::journal)).contains_key(&format!("{run}.{number}.open"))
    }
}

impl Value {
    fn kind(&self) -> &str {
        match self {
            Self::Text => "string",
            Self::Hash(_) => "hash",
            Self::List(_) => "list",
            Self::Set(_) => "set",
            Self::Sorted(_) => "zset",
            Self::Stream(_) => "stream",
            Self::Other(kind) => kind,
        }
    }
}

fn kind_of(owner: &Owner) -> &'static str {
    let name = match owner {
        Owner::Call(..) => "call",
        Owner::Queue(_, key) => key.name(),
        Owner::Registry(name) | Owner::Shard(_, name) | Owner::Name(_, name) | Owner::Schedules(name) => name,
    };
    match name {
        "call" | "ready" | "completed" | "cancelled" | "wake" => "list",
        "ranked" | "laned" | "ring" | "parked" | "opening" | "scheduled" | "expiring" | "workers"
        | "dead" | "windows" | "routed" | "seen" | "functions_declared" | "future" | "owned" | "recent"
        | "waiting" | "lapsing" | "due" | "declared" | "retired" => "zset",
        "queues" => "set",
        "epoch" | "format" | "functions_version" => "string",
        "outbox" | "stream" => "stream",
        _ => "hash",
    }
}

// Reading

async fn ask<T: FromRedisValue>(client: &Client, verb: &'static str, words: &[&str]) -> anyhow::Result<T> {
    let mut command = redis::cmd(verb);
    for word in words {
        command.arg(*word);
    }
    Ok(client.redis().command(verb, &command).await?)
}

/// Every key of the namespace, from all nodes that have some.
async fn scan(client: &Client) -> anyhow::Result<BTreeSet<String>> {
    let pattern = format!("{}:{{*", client.namespace());
    let page = |cursor: u64| {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(PAGE);
        scan
    };
    let mut keys = BTreeSet::new();
    if !client.redis().is_cluster() {
        let mut cursor = 0;
        loop {
            let (next, some): (u64, Vec<String>) = client.redis().command("SCAN", &page(cursor)).await?;
            keys.extend(some);
            cursor = next;
            if cursor == 0 {
                return Ok(keys);
            }
        }
    }
    for address in masters(client).await? {
        let node = redis::Client::open(format!("redis://{address}"))?;
        let mut connection = node.get_multiplexed_async_connection().await.context(address)?;
        let mut cursor = 0;
        loop {
            let (next, some): (u64, Vec<String>) = page(cursor).query_async(&mut connection).await?;
            keys.extend(some);
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
    }
    Ok(keys)
}

/// The addresses of the masters of a cluster, each as one of its nodes gives it.
async fn masters(client: &Client) -> anyhow::Result<BTreeSet<String>> {
    type Slots = Vec<(u64, u64, (String, u16))>;
    let mut slots = redis::cmd("CLUSTER");
    slots.arg("SLOTS");
    let value: redis::Value = client.redis().command("CLUSTER SLOTS", &slots).await?;
    let ranges: Vec<Vec<redis::Value>> = FromRedisValue::from_redis_value(value)?;
    let mut masters = BTreeSet::new();
    for range in ranges {
        let head = redis::Value::Array(vec![redis::Value::Array(
            range
                .into_iter()
                .take(3)
                .map(|value| match value {
                    redis::Value::Array(node) => redis::Value::Array(node.into_iter().take(2).collect()),
                    other => other,
                })
                .collect(),
        )]);
        let slots: Slots = FromRedisValue::from_redis_value(head)?;
        masters.extend(slots.into_iter().map(|(_, _, (host, port))| format!("{host}:{port}")));
    }
    Ok(masters)
}

/// Keys that one pipeline may ask for.
fn by_slot(client: &Client, keys: BTreeSet<String>) -> Vec<Vec<String>> {
    let slot = |key: &str| {
        let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
        tag.filter(|_| client.redis().is_cluster()).map_or(String::new(), |(tag, _)| tag.to_owned())
    };
    let mut slots: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for key in keys {
        slots.entry(slot(&key)).or_default().push(key);
    }
    slots.into_values().collect()
}

/// Reads what these keys hold, in a round trip for fifty of them and some for each stream. A key may have gone, or become another, in between.
async fn read(
    client: &Client,
    keys: Vec<String>,
    values: &mut BTreeMap<String, Value>,
    lasting_calls: &mut BTreeSet<String>,
) -> anyhow::Result<()> {
    let mut about = redis::pipe();
    for key in &keys {
        about.cmd("TYPE").arg(key).cmd("TTL").arg(key);
    }
    let about: Vec<redis::Value> = client.redis().pipeline("types", &about).await?;
    let mut read = Vec::new();
    for (key, about) in keys.into_iter().zip(about.chunks(2)) {
        let (kind, goes_in) =
            (String::from_redis_value(about[0].clone())?, i64::from_redis_value(about[1].clone())?);
        let is_call = matches!(Owner::of(client.namespace(), &key), Some(Owner::Call(..)));
        if is_call && goes_in == FOR_EVER {
            lasting_calls.insert(key.clone());
        }
        let command = match kind.as_str() {
            "none" => continue,
            "hash" => redis::cmd("HGETALL").arg(&key).to_owned(),
            "list" => redis::cmd("LRANGE").arg(&key).arg(0).arg(-1).to_owned(),
            "set" => redis::cmd("SMEMBERS").arg(&key).to_owned(),
            "zset" => redis::cmd("ZRANGE").arg(&key).arg(0).arg(-1).arg("WITHSCORES").to_owned(),
            "stream" => {
                let stream = read_stream(client, &key).await?;
                values.insert(key, Value::Stream(stream));
                continue;
            }
            other => {
                let value = if other == "string" { Value::Text } else { Value::Other(other.to_owned()) };
                values.insert(key, value);
                continue;
            }
        };
        read.push((key, kind, command));
    }
    for some in read.chunks(AT_ONCE) {
        let mut commands = redis::pipe();
        for (.., command) in some {
            commands.add_command(command.clone());
        }
        let contents: Vec<redis::Value> = client.redis().pipeline("keys", &commands).await?;
        for ((key, kind, _), content) in some.iter().zip(contents) {
            values.insert(key.clone(), decode(kind, content)?);
        }
    }
    Ok(())
}

fn decode(kind: &str, content: redis::Value) -> anyhow::Result<Value> {
    Ok(match kind {
        "hash" => {
            let fields: HashMap<Vec<u8>, Vec<u8>> = HashMap::from_redis_value(content)?;
            Value::Hash(fields.into_iter().map(|(field, value)| (text(&field), value)).collect())
        }
        "list" => {
            let items: Vec<Vec<u8>> = Vec::from_redis_value(content)?;
            Value::List(items.iter().map(|item| text(item)).collect())
        }
        "set" => Value::Set(BTreeSet::from_redis_value(content)?),
        _ => {
            let members: Vec<(Vec<u8>, f64)> = Vec::from_redis_value(content)?;
            Value::Sorted(members.into_iter().map(|(member, score)| (text(&member), score)).collect())
        }
    })
}

async fn read_stream(client: &Client, key: &str) -> anyhow::Result<Stream> {
    let mut groups = Cmd::new();
    groups.arg("XINFO").arg("GROUPS").arg(key);
    let groups: Vec<HashMap<String, redis::Value>> = client.redis().command("XINFO", &groups).await?;
    let mut stream = Stream::default();
    for group in groups {
        let said = |what: &str| {
            let value = group.get(what).cloned().unwrap_or(redis::Value::Nil);
            String::from_redis_value(value).unwrap_or_default()
        };
        stream.handed_out = place(&said("last-delivered-id"));
        let all = [key, &said("name"), "-", "+", "1000000"];
        type Pending = Vec<(String, String, u64, u64)>;
        let pending: Pending = ask(client, "XPENDING", &all).await?;
        stream.unacknowledged.extend(pending.iter().filter_map(|(id, ..)| place(id)));
    }
    // Last, so that what is acknowledged meanwhile is not taken for lost.
    type Entries = Vec<(String, HashMap<String, Vec<u8>>)>;
    let entries: Entries = ask(client, "XRANGE", &[key, "-", "+"]).await?;
    stream.entries = entries.into_iter().filter_map(|(id, fields)| Some((place(&id)?, fields))).collect();
    Ok(stream)
}

fn place(id: &str) -> Option<Place> {
    let (time, number) = id.split_once('-')?;
    Some((time.parse().ok()?, number.parse().ok()?))
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
