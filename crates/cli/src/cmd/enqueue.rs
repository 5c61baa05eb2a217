//! `ergate enqueue`: one job, or one for each line of a file.

pub(super) mod lines;

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};
use ergate_client::{Client, Durability, Reached, Receipt, Unique};
use ergate_shared::{
    Backoff, JobId, JobName, JobState, Key, Priority, QueueName, duration, record::LONGEST_UNIQUE_KEY,
};
use jiff::Timestamp;
use serde_json::json;

use crate::{
    connection::Connection,
    exit::{Code, Quiet, Refusal},
    output::{self, DIM, GREEN, Output},
    values,
};

/// How far ahead a job may be put: further is a mistake in the year.
const FURTHEST: Duration = duration::LONGEST;

/// `ergate enqueue`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ergate enqueue http http.request '{\"url\": \"https://example.com/hook\"}'
  ergate enqueue mail send-welcome '{\"user\": 7}' --delay 10m --priority 3
  ergate enqueue mail send-welcome --file users.ndjson
  ergate enqueue reports render '{\"org\": 7}' --unique-key org-7 --on-conflict ignore --wait 1m")]
pub(crate) struct Enqueue {
    /// The queue it goes to
    queue: QueueName,
    /// The job's name, such as `http.request`
    #[arg(value_name = "JOB")]
    name: JobName,
    /// The payload as JSON; `-` reads it from stdin
    #[arg(required_unless_present = "file", conflicts_with = "file", allow_negative_numbers = true)]
    payload: Option<String>,

