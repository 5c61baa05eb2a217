//! Ergate under the faults that its peer is put under too: the program of this system for `chaos-beside`.

use beside::{About, BACKOFF, Desk, Found, RETRIES, System, Task, Work};
use ergate::{
    Backoff, Cancelled, Client, Context, Error, Job, Result, State, Tries, Worker, shutdown_signal,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What a worker does unless it is told otherwise; only for people to read.
const DEFAULTS: &str = "lease 15 s, heartbeat each 5 s; crash limit 3";

struct Ergate;

#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
struct Order(Task);

impl Job for Order {
    const NAME: &str = "task";
    const QUEUE: &str = "beside";
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr).init();
    beside::run::<Ergate>().await
}

impl System for Ergate {
    fn about() -> About {
        About {
            version: format!("Ergate {}", env!("CARGO_PKG_VERSION")),
            lease_ms: 15_000,
            defaults: DEFAULTS.to_owned(),
            with_lease: "`lease` set; the rest as by default".to_owned(),
            build: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
        }
    }

    async fn add(redis: &str, tasks: Vec<Task>) -> anyhow::Result<()> {
        let client = Client::connect(redis).await?;
        for task in tasks {
            let id = task.id.clone();
            client.enqueue(Order(task)).id(id).retries(RETRIES).backoff(Backoff::fixed(BACKOFF)).await?;
        }
        Ok(())
    }

    async fn look(redis: &str, ids: Vec<String>) -> anyhow::Result<Vec<Found>> {
        let client = Client::connect(redis).await?;
        let mut found = Vec::new();
        for id in ids {
            found.push(match client.job(Order::QUEUE, &id)?.get().await {
                Ok(job) => Found {
                    state: job.state.to_string(),
                    ended: job.state.is_ended(),
                    result: job.outcome.and_then(|outcome| serde_json::from_str(&outcome.detail).ok()),
                    reason: job.failure.map(|failure| failure.message),
                    counts: counts(job.tries),
                    id,
                },
                Err(Error::NotFound { .. }) => Found {
                    state: "not found".to_owned(),
                    ended: false,
                    result: None,
                    reason: None,
                    counts: Value::Null,
                    id,
                },
                Err(error) => return Err(error.into()),
            });
        }
        Ok(found)
    }

    async fn work(options: Work, desk: Desk) -> anyhow::Result<()> {
        let client = Client::connect(&options.redis).await?;
        let mut worker = Worker::new(client, desk.clone()).queue(Order::QUEUE, options.slots).job(perform);
        if let Some(lease) = options.lease() {
            worker = worker.lease(lease);
        }
        desk.ready()?;
        worker.run_until(shutdown_signal()).await?;
        Ok(())
    }
}

async fn perform(
    Order(task): Order,
    State(desk): State<Desk>,
    attempt: Context,
    told: Cancelled,
) -> Result<String> {
    Ok(desk.perform(&task, counts(attempt.tries()), told.wait()).await)
}

fn counts(tries: Tries) -> Value {
    json!({ "failures": tries.failures, "crashes": tries.crashes, "interruptions": tries.interruptions })
}
