//! A worker process for tests to kill: `meeting-worker URL LEASE_MS LEDGER SOCKET`.
//!
//! Its function `meet` is started by an event, and waits for another of the same number. The bodies of its steps append a line
//! each to the ledger file, which outlives the process: `before NUMBER`, `after NUMBER`. Just before it begins to wait it says so, by the
//! number alone, to a Unix datagram socket, which neither loses nor delays anything.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    os::unix::net::UnixDatagram,
    sync::Arc,
};

use ergate::prelude::*;

/// Between saying that it begins to wait and doing so: the event can come before.
const HEAD_START: Duration = Duration::from_millis(5);

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

#[derive(Clone)]
struct Place {
    ledger: Ledger,
    tells: Arc<UnixDatagram>,
}

async fn meet(event: Begun, step: Step, State(place): State<Place>) -> Result<bool> {
    let (number, ledger) = (event.number, &place.ledger);
    step.run("before", ledger.write(format!("before {number}\n"))).await?;
    place.tells.send(&number.to_be_bytes())?;
    tokio::time::sleep(HEAD_START).await;
    let answer =
        step.wait_for::<Answered>("answer").on("number", number).within(Duration::from_secs(300)).await?;
    step.run("after", ledger.write(format!("after {number}\n"))).await?;
    Ok(answer.is_some())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, lease_ms, ledger, socket] = arguments.as_slice() else {
        anyhow::bail!("usage: meeting-worker URL LEASE_MS LEDGER SOCKET");
    };
    let tells = UnixDatagram::unbound()?;
    tells.connect(socket)?;
    let file = OpenOptions::new().create(true).append(true).open(ledger)?;
    let client = Client::builder().connect_within(Duration::from_secs(30)).connect(url).await?;

    let place = Place { ledger: Ledger(Arc::new(file)), tells: Arc::new(tells) };
    Worker::new(client, place)
        .function(Function::new("meet", meet).slots(100))
        // Killed as often as here, workers take the same run along several times.
        .crash_limit(1000)
        .lease(Duration::from_millis(lease_ms.parse()?))
        .run_until(shutdown_signal())
        .await?;
    Ok(())
}
