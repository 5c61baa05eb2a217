//! Keys of a queue: their limits, pauses, and what each is doing.

use std::time::Duration;

use clap::Args;
use ergate_client::{Client, KeyLimit, KeyStats, Limit, Queue, Rate, WaitsFor};
use ergate_shared::{Key, KeyName, QueueName, duration};
use serde_json::json;

use super::{known, maybe_new};
use crate::{
    exit::Refusal,
    output::{self, Cell, Clock, Column, DIM, GREEN, Output, Table, YELLOW},
    values,
};

/// `ergate queue keys`.
#[derive(Debug, Args)]
pub(crate) struct Keys {
    /// Which queue
    queue: QueueName,
    /// How many keys to list
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
}

impl Keys {
    pub(super) async fn run(self, client: &Client, output: Output) -> anyhow::Result<()> {
        let queue = known(client, &self.queue).await?;
        let keys = queue.keys_in_use().await?;
        let shown = &keys[..keys.len().min(self.limit)];
        if output.is_json() {
            return output.json(&json!({"queue": self.queue, "keys": shown, "total": keys.len()}));
        }
        if keys.is_empty() {
            output::note(format!("queue {} has no job with a key, and no key is paused", self.queue));
            return Ok(());
        }
        let clock = Clock::new(queue.stats().await?.now);
        let columns = [
            Column::Word("key"),
            Column::Number("waiting"),
            Column::Number("running"),
            Column::Prose("waits for"),
        ];
        let mut table = Table::new(columns);
        for key in shown {
            let waits = waits_for(key, clock);
            table.row([
                key.key.to_string().into(),
                Cell::count(key.waiting, anstyle::Style::new()),
                Cell::count(key.running, anstyle::Style::new()),
                if key.paused_at.is_some() { Cell::styled(waits, YELLOW) } else { waits.into() },
            ]);
        }
        output.line(table.render())?;
        match keys.len() - shown.len() {
            0 => Ok(()),
            more => output.line(format!("\n{DIM}and {}{DIM:#}", output::counted(more as u64, "more key"))),
        }
    }
}

fn waits_for(key: &KeyStats, clock: Clock) -> String {
    match (key.paused_at, key.waits_for) {
        (Some(at), _) => format!("paused {}", clock.relative(at)),
        (None, Some(WaitsFor::Concurrency)) => "those that run".to_owned(),
        (None, Some(WaitsFor::Time(at))) => format!("its time, {}", clock.brief(at)),
        (None, _) => String::new(),
    }
}

/// A key as it is named on the command line: `account=acme`, or `acme` alone if the queue limits keys of one name only.
async fn named(queue: &Queue, text: &str) -> anyhow::Result<Key> {
    if text.contains('=') {
        return text.parse().map_err(|error: ergate_shared::Error| Refusal::usage(error.to_string()).into());
    }
    let limits = queue.limits().await?;
    if let [limit] = limits.as_slice() {
        return Ok(Key::new(limit.name.as_str(), text)?);
    }
    Err(Refusal::usage(format!("key {text} has no name"))
        .hint(format!("write it like `--key account={text}`"))
        .into())
}

/// Pauses or resumes a key.
pub(super) async fn pause(
    client: &Client,
    queue: &QueueName,
    key: &str,
    pauses: bool,
    output: Output,
) -> anyhow::Result<()> {
    let queue = maybe_new(client, queue).await?;
    let key = named(&queue, key).await?;
    let name = queue.name();
    let line = if pauses {
        queue.pause_key(&key).await?;
        format!(
            "{GREEN}✓{GREEN:#} key {key} of queue {name} is paused {DIM}(go on with `ergate queue resume {name} --key {key}`){DIM:#}"
        )
    } else {
        queue.resume_key(&key).await?;
        format!("{GREEN}✓{GREEN:#} queue {name} hands out jobs with key {key}")
    };
    output.either(&json!({"queue": name, "key": key, "paused": pauses}), line)
}

/// Changes to the limit of the keys of one name: `None` leaves as it is, `Some(None)` takes away.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Changes {
    pub(super) concurrency: Option<Option<u32>>,
    pub(super) rate: Option<Option<Rate>>,
    pub(super) burst: Option<u32>,
    pub(super) spacing: Option<Option<Duration>>,
}

impl Changes {
    pub(super) async fn apply(self, queue: &Queue, name: &KeyName) -> anyhow::Result<()> {
        let limits = queue.limits().await?;
        let known = limits.into_iter().find(|limit| limit.name == *name);
        let concurrency = self.concurrency.unwrap_or(known.as_ref().and_then(|known| known.concurrency));
        let known_rate = known.as_ref().and_then(|known| {
            // A thousand jobs take as many seconds as one takes milliseconds, which keeps fractions of them.
            let per = Duration::from_secs_f64(known.rate_interval_ms?);
            Some(Rate::new(1000, per).burst(known.rate_burst))
        });
        let rate = match (self.rate, self.burst) {
            (None, None) => known_rate,
            (None, Some(burst)) => match known_rate {
                Some(rate) => Some(rate.burst(burst)),
                None => {
                    return Err(Refusal::usage(format!(
                        "keys {name} have no rate that a burst could belong to"
                    ))
                    .hint("give both, like --rate 100/1m --burst 20")
                    .into());
                }
            },
            (Some(rate), burst) => rate.map(|rate| rate.burst(burst.unwrap_or(1))),
        };
        let known_spacing = known.as_ref().and_then(|known| known.spacing_ms).map(Duration::from_millis);
        let spacing = self.spacing.unwrap_or(known_spacing);
        let mut limit = Limit::per_key(name.as_str());
        if let Some(most) = concurrency {
            limit = limit.concurrency(most);
        }
        if let Some(rate) = rate {
            limit = limit.rate(rate);
        }
        if let Some(spacing) = spacing {
            limit = limit.spacing(spacing);
        }
        if concurrency.is_none() && rate.is_none() && spacing.is_none() {
            return Ok(queue.clear_limit(name.as_str()).await?);
        }
        Ok(queue.set_limit(&limit).await?)
    }
}

/// The limits per key as people read them, a line each.
pub(super) fn page(limits: &[KeyLimit]) -> String {
    let mut text = String::new();
    for limit in limits {
        let concurrency =
            limit.concurrency.map(|most| format!("{} at once", output::counted(most.into(), "job")));
        let rate = limit.rate_interval_ms.map(|interval| match limit.rate_burst {
            1 => values::show_rate(interval),
            burst => format!("{}, up to {} at once after a pause", values::show_rate(interval), burst),
        });
        let spacing = limit
            .spacing_ms
            .map(|ms| format!("{} between two starts", duration::show(Duration::from_millis(ms))));
        let parts: Vec<_> = [concurrency, rate, spacing].into_iter().flatten().collect();
        text.push_str(&format!("\n  {:<16} {}", format!("per {}", limit.name), parts.join("; ")));
    }
    text
}
