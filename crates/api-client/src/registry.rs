//! What runs where: queues that exist, and worker processes.

use ergate_shared::QueueName;
use redis::Cmd;
use serde::{Deserialize, Serialize};

use crate::{Client, Error};

/// A worker process, as it says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WorkerProcess {
    /// Its id, another one at each start.
    pub id: String,
    /// The machine's name.
    pub host: String,
    /// The process id there.
    pub pid: u32,
    /// Ergate's version in it.
    pub version: String,
    /// When it started, in ms since the epoch.
    pub started_at: u64,
    /// The queues it works on.
    pub queues: Vec<QueueSlots>,
    /// Whether it leases, only finishes what it has, or is on its way out.
    pub phase: String,
    /// When it was last heard of, in ms since the epoch.
    #[serde(default)]
    pub seen_at: u64,
    /// What it has been told to do and has not yet done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
}

impl WorkerProcess {
    /// A process that has just started.
    pub fn new(id: String, host: String, queues: Vec<QueueSlots>, started_at: u64) -> Self {
        Self {
            id,
            host,
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at,
            queues,
            phase: "running".to_owned(),
            seen_at: started_at,
            order: None,
        }
    }
}

/// A queue a worker works on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueSlots {
    /// Which queue.
    pub queue: QueueName,
    /// Jobs of it that may run in the process at once.
    pub slots: usize,
    /// Jobs of it that run in the process.
    pub running: usize,
    /// The worker id in the queue, as tokens and failures name it.
    pub worker: String,
}

/// What an operator may tell a worker process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Take no more jobs, finish those that run, and stay.
    Quiet,
    /// Finish as at SIGTERM, and end.
    Stop,
}

impl Client {
    /// All queues that ever had a job or a worker, in order of name.
    ///
    /// # Errors
    /// Errors of the connection.
    pub async fn queues(&self) -> Result<Vec<QueueName>, Error> {
        let mut names: Vec<String> = self
            .redis()
            .command("SMEMBERS", Cmd::new().arg("SMEMBERS").arg(&self.registry_keys().queues))
            .await?;
        names.sort();
        Ok(names.into_iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Worker processes heard of lately, the longest-running first.
    ///
    /// # Errors
    /// Errors of the connection.
    pub async fn workers(&self) -> Result<Vec<WorkerProcess>, Error> {
        let keys = self.registry_keys();
        let mut pipeline = redis::pipe();
        pipeline.zrange_withscores(&keys.seen, 0, -1).hgetall(&keys.about).hgetall(&keys.orders);
        type Reply = (
            Vec<(String, f64)>,
            std::collections::HashMap<String, String>,
            std::collections::HashMap<String, String>,
        );
        let (seen, about, orders): Reply = self.redis().pipeline("the list of workers", &pipeline).await?;
        let mut workers: Vec<WorkerProcess> = seen
            .into_iter()
            .filter_map(|(id, seen_at)| {
                let mut worker: WorkerProcess = serde_json::from_str(about.get(&id)?).ok()?;
                worker.seen_at = seen_at as u64;
                worker.order = orders.get(&id).cloned();
                Some(worker)
            })
            .collect();
        workers.sort_by_key(|worker| worker.started_at);
        Ok(workers)
    }

    /// Tells a worker process to go quiet or stop; it hears of it within a few seconds.
    ///
    /// # Errors
    /// [`Error::Option`] if no process has this id.
    pub async fn order(&self, process: &str, order: Order) -> Result<(), Error> {
        if !self.workers().await?.iter().any(|worker| worker.id == process) {
            return Err(Error::Option(format!(
                "no worker process {process}; list them with `ergate worker list`"
            )));
        }
        let word = match order {
            Order::Quiet => "quiet",
            Order::Stop => "stop",
        };
        let mut set = redis::cmd("HSET");
        set.arg(&self.registry_keys().orders).arg(process).arg(word);
        self.redis().command("HSET", &set).await
    }
}
