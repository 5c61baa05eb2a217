//! Limits per key of a queue, and what its keys are doing.
//!
//! A limit holds for every key of its name: `Limit::per_key("account").concurrency(1)` lets one job of each account run at a
//! time. They are kept in Redis with the queue and hold over all workers.

use std::{collections::BTreeMap, fmt, time::Duration};

use ergate_shared::{Key, KeyName, duration, key::QueueKey, lane, script};
use redis::Cmd;
use serde::{Serialize, Serializer};

use crate::{Error, Queue, Rate};

/// What jobs with the same key may do: how many run at once, how many start per time, and how long between two starts.
///
/// ```
/// # use std::time::Duration;
/// # use ergate_client::{Limit, Rate};
/// let one_at_a_time = Limit::per_key("account").concurrency(1);
/// let mails = Limit::per_key("mailbox").spacing(Duration::from_secs(45));
/// let calls = Limit::per_key("partner").rate(Rate::new(10, Duration::from_secs(60)).burst(3));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    name: String,
    concurrency: Option<u32>,
    rate: Option<Rate>,
    spacing: Option<Duration>,
}

/// A limit as Redis has it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct KeyLimit {
    /// The name of the keys it holds for.
    pub name: KeyName,
    /// Jobs of one key that may run at once.
    pub concurrency: Option<u32>,
    /// The time between two starts on the average, in ms.
    pub rate_interval_ms: Option<f64>,
    /// Jobs that may start at once after a pause, under the rate.
    pub rate_burst: u32,
    /// The time between any two starts, in ms.
    pub spacing_ms: Option<u64>,
}

/// What one key of a queue is doing.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct KeyStats {
    /// The key.
    pub key: Key,
    /// Ready jobs with it.
    pub waiting: u64,
    /// Jobs with it that run.
    pub running: u64,
    /// Since when it is paused, in ms since the epoch.
    pub paused_at: Option<u64>,
    /// What its waiting jobs wait for, if it is this key that lets none start.
    #[serde(serialize_with = "as_text")]
    pub waits_for: Option<WaitsFor>,
}

/// Why no job with a key starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitsFor {
    /// As many run as may at once.
    Concurrency,
    /// Its rate or spacing lets the next start then, in ms since the epoch.
    Time(u64),
    /// It is paused.
    Resume,
}

fn as_text<S: Serializer>(waits: &Option<WaitsFor>, serializer: S) -> Result<S::Ok, S::Error> {
    waits.map(|waits| waits.to_string()).serialize(serializer)
}

impl fmt::Display for WaitsFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Concurrency => write!(f, "concurrency"),
            Self::Time(at) => write!(f, "time {at}"),
            Self::Resume => write!(f, "resume"),
        }
    }
}

impl Limit {
    /// A limit for each key of this name. Without more it limits nothing.
    pub fn per_key(name: impl Into<String>) -> Self {
        Self { name: name.into(), concurrency: None, rate: None, spacing: None }
    }

    /// Lets at most this many jobs of a key run at once, over all workers; default no limit. At least 1.
    #[must_use]
    pub fn concurrency(mut self, most: u32) -> Self {
        self.concurrency = Some(most);
        self
    }

    /// Lets jobs of a key start at most at this rate; default no limit.
    #[must_use]
    pub fn rate(mut self, rate: Rate) -> Self {
        self.rate = Some(rate);
        self
    }

    /// Lets at least this much time go by between the starts of two jobs of a key; default none.
    #[must_use]
    pub fn spacing(mut self, spacing: Duration) -> Self {
        self.spacing = Some(spacing);
        self
    }

    /// The name of the keys it holds for.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it could be set.
    ///
    /// # Errors
    /// As [`Queue::set_limit`].
    pub fn check(&self) -> Result<(), Error> {
        self.encode().map(drop)
    }

