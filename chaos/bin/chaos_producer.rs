//! A producer process for chaos runs: enqueues jobs, sends events and invokes functions, and notes what it was told.
//!
//! Every id is its own, so that what ended with an error that leaves the result open is asked for again under the same id. A
//! line is written when the answer is there, so what is noted as kept was acknowledged.

use std::{
    path::PathBuf,
    rc::Rc,
    time::{Duration, Instant},
};

use clap::Parser;
use ergate::{Client, Error, Event, SendEvent, Unique};
use ergate_chaos::{
    draft::{Draft, Order, drafts},
    ledger::{Answer, Ledger, Told, now_ns},
    work::{
        functions::{Ordered, Pack, Paid, shelf_of},
        jobs::{Flaky, Keyed, Only, Plain},
    },
};
use tokio::{
    task::{JoinSet, LocalSet},
    time::sleep,
};

/// How long a run's end is waited for.
const HEARS_WITHIN: Duration = Duration::from_secs(60);

#[derive(Parser)]
struct Options {
    #[arg(long)]
    url: String,
    /// The name under which it writes into the ledger; its ids begin with it.
    #[arg(long)]
    member: String,
    /// The file all producers append to.
    #[arg(long)]
    ledger: PathBuf,
    /// What decides what is sent when.
    #[arg(long)]
    seed: u64,
    /// How many jobs.
    #[arg(long)]
    jobs: usize,
    /// How many orders, each of which is two events and three runs.
    #[arg(long)]
    orders: usize,
    /// Within which time.
    #[arg(long)]
    over_ms: u64,
    /// Whether events get no ids of their own, each of which Redis remembers for a day.
    #[arg(long)]
    without_event_ids: bool,
}

struct Producer {
    client: Client,
    ledger: Ledger,
    member: String,
    own_event_ids: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr).init();
    let ledger = Ledger::open(&options.ledger)?;
    let client = Client::builder()
        .connect_within(Duration::from_secs(60))
        .deadline(Duration::from_secs(3))
        .connect(&options.url)
        .await?;
    let own_event_ids = !options.without_event_ids;
    let producer = Rc::new(Producer { client, ledger, member: options.member.clone(), own_event_ids });
    // All on this one thread, which has nothing to do but wait.
    LocalSet::new().run_until(produce(producer, &options)).await
}

async fn produce(producer: Rc<Producer>, options: &Options) -> anyhow::Result<()> {
    let started = tokio::time::Instant::now();
    let mut sending = JoinSet::new();
    for draft in drafts(&options.member, options.seed, options.jobs, options.orders, options.over_ms) {
        let (producer, at) = (Rc::clone(&producer), started + Duration::from_millis(draft.at_ms));
        sending.spawn_local(async move {
            tokio::time::sleep_until(at).await;
            producer.send(draft).await
        });
    }
    while let Some(sent) = sending.join_next().await {
        sent??;
    }
    Ok(())
}

impl Producer {
    async fn send(&self, draft: Draft) -> anyhow::Result<()> {
        let (client, id, ms) = (&self.client, draft.id.as_str(), draft.runs_ms);
        let enqueued = |receipt: ergate::Receipt| receipt.id.as_str() == id;
        match draft.order {
            Order::Plain { delay_ms } => {
                let job =
                    || client.enqueue(Plain { runs_ms: ms }).id(id).delay(Duration::from_millis(delay_ms));
                let kind = if delay_ms > 0 { "delayed" } else { "plain" };
                self.insist(kind, id, async || job().await.map(enqueued)).await
            }
            Order::Flaky => {
                self.insist("flaky", id, async || {
                    client.enqueue(Flaky { runs_ms: ms }).id(id).await.map(enqueued)
                })
                .await
            }
            Order::Keyed { limit, value } => {
                let job = || Keyed { runs_ms: ms, limit: limit.to_owned(), value: value.clone() };
                let job = || client.enqueue(job()).id(id).key(limit, value.as_str());
                self.insist("keyed", id, async || job().await.map(enqueued)).await
            }
            Order::Only { value } => {
                let unique = || Unique::until_finished(format!("only-{value}")).ignore();
                let job =
                    || client.enqueue(Only { runs_ms: ms, value: value.clone() }).id(id).unique(unique());
                self.insist("only", id, async || job().await.map(enqueued)).await
            }
            Order::Pack => {
                let data = Pack { order: id.to_owned(), shelf: shelf_of(id) };
                self.insist("pack", id, async || client.invoke("pack", &data).id(id).await.map(enqueued))
                    .await?;
                self.hear_of_the_end(id).await
            }
            Order::Order { nap_ms, pays_after_ms } => {
                let event = || Ordered { order: id.to_owned(), nap_ms };
                self.insist("ordered", id, async || self.event(event(), id).await.map(|_| true)).await?;
                sleep(Duration::from_millis(pays_after_ms)).await;
                let (event, payment) = (|| Paid { order: id.to_owned() }, format!("{id}-paid"));
                self.insist("paid", &payment, async || self.event(event(), &payment).await.map(|_| true))
                    .await
            }
        }
    }

    /// Waits for the end of a run of `pack`, as who needs its result does: on a connection that subscribes.
    async fn hear_of_the_end(&self, id: &str) -> anyhow::Result<()> {
        let run = self.client.queue("fn/pack")?.job(id)?;
        let (asked_ns, until) = (now_ns(), Instant::now() + HEARS_WITHIN);
        let answer = loop {
            match run.ended(HEARS_WITHIN).await {
                Ok(_) => break Answer::Kept,
                Err(error) if error.is_connection() && Instant::now() < until => {
                    sleep(Duration::from_millis(50)).await;
                }
                Err(error) => break Answer::Unclear(format!("{:#}", anyhow::Error::new(error))),
            }
        };
        let (kind, id, member) = ("heard".to_owned(), id.to_owned(), self.member.clone());
        self.ledger.write(&Told { ns: now_ns(), asked_ns, member, kind, id, answer })?;
        Ok(())
    }

    fn event(&self, event: impl Event, id: &str) -> SendEvent {
        let send = self.client.send(event);
        if self.own_event_ids { send.id(id) } else { send }
    }

    /// Asks again and again, until Redis says that it is kept or never will be.
    async fn insist(
        &self,
        kind: &str,
        id: &str,
        mut ask: impl AsyncFnMut() -> Result<bool, Error>,
    ) -> anyhow::Result<()> {
        let asked_ns = now_ns();
        loop {
            let (answer, over) = match ask().await {
                Ok(true) => (Answer::Kept, true),
                Ok(false) => (Answer::Held, true),
                Err(error) if error.is_out_of_memory() => (Answer::Refused, false),
                // A function that no worker has declared yet.
                Err(error) if error.is_connection() => (Answer::Unclear(error.to_string()), false),
                Err(error) => return Err(anyhow::Error::new(error).context(format!("{kind} {id}"))),
            };
            let (kind, id, member) = (kind.to_owned(), id.to_owned(), self.member.clone());
            self.ledger.write(&Told { ns: now_ns(), asked_ns, member, kind, id, answer })?;
            if over {
                return Ok(());
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}
