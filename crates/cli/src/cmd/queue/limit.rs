//! A queue's limits and retention: set what is given, show the rest.

use std::{collections::BTreeMap, time::Duration};

use clap::Args;
use ergate_client::{Client, Queue, Rate, Retention};
use ergate_shared::{KeyName, QueueName, duration};
use serde_json::json;

use super::{keys, maybe_new};
use crate::{
    exit::Refusal,
    output::{self, DIM, GREEN, Output},
    values::{self, Limit},
};

const RETENTION: &str = "Retention, by count and age, whichever is less";

type Settings = BTreeMap<String, String>;

/// `ergate queue limit`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ergate queue limit mail --concurrency 10 --rate 100/1m --burst 20
  ergate queue limit mail --rate none
  ergate queue limit mail --key account --concurrency 1 --spacing 45s
  ergate queue limit mail --keep-completed 0")]
pub(crate) struct Limits {
    /// Which queue
    queue: QueueName,

    /// Limit the jobs of each key of this name, not those of the whole queue
    #[arg(long, value_name = "NAME", help_heading = "Limits")]
    key: Option<KeyName>,
    /// Jobs of it that may run at once, over all workers, or `none`
    #[arg(long, value_name = "N", value_parser = values::count, help_heading = "Limits")]
    concurrency: Option<Limit<u32>>,
    /// Jobs of it that may start per time, over all workers, evenly spaced: `100/1m`, `5/s` or `none`
    #[arg(long, value_name = "RATE", value_parser = values::rate, help_heading = "Limits")]
    rate: Option<Limit<Rate>>,
    /// Jobs that may start at once after a pause, under a rate [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Limits")]
    burst: Option<u32>,
    /// Time between the starts of two jobs of a key, or `none`
    #[arg(long, value_name = "DURATION", value_parser = values::time, requires = "key", help_heading = "Limits")]
    spacing: Option<Limit<Duration>>,

    /// Completed jobs to keep; 0 keeps none, and no results
    #[arg(long, value_name = "N", help_heading = RETENTION)]
    keep_completed: Option<u32>,
    /// How long to keep them
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = duration::parse,
        help_heading = RETENTION
    )]
    keep_completed_for: Option<Duration>,
    /// Cancelled jobs to keep
    #[arg(long, value_name = "N", help_heading = RETENTION)]
    keep_cancelled: Option<u32>,
    /// How long to keep them
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = duration::parse,
        help_heading = RETENTION
    )]
    keep_cancelled_for: Option<Duration>,
    /// Dead letters to keep
    #[arg(long, value_name = "N", help_heading = RETENTION)]
    keep_dead: Option<u32>,
    /// How long to keep them
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = duration::parse,
        help_heading = RETENTION
    )]
    keep_dead_for: Option<Duration>,
}

impl Limits {
    fn retention(&self) -> Retention {
        Retention {
            completed: self.keep_completed,
            completed_for: self.keep_completed_for,
            cancelled: self.keep_cancelled,
            cancelled_for: self.keep_cancelled_for,
            dead: self.keep_dead,
            dead_for: self.keep_dead_for,
        }
    }

    fn changes(&self) -> bool {
        self.concurrency.is_some()
            || self.rate.is_some()
            || self.burst.is_some()
            || self.spacing.is_some()
            || self.retention() != Retention::default()
    }

    pub(super) async fn run(self, client: &Client, output: Output) -> anyhow::Result<()> {
        if self.concurrency == Some(Limit(Some(0))) {
            return Err(Refusal::usage("concurrency 0 would never run a job")
                .hint(format!("`ergate queue pause {}`", self.queue))
                .into());
        }
        if self.rate == Some(Limit(None)) && self.burst.is_some() {
            return Err(Refusal::usage("a burst needs a rate").into());
        }
        if self.key.is_some() && self.retention() != Retention::default() {
            return Err(Refusal::usage("retention is the queue's, not that of a key").into());
        }
        let queue = maybe_new(client, &self.queue).await?;
        let changes = self.changes();
        if changes {
            self.set(&queue).await?;
        }
        let settings = queue.stats().await?.settings;
        let done = if changes {
            format!("{GREEN}✓{GREEN:#} queue {} is set\n", self.queue)
        } else {
            String::new()
        };
        let limits = queue.limits().await?;
        output.either(
            &json!({"queue": self.queue, "settings": settings, "limits": limits}),
            done + &page(&settings) + &keys::page(&limits),
        )
    }

