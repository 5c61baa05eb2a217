//! What fails is tried again, what cannot succeed becomes a dead letter, and a dead letter can be mended and sent back.

use anyhow::{anyhow, ensure};
use ergate::{FailureKind, prelude::*};

#[derive(Serialize, Deserialize)]
struct Charge {
    cents: i64,
}

impl Job for Charge {
    const NAME: &str = "charge";
    const QUEUE: &str = "billing";

    fn backoff() -> Backoff {
        Backoff::exponential(Duration::from_millis(20))
    }
}

async fn charge(job: Charge, attempt: Attempt) -> Result<u32> {
    // No attempt will make this right, so none is made.
    check(job.cents).fatal()?;
    if attempt.number < 3 {
        return Err(anyhow!("the bank is busy"))?;
    }
    Ok(attempt.number)
}

fn check(cents: i64) -> anyhow::Result<()> {
    ensure!(cents > 0, "a charge of {cents} cents makes no sense");
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = ergate_examples::connect().await?;
    let within = Duration::from_secs(10);
    let good = client.enqueue(Charge { cents: 500 }).await?.job(&client);
    let bad = client.enqueue(Charge { cents: -500 }).await?.job(&client);
    let dead = client.queue("billing")?.dead();

    let worker = Worker::new(client, ()).queue("billing", 4).job(charge);
    let story = async {
        assert_eq!(good.result::<u32>(within).await?, 3);

        let failure = bad.ended(within).await?.failure.expect("a dead letter says why");
        assert_eq!(failure.kind, FailureKind::Error);
        println!("dead: {}", failure.message);

        dead.redrive(bad.id().as_str(), Some(&serde_json::json!({ "cents": 500 }))).await?;
        assert_eq!(bad.result::<u32>(within).await?, 3);
        assert!(dead.list(None, 10).await?.items.is_empty());
        println!("mended and done");
        anyhow::Ok(())
    };
    ergate_examples::while_working(worker, story).await
}