    /// Checks it, and writes it as `lua/lib/flow.lua` reads it: four numbers, 0 for what is not limited.
    fn encode(&self) -> Result<(KeyName, String), Error> {
        let name: KeyName = self.name.parse()?;
        if self.concurrency == Some(0) {
            return Err(Error::Option(format!(
                "concurrency 0 per {name} would never run a job; pause the queue or a key instead"
            )));
        }
        let (interval, burst) = match self.rate {
            None => (0.0, 1),
            Some(rate) => (rate.interval_ms()?, rate.burst),
        };
        let spacing = self.spacing.map_or(0, |spacing| spacing.as_millis());
        if self.spacing.is_some_and(|spacing| spacing.as_millis() == 0 || spacing > duration::LONGEST) {
            return Err(Error::Option(format!("spacing per {name} is not within 1ms to ten years")));
        }
        if self.concurrency.is_none() && self.rate.is_none() && self.spacing.is_none() {
            return Err(Error::Option(format!(
                "limit per {name} limits nothing; give it a concurrency, a rate or a spacing, or clear it"
            )));
        }
        Ok((name, format!("{} {interval} {burst} {spacing}", self.concurrency.unwrap_or(0))))
    }
}

impl KeyLimit {
    /// Reads a limit; what no release wrote limits nothing, as scripts have it.
    fn decode(name: KeyName, text: &str) -> Self {
        let mut numbers = text.split(' ').map(|number| number.parse::<f64>().ok().filter(|n| *n > 0.0));
        let mut next = || numbers.next().flatten();
        let (concurrency, rate_interval_ms, burst, spacing) = (next(), next(), next(), next());
        Self {
            name,
            concurrency: concurrency.map(|most| most as u32),
            rate_interval_ms,
            rate_burst: burst.map_or(1, |burst| burst as u32),
            spacing_ms: spacing.map(|ms| ms as u64),
        }
    }
}

const PAGE: usize = 500;

impl Queue {
    /// Sets the limit of all keys of its name; what runs goes on. Setting the same again changes nothing.
    ///
    /// # Errors
    /// [`Error::Option`] for a limit of nothing or of 0.
    pub async fn set_limit(&self, limit: &Limit) -> Result<(), Error> {
        let (name, text) = limit.encode()?;
        self.write_limit(&name, &text).await
    }

    /// Takes the limit of all keys of a name away.
    ///
    /// # Errors
    /// If the name is not valid.
    pub async fn clear_limit(&self, name: &str) -> Result<(), Error> {
        self.write_limit(&name.parse()?, "").await
    }

    async fn write_limit(&self, name: &KeyName, text: &str) -> Result<(), Error> {
        let mut cursor = Vec::new();
        loop {
            let call = script::QUEUE_LIMIT.on(self.keys()).arg(name.as_str()).arg(text).arg(&cursor);
            (_, cursor) = self.client().redis().run::<(u64, Vec<u8>)>(&call).await?;
            if cursor.is_empty() {
                return Ok(());
            }
        }
    }

    /// The limits per key, in order of their names.
    ///
    /// # Errors
    /// Errors of the connection.
    pub async fn limits(&self) -> Result<Vec<KeyLimit>, Error> {
        let all: BTreeMap<String, String> = self.read_hash(QueueKey::limits).await?;
        let limits = all.into_iter().filter_map(|(name, text)| Some((name.parse().ok()?, text)));
        Ok(limits.map(|(name, text)| KeyLimit::decode(name, &text)).collect())
    }

    /// Lets no job with this key start until it is resumed; those that run go on, and new ones may be enqueued.
    ///
    /// # Errors
    /// Errors of the connection.
    pub async fn pause_key(&self, key: &Key) -> Result<(), Error> {
        self.write_pause(key, "1").await
    }

    /// Lets jobs with this key start again.
    ///
    /// # Errors
    /// Errors of the connection.
    pub async fn resume_key(&self, key: &Key) -> Result<(), Error> {
        self.write_pause(key, "").await
    }

    async fn write_pause(&self, key: &Key, pauses: &str) -> Result<(), Error> {
        let call = script::QUEUE_PAUSE_KEY.on(self.keys()).arg("").arg(key.to_string()).arg(pauses);
        self.client().redis().run::<(u64, u64)>(&call).await.map(drop)
    }

