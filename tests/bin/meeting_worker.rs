//! A worker process for tests to kill: `meeting-worker URL LEASE_MS LEDGER`.
//!
//! Its function `meet` is started by an event, and waits for another of the same number. The bodies of its steps append a line
//! each to the ledger file, which outlives the process: `before NUMBER`, `after NUMBER`.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    sync::Arc,
};

use ergate::prelude::*;

#[derive(Serialize, Deserialize)]
struct Begun {
    number: u64,
}

impl Event for Begun {
    const NAME: &str = "meeting/begun";
}

#[derive(Serialize, Deserialize)]
struct Answered {
    number: u64,
}

impl Event for Answered {
    const NAME: &str = "meeting/answered";
}

#[derive(Clone)]
struct Ledger(Arc<File>);

impl Ledger {
    async fn write(&self, line: String) -> std::io::Result<()> {
        // One write of one line to a file opened for appending is not torn.
        (&*self.0).write_all(line.as_bytes())
    }
}

async fn meet(event: Begun, step: Step, State(ledger): State<Ledger>) -> Result<bool> {
    let number = event.number;
    step.run("before", ledger.write(format!("before {number}\n"))).await?;
    let answer =
        step.wait_for::<Answered>("answer").on("number", number).within(Duration::from_secs(300)).await?;
    step.run("after", ledger.write(format!("after {number}\n"))).await?;
    Ok(answer.is_some())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, lease_ms, ledger] = arguments.as_slice() else {
        anyhow::bail!("usage: meeting-worker URL LEASE_MS LEDGER");
    };
    let file = OpenOptions::new().create(true).append(true).open(ledger)?;
    let client = Client::builder().connect_within(Duration::from_secs(30)).connect(url).await?;

    Worker::new(client, Ledger(Arc::new(file)))
        .function(Function::new("meet", meet).slots(100))
        // Killed as often as here, workers take the same run along several times.
        .crash_limit(1000)
        .lease(Duration::from_millis(lease_ms.parse()?))
        .run_until(shutdown_signal())
        .await?;
    Ok(())
}
