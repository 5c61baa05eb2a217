//! The official Rust port of BullMQ under faults: its worker as its documentation starts it, with its documented options.

use beside::{About, BACKOFF, Desk, Found, RETRIES, System, Task, Work};
use bullmq::{
    Job, Queue, Worker,
    options::{QueueOptions, RedisConnectionOptions, WorkerOptions},
    types::{BackoffStrategy, JobState},
    worker::CancellationToken,
};
use serde_json::{Value, json};

const QUEUE: &str = "beside";

struct BullMqOfficial;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    beside::run::<BullMqOfficial>().await
}

impl System for BullMqOfficial {
    fn about() -> About {
        let options = WorkerOptions::new();
        let seconds = |ms: u64| ms / 1000;
        About {
            version: format!("bullmq-official {}", version()),
            lease_ms: options.lock_duration,
            defaults: format!(
                "lock {} s, renewed each {} s; check for stalled jobs each {} s; {} stalled check(s) allowed; pause of {} s after an \
                 error of a fetch",
                seconds(options.lock_duration),
                seconds(options.effective_lock_renew_time()),
                seconds(options.stalled_interval),
                options.max_stalled_count,
                seconds(options.run_retry_delay),
            ),
            with_lease: "`lock_duration` and `stalled_interval` set to the lease; the rest as by default"
                .to_owned(),
            build: build().to_owned(),
        }
    }

    async fn add(redis: &str, tasks: Vec<Task>) -> anyhow::Result<()> {
        let queue = queue(redis).await?;
        let backoff = BackoffStrategy::Fixed(u64::try_from(BACKOFF.as_millis())?);
        for task in tasks {
            let id = task.id.clone();
            queue.add("task", task).job_id(id).attempts(1 + RETRIES).backoff(backoff.clone()).await?;
        }
        Ok(())
    }

    async fn look(redis: &str, ids: Vec<String>) -> anyhow::Result<Vec<Found>> {
        let queue = queue(redis).await?;
        let mut found = Vec::new();
        for id in ids {
            let job = queue.get_job(&id).await?;
            let state = queue.get_job_state(&id).await?;
            let text = |read: fn(&Job) -> &str| {
                job.as_ref().map(|job| read(job).to_owned()).filter(|text| !text.is_empty())
            };
            found.push(Found {
                ended: matches!(state, JobState::Completed | JobState::Failed),
                state: state.to_string(),
                result: text(Job::returnvalue).and_then(|json| serde_json::from_str(&json).ok()),
                reason: text(Job::failed_reason),
                counts: job.as_ref().map(counts).unwrap_or_default(),
                id,
            });
        }
        Ok(found)
    }

    async fn work(options: Work, desk: Desk) -> anyhow::Result<()> {
        let handler = {
            let desk = desk.clone();
            move |job: Job, told: CancellationToken| {
                let desk = desk.clone();
                async move {
                    let task: Task = serde_json::from_value(job.data().clone())?;
                    let call = desk.perform(&task, counts(&job), told.cancelled()).await;
                    Ok(Value::String(call))
                }
            }
        };
        let mut set_up =
            WorkerOptions::new().connection(connection(&options.redis)).concurrency(options.slots);
        if let Some(lease) = options.lease() {
            set_up = set_up.lock_duration(lease).stalled_interval(lease);
        }
        let worker = Worker::with_options(QUEUE, handler, set_up).await?;
        desk.ready()?;
        while let Some(event) = worker.next_event().await {
            eprintln!("{} {event:?}", beside::now_us());
        }
        // Its events ended, which is not the end of its work.
        std::future::pending::<()>().await;
        Ok(())
    }
}

/// What BullMQ counts: attempts that ended in a failure, attempts begun, and how often the job was found stalled.
fn counts(job: &Job) -> Value {
    let stalled = serde_json::to_value(job).map(|job| job["stalled_counter"].clone()).unwrap_or_default();
    json!({ "attempts made": job.attempts_made(), "attempts started": job.attempts_started(), "stalled": stalled })
}

async fn queue(redis: &str) -> anyhow::Result<Queue> {
    Ok(Queue::with_options(QUEUE, QueueOptions::new().connection(connection(redis))).await?)
}

fn connection(redis: &str) -> RedisConnectionOptions {
    RedisConnectionOptions::new().url(redis)
}

/// As the lock file has it.
fn version() -> &'static str {
    let lock = include_str!("../../Cargo.lock");
    let entry = lock.split("name = \"bullmq-official\"\nversion = \"").nth(1);
    entry.and_then(|entry| entry.split('"').next()).unwrap_or("of unknown version")
}

fn build() -> &'static str {
    if cfg!(debug_assertions) { "debug" } else { "release" }
}