    /// Enqueue one job for each line of this file, each line a payload; `-` reads from stdin
    ///
    /// Every line is checked before the first is sent; blank lines are skipped. Lines go in batches of 1,000, or of fewer that
    /// come to 4 MiB, each all or none.
    #[arg(long, value_name = "NDJSON", conflicts_with_all = ["id", "unique_key", "wait"])]
    file: Option<PathBuf>,
    /// Place within the queue, 1 (first) to 10 (last) [default: 5]
    #[arg(long, value_name = "N", allow_hyphen_values = true, help_heading = "Job")]
    priority: Option<Priority>,
    /// Let it wait this long
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, allow_hyphen_values = true, help_heading = "Job")]
    delay: Option<Duration>,
    /// Let it wait until then: `2027-01-31T09:00:00Z`, or by this machine's clock `2027-01-31 09:00`
    #[arg(long, value_name = "TIME", value_parser = values::instant, conflicts_with = "delay", help_heading = "Job")]
    run_at: Option<Timestamp>,
    /// Tries after the first [default: what the worker's handler declares, else 3]
    #[arg(long, value_name = "N", help_heading = "Job")]
    retries: Option<u32>,
    /// Delay between tries: `fixed:10s`, `exponential:1s`, `exponential:1s..1h`, `linear:5s`, `table:1s,1m,1h` or `none`
    #[arg(long, value_name = "SPEC", help_heading = "Job")]
    backoff: Option<Backoff>,
    /// The longest one attempt may run
    #[arg(long, value_name = "DURATION", value_parser = positive, allow_hyphen_values = true, help_heading = "Job")]
    timeout: Option<Duration>,
    /// Dead-letter it if it has not started by then
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, allow_hyphen_values = true, help_heading = "Job")]
    expires_in: Option<Duration>,
    /// Its id; if a job is there under this id, nothing is enqueued
    #[arg(long, help_heading = "Job")]
    id: Option<JobId>,
    /// A word to find it by; may be given several times
    #[arg(long, help_heading = "Job")]
    tag: Vec<String>,
    /// What limits of the queue count it by, such as `account=acme`; may be given twice
    #[arg(long, value_name = "NAME=VALUE", help_heading = "Job")]
    key: Vec<Key>,

    /// Refuse it if another job holds this key
    #[arg(long, value_name = "KEY", value_parser = unique_key, help_heading = "Uniqueness")]
    unique_key: Option<String>,
    /// How long it holds the key [default: finished]
    #[arg(long, value_name = "WHEN", requires = "unique_key", help_heading = "Uniqueness")]
    unique_until: Option<Until>,
    /// Hold the key this long, whatever becomes of the job
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = positive,
        requires = "unique_key",
        conflicts_with = "unique_until",
        help_heading = "Uniqueness"
    )]
    unique_for: Option<Duration>,
    /// What happens if the key is held [default: reject]
    #[arg(long, value_name = "WHAT", requires = "unique_key", help_heading = "Uniqueness")]
    on_conflict: Option<Conflict>,

    /// How safe it must be before its id is printed: `fast`, `fsync` or `replicated:N`
    #[arg(long, value_name = "LEVEL", value_parser = values::durability, default_value = "fast")]
    durability: Durability,
    /// The largest payload to take
    #[arg(long, value_name = "SIZE", value_parser = values::size, default_value = "512KiB")]
    payload_limit: usize,
    /// Wait this long for it to end, and print its result
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    wait: Option<Duration>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Until {
    /// Until a worker starts it
    Started,
    /// Until it has ended, retries included
    Finished,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Conflict {
    /// The new job is refused, with exit code 1
    Reject,
    /// The new job is dropped, and the id of the holder printed
    Ignore,
    /// The new job takes the place of a holder that waits
    Replace,
}

fn positive(text: &str) -> Result<Duration, String> {
    match duration::parse(text) {
        Ok(time) if time.is_zero() => Err("it must be longer than 0".to_owned()),
        other => other.map_err(|error| error.to_string()),
    }
}

fn unique_key(text: &str) -> Result<String, String> {
    match text.len() {
        1..=LONGEST_UNIQUE_KEY => Ok(text.to_owned()),
        length => Err(format!("it has {length} bytes, 1 to {LONGEST_UNIQUE_KEY} are allowed")),
    }
}

impl Enqueue {
    pub(crate) async fn run(self, connection: &Connection, output: Output) -> anyhow::Result<()> {
        if let Some(file) = &self.file {
            let payloads = lines::read(file, |line| lines::check(line, self.payload_limit))?;
            let client = self.connect(connection).await?;
            return lines::send(&self, &client, payloads, output).await;
        }
        let payload = self.payload()?;
        let client = self.connect(connection).await?;
        let receipt = self.job(&client, payload).await?;
        self.warn_of_less_durability(&receipt);
        if receipt.duplicate {
            output::note(format!("job {} is there already; nothing was enqueued", receipt.id));
        }
        let Some(within) = self.wait else {
            return output.either(&as_json(&receipt), &receipt.id);
        };
        output.line(&receipt.id)?;
        self.wait(&client, &receipt, within, output).await
    }

    async fn connect(&self, connection: &Connection) -> anyhow::Result<Client> {
        let client = connection.connect(connection.builder().payload_limit(self.payload_limit)).await?;
        let now = client.redis().now_ms();
        let furthest = now.saturating_add(u64::try_from(FURTHEST.as_millis()).unwrap_or(u64::MAX));
        match self.run_at {
            Some(at) if at.as_millisecond() > furthest.cast_signed() => {
                Err(Refusal::usage(format!("--run-at {at} is over ten years away")).into())
            }
            _ => Ok(client),
        }
    }

    /// The payload, checked before Redis is asked anything.
    fn payload(&self) -> anyhow::Result<Vec<u8>> {
        let payload = match self.payload.as_deref() {
            Some("-") => lines::read_all(None)?,
            given => given.unwrap_or_default().as_bytes().to_vec(),
        };
        lines::check(&payload, self.payload_limit).map_err(|problem| {
            let refusal = Refusal::usage(format!("payload of job {} {problem}", self.name));
            match payload.first() {
                _ if payload.len() > self.payload_limit => {
                    refusal.hint("--payload-limit raises it for one call")
                }
                Some(b'{' | b'[' | b'"') | None => refusal,
                _ => refusal.hint("text needs quotes of JSON inside those of the shell: '\"text\"'"),
            }
        })?;
        Ok(payload)
    }

    /// A job with all the options.
    fn job(&self, client: &Client, payload: Vec<u8>) -> ergate_client::Enqueue {
        let mut job =
            client.enqueue_raw(self.queue.clone(), self.name.clone(), payload).durability(self.durability);
        if let Some(priority) = self.priority {
            job = job.priority(priority);
        }
        if let Some(delay) = self.delay {
            job = job.delay(delay);
        }
        if let Some(time) = self.run_at {
            job = job.run_at(time);
        }
        if let Some(retries) = self.retries {
            job = job.retries(retries);
        }
        if let Some(backoff) = &self.backoff {
            job = job.backoff(backoff.clone());
        }
        if let Some(timeout) = self.timeout {
            job = job.timeout(timeout);
        }
        if let Some(time) = self.expires_in {
            job = job.expires_in(time);
        }
        if let Some(id) = &self.id {
            job = job.id(id.as_str());
        }
        if let Some(unique) = self.unique() {
            job = job.unique(unique);
        }
        for key in &self.key {
            job = job.key(key.name().as_str(), key.value());
        }
        job.tags(&self.tag)
    }

    fn unique(&self) -> Option<Unique> {
        let key = self.unique_key.clone()?;
        let unique = match (self.unique_for, self.unique_until) {
            (Some(window), _) => Unique::within(key, window),
            (None, Some(Until::Started)) => Unique::until_started(key),
            (None, _) => Unique::until_finished(key),
        };
        Some(match self.on_conflict {
            None | Some(Conflict::Reject) => unique,
            Some(Conflict::Ignore) => unique.ignore(),
            Some(Conflict::Replace) => unique.replace(),
        })
    }

    fn warn_of_less_durability(&self, receipt: &Receipt) {
        let reached = match (self.durability, receipt.durability) {
            (Durability::Fast, _) | (Durability::Fsync, Reached::Fsync) => return,
            (Durability::Replicated(asked), Reached::Replicated(got)) if got >= asked => return,
            (_, reached) => reached,
        };
        output::warn(format!(
            "the job is enqueued, but within two seconds only `{}` was reached, not `{}`; `ergate doctor` may say why",
            level(reached),
            match self.durability {
                Durability::Fsync => "fsync".to_owned(),
                Durability::Replicated(replicas) => format!("replicated:{replicas}"),
                Durability::Fast => "fast".to_owned(),
            }
        ));
    }

    async fn wait(
        &self,
        client: &Client,
        receipt: &Receipt,
        within: Duration,
        output: Output,
    ) -> anyhow::Result<()> {
        let spinner = output::spinner(&format!("waiting for {}", receipt.id));
        let ended = receipt.job(client).ended(within).await;
        spinner.finish_and_clear();
        let view = ended.map_err(|error| super::job::explained(error, &self.queue))?;
        if output.is_json() {
            let mut json = view.to_json();
            json["duplicate"] = receipt.duplicate.into();
            json["durability"] = level(receipt.durability).into();
            output.json(&json)?;
            return if view.state == JobState::Completed { Ok(()) } else { Err(Quiet(Code::Failed).into()) };
        }
        super::job::print_result(&view, output)
    }
}

fn level(reached: Reached) -> String {
    match reached {
        Reached::Fast => "fast".to_owned(),
        Reached::Fsync => "fsync".to_owned(),
        Reached::Replicated(replicas) => format!("replicated:{replicas}"),
    }
}

fn as_json(receipt: &Receipt) -> serde_json::Value {
    json!({
        "id": receipt.id, "queue": receipt.queue, "duplicate": receipt.duplicate, "durability": level(receipt.durability),
    })
}

fn done(count: usize, queue: &QueueName) -> String {
    format!("{GREEN}✓{GREEN:#} {} {DIM}in queue {queue}{DIM:#}", output::counted(count as u64, "job"))
}
