//! A worker process for tests to kill, whose clock may be wrong: `ticking-worker URL EVERY_MS WRONG_BY_MS [LEDGER]`.
//!
//! It declares a schedule `tick`. With a ledger it performs the schedule's jobs too, and appends the id of each to that file;
//! without one it only ticks.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    sync::Arc,
};

use ergate::prelude::*;

/// What the schedule starts.
#[derive(Serialize, Deserialize)]
struct Tick;

impl Job for Tick {
    const NAME: &str = "tick";
    const QUEUE: &str = "ticks";
}

#[derive(Clone)]
struct Ledger(Option<Arc<File>>);

async fn tick(_: Tick, id: JobId, State(ledger): State<Ledger>) -> Result<()> {
    if let Some(mut file) = ledger.0.as_deref() {
        // One write of one line to a file opened for appending is not torn.
        file.write_all(format!("{id}\n").as_bytes())?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, every_ms, wrong_by_ms, ledger @ ..] = arguments.as_slice() else {
        anyhow::bail!("usage: ticking-worker URL EVERY_MS WRONG_BY_MS [LEDGER]");
    };
    ergate_shared::clock::set_wrong_by(wrong_by_ms.parse()?);
    let ledger = match ledger.first() {
        Some(file) => Some(Arc::new(OpenOptions::new().create(true).append(true).open(file)?)),
        None => None,
    };
    let client = Client::builder().connect_within(Duration::from_secs(30)).connect(url).await?;

    let queue = if ledger.is_some() { Tick::QUEUE } else { "elsewhere" };
    Worker::new(client, Ledger(ledger))
        .queue(queue, 10)
        .job(tick)
        .schedule(
            Schedule::every("tick", Duration::from_millis(every_ms.parse()?))
                .job(Tick)
                .catch_up(CatchUp::All(1000)),
        )
        .run_until(shutdown_signal())
        .await?;
    Ok(())
}
