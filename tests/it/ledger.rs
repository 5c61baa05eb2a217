//! Real worker processes that keep a ledger, and what the ledger proves.

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command, time::Duration};

use ergate::{Client, JobId, JobName, JobState, Queue, QueueName};

use crate::support::{Process, RedisServer};

pub(crate) const QUEUE: &str = "ledger";

/// The ledger file that all worker processes of a test append to.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    file: PathBuf,
}

/// Options of a worker process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    pub(crate) slots: usize,
    pub(crate) lease: Duration,
    pub(crate) deadline: Duration,
}

impl Ledger {
    pub(crate) fn beside(redis: &RedisServer) -> Self {
        Self { file: redis.directory().join("ledger") }
    }

    pub(crate) fn worker(&self, url: &str, options: Options) -> Process {
        let millis = |duration: Duration| duration.as_millis().to_string();
        Process::start(
            Command::new(env!("CARGO_BIN_EXE_ledger-worker"))
                .args([
                    url,
                    QUEUE,
                    &options.slots.to_string(),
                    &millis(options.lease),
                    &millis(options.deadline),
                ])
                .arg(&self.file),
        )
    }

    fn counts(&self, what: &str) -> BTreeMap<u64, u32> {
        let mut counts = BTreeMap::new();
        for line in fs::read_to_string(&self.file).unwrap_or_default().lines() {
            if let Some(number) = line.strip_prefix(what) {
                *counts.entry(number.trim().parse().expect("the ledger has numbers")).or_default() += 1;
            }
        }
        counts
    }

    /// How often each job began.
    pub(crate) fn starts(&self) -> BTreeMap<u64, u32> {
        self.counts("start ")
    }

    /// How often each job came to its end.
    pub(crate) fn ends(&self) -> BTreeMap<u64, u32> {
        self.counts("end ")
    }
}

/// Enqueues a job for the worker processes, with its number as id.
pub(crate) async fn enqueue(client: &Client, number: u64, runs_ms: u64, aborts: bool) -> JobId {
    let payload = format!(r#"{{"number":{number},"runs_ms":{runs_ms},"aborts":{aborts}}}"#);
    let (queue, name) = (QueueName::new(QUEUE).unwrap(), JobName::new("entry").unwrap());
    client.enqueue_raw(queue, name, payload).id(number.to_string()).await.expect("redis takes the job").id
}

/// Every job completed; none began more often than its leases were provably lost or handed back.
pub(crate) async fn every_job_was_done_and_none_twice_without_a_reason(
    queue: &Queue,
    ledger: &Ledger,
    jobs: u64,
) {
    let (starts, ends) = (ledger.starts(), ledger.ends());
    for number in 0..jobs {
        assert!(ends.contains_key(&number), "job {number} was never done");
        let view = queue.job(&number.to_string()).unwrap().get().await.unwrap();
        assert_eq!(view.state, JobState::Completed, "{view:?}");
        let reasons = view.tries.crashes + view.tries.interruptions;
        assert!(
            starts[&number] <= 1 + reasons,
            "job {number} began {} times, with {:?}",
            starts[&number],
            view.tries
        );
        assert_eq!(view.tries.failures, 0, "no attempt was used up: {view:?}");
    }
}