    /// Every key that jobs wait with or run with or that is paused: those most jobs wait with first. Reads page by page, so
    /// what moves meanwhile may be missed.
    ///
    /// # Errors
    /// Errors of the connection.
    pub async fn keys_in_use(&self) -> Result<Vec<KeyStats>, Error> {
        let mut found: BTreeMap<Key, KeyStats> = BTreeMap::new();
        let flow: BTreeMap<String, String> = self.read_hash(QueueKey::flow).await?;
        for (key, state) in flow {
            // How many run, three words about its pace, and since when it is paused; see `lua/lib/flow.lua`.
            let words: Vec<u64> = state.split(' ').map(|word| word.parse().unwrap_or(0)).collect();
            let [running, _, _, _, paused_at] = words[..] else { continue };
            if running + paused_at > 0
                && let Ok(key) = key.parse()
            {
                let stats = note(&mut found, key);
                stats.running = running;
                stats.paused_at = Some(paused_at).filter(|at| *at > 0);
            }
        }
        let mut cursor = 0_u64;
        loop {
            let mut scan = redis::cmd("HSCAN");
            scan.arg(self.keys().get(QueueKey::lanes)).arg(cursor).arg("COUNT").arg(PAGE);
            let (next, lanes): (u64, Vec<(String, String)>) =
                self.client().redis().command("HSCAN", &scan).await?;
            let mut counts = redis::pipe();
            for (lane, _) in &lanes {
                counts.cmd("ZLEXCOUNT").arg(self.keys().get(QueueKey::laned));
                counts.arg(format!("[{lane}\0")).arg(format!("({lane}\x01"));
            }
            let counts: Vec<u64> = match lanes.is_empty() {
                true => Vec::new(),
                false => self.client().redis().pipeline("ZLEXCOUNT", &counts).await?,
            };
            for ((lane, standing), count) in lanes.iter().zip(counts) {
                let parked_under = standing.split('\0').next().unwrap_or_default();
                for key in lane::keys_of(lane) {
                    let waits = key.to_string() == parked_under;
                    let stats = note(&mut found, key);
                    stats.waiting += count;
                    if waits {
                        stats.waits_for = Some(WaitsFor::Concurrency);
                    }
                }
            }
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        let mut opening = Cmd::new();
        opening.arg("ZRANGE").arg(self.keys().get(QueueKey::opening)).arg(0).arg(-1).arg("WITHSCORES");
        let opening: Vec<(String, f64)> = self.client().redis().command("ZRANGE", &opening).await?;
        let opening: BTreeMap<String, f64> = opening.into_iter().collect();
        let mut keys: Vec<KeyStats> = found.into_values().collect();
        for stats in &mut keys {
            if let Some(at) = opening.get(&stats.key.to_string()).filter(|_| stats.waits_for.is_some()) {
                stats.waits_for = Some(WaitsFor::Time(*at as u64));
            }
            if stats.paused_at.is_some() && stats.waiting > 0 {
                stats.waits_for = Some(WaitsFor::Resume);
            }
        }
        keys.sort_by(|a, b| {
            b.waiting.cmp(&a.waiting).then(b.running.cmp(&a.running)).then(a.key.cmp(&b.key))
        });
        Ok(keys)
    }

    async fn read_hash<T: redis::FromRedisValue>(&self, key: QueueKey) -> Result<T, Error> {
        let mut get = redis::cmd("HGETALL");
        get.arg(self.keys().get(key));
        self.client().redis().command("HGETALL", &get).await
    }
}

fn note(found: &mut BTreeMap<Key, KeyStats>, key: Key) -> &mut KeyStats {
    found.entry(key.clone()).or_insert(KeyStats {
        key,
        waiting: 0,
        running: 0,
        paused_at: None,
        waits_for: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_reads_back_as_it_was_written() {
        let rate = Rate::new(3, Duration::from_secs(1)).burst(2);
        let limit = Limit::per_key("account").concurrency(4).rate(rate).spacing(Duration::from_secs(45));

        let (name, text) = limit.encode().unwrap();
        let read = KeyLimit::decode(name, &text);

        assert_eq!((read.concurrency, read.rate_burst, read.spacing_ms), (Some(4), 2, Some(45_000)));
        assert!((read.rate_interval_ms.unwrap() - 333.333).abs() < 0.001);
    }

    #[test]
    fn a_limit_of_nothing_or_of_none_at_once_is_refused() {
        let refused = [
            Limit::per_key("account"),
            Limit::per_key("account").concurrency(0),
            Limit::per_key("account").spacing(Duration::ZERO),
            Limit::per_key("account").rate(Rate::new(0, Duration::from_secs(1))),
            Limit::per_key("no name").concurrency(1),
        ];

        assert!(refused.iter().all(|limit| limit.encode().is_err()));
    }
}
