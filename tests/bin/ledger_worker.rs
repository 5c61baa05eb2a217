//! A worker process for tests to kill: `ledger-worker URL QUEUE SLOTS LEASE_MS DEADLINE_MS LEDGER`.
//!
//! Before and after its work the handler writes a line into the ledger file, which outlives the process: `start NUMBER` and
//! `end NUMBER`. The ledger is how tests know what really ran, whatever Redis says.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    sync::Arc,
};

use ergate::prelude::*;

/// A job that takes a while, and may take its process along.
#[derive(Serialize, Deserialize)]
struct Entry {
    number: u64,
    runs_ms: u64,
    #[serde(default)]
    aborts: bool,
}

impl Job for Entry {
    const NAME: &str = "entry";

    fn backoff() -> Backoff {
        Backoff::fixed(Duration::from_millis(10))
    }
}

#[derive(Clone)]
struct Ledger(Arc<File>);

impl Ledger {
    /// One write of one line to a file opened for appending is not torn.
    fn write(&self, line: &str) -> std::io::Result<()> {
        (&*self.0).write_all(line.as_bytes())
    }
}

async fn entry(job: Entry, State(ledger): State<Ledger>) -> Result<()> {
    ledger.write(&format!("start {}\n", job.number))?;
    if job.aborts {
        std::process::abort();
    }
    tokio::time::sleep(Duration::from_millis(job.runs_ms)).await;
    ledger.write(&format!("end {}\n", job.number))?;
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, queue, slots, lease_ms, deadline_ms, ledger] = arguments.as_slice() else {
        anyhow::bail!("usage: ledger-worker URL QUEUE SLOTS LEASE_MS DEADLINE_MS LEDGER");
    };
    let file = OpenOptions::new().create(true).append(true).open(ledger)?;
    let client = Client::builder().connect_within(Duration::from_secs(30)).connect(url).await?;

    Worker::new(client, Ledger(Arc::new(file)))
        .queue(queue, slots.parse()?)
        .job(entry)
        .lease(Duration::from_millis(lease_ms.parse()?))
        .shutdown_deadline(Duration::from_millis(deadline_ms.parse()?))
        .run_until(shutdown_signal())
        .await?;
    Ok(())
}