    /// The rate comes first, as it is the one that can turn out to be impossible.
    async fn set(&self, queue: &Queue) -> anyhow::Result<()> {
        if let Some(name) = &self.key {
            let changes = keys::Changes {
                concurrency: self.concurrency.map(|Limit(most)| most),
                rate: self.rate.map(|Limit(rate)| rate),
                burst: self.burst,
                spacing: self.spacing.map(|Limit(spacing)| spacing),
            };
            return changes.apply(queue, name).await;
        }
        match (self.rate, self.burst) {
            (Some(Limit(rate)), burst) => {
                queue.set_rate(rate.map(|rate| rate.burst(burst.unwrap_or(1)))).await?;
            }
            (None, Some(burst)) => {
                let settings = queue.stats().await?.settings;
                let Some(interval_ms) = number(&settings, "rate_interval") else {
                    return Err(Refusal::usage(format!(
                        "queue {} has no rate that a burst could belong to",
                        queue.name()
                    ))
                    .hint("give both, like --rate 100/1m --burst 20")
                    .into());
                };
                // A thousand jobs take as many seconds as one takes milliseconds, which keeps fractions of them.
                let rate = Rate::new(1000, Duration::from_secs_f64(interval_ms)).burst(burst);
                queue.set_rate(Some(rate)).await?;
            }
            (None, None) => {}
        }
        if let Some(Limit(most)) = self.concurrency {
            queue.set_concurrency(most).await?;
        }
        Ok(queue.set_retention(self.retention()).await?)
    }
}

fn number(settings: &Settings, name: &str) -> Option<f64> {
    settings.get(name)?.parse().ok()
}

/// The settings as people read them, defaults marked.
pub(super) fn page(settings: &Settings) -> String {
    let concurrency = match number(settings, "concurrency") {
        Some(most) => format!("{} at once, over all workers", output::counted(most as u64, "job")),
        None => format!("{DIM}none{DIM:#}"),
    };
    let rate = match number(settings, "rate_interval") {
        Some(interval) => {
            let burst = number(settings, "rate_burst").unwrap_or(1.0) as u64;
            let burst = if burst > 1 {
                format!(", up to {} at once after a pause", output::grouped(burst))
            } else {
                String::new()
            };
            format!("{}{burst}", values::show_rate(interval))
        }
        None => format!("{DIM}none{DIM:#}"),
    };
    let mut lines =
        vec![format!("  {:<16} {concurrency}", "concurrency"), format!("  {:<16} {rate}", "rate")];
    for (kind, count, age) in KEPT {
        let name = format!("keep_{kind}");
        let (set_count, set_age) = (number(settings, &name), number(settings, &format!("{name}_ms")));
        let count = set_count.map_or(u64::from(count), |count| count as u64);
        let age = set_age.map_or(age, |ms| Duration::from_millis(ms as u64));
        let text = if count == 0 {
            "none".to_owned()
        } else {
            format!("the last {} for {}", output::grouped(count), duration::show(age))
        };
        let default = if set_count.is_none() && set_age.is_none() {
            format!(" {DIM}(default){DIM:#}")
        } else {
            String::new()
        };
        lines.push(format!("  {:<16} {text}{default}", format!("keep {kind}")));
    }
    lines.join("\n")
}

/// What the scripts keep unless a queue says otherwise: count and age.
const KEPT: [(&str, u32, Duration); 3] = [
    ("completed", 1_000, Duration::from_hours(1)),
    ("cancelled", 1_000, Duration::from_hours(1)),
    ("dead", 10_000, Duration::from_hours(14 * 24)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_read_back_as_they_were_given() {
        let settings = [
            ("concurrency", "10"),
            ("rate_interval", "600"),
            ("rate_burst", "20"),
            ("keep_completed", "0"),
            ("keep_dead_ms", "86400000"),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let text = anstream::adapter::strip_str(&page(&settings)).to_string();

        assert!(text.contains("10 jobs at once"), "{text}");
        assert!(text.contains("100/1m, up to 20 at once"), "{text}");
        assert!(text.contains("keep completed   none"), "{text}");
        assert!(text.contains("keep dead        the last 10,000 for 1d"), "{text}");
        assert!(text.contains("keep cancelled   the last 1,000 for 1h (default)"), "{text}");
    }
}
