//! At most one job holds a key: the second is refused, ignored, or takes the first one's place.

use ergate::{Error, prelude::*};

#[derive(Serialize, Deserialize)]
struct Sync {
    organization: u32,
    reason: String,
}

impl Job for Sync {
    const NAME: &str = "sync";
    const QUEUE: &str = "integrations";
}

async fn sync(job: Sync) -> Result<String> {
    Ok(job.reason)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = ergate_examples::connect().await?;
    let ask = |reason: &str| client.enqueue(Sync { organization: 7, reason: reason.to_owned() });
    let key = Unique::until_finished("organization-7");

    let first = ask("a click").unique(key.clone()).await?;

    let refused = ask("another click").unique(key.clone()).await;
    assert!(matches!(refused, Err(Error::Duplicate { holder, .. }) if holder == first.id));

    let ignored = ask("a third click").unique(key.clone().ignore()).await?;
    assert!(ignored.duplicate && ignored.id == first.id);

    let replaced = ask("the last click").unique(key.clone().replace()).await?;
    assert!(!replaced.duplicate);
    assert!(first.job(&client).get().await.is_err_and(|error| error.is_not_found()));

    let job = replaced.job(&client);
    Worker::new(client.clone(), ())
        .queue("integrations", 4)
        .job(sync)
        .run_until(async { drop(job.ended(Duration::from_secs(10)).await) })
        .await?;
    let reason: String = job.result(Duration::ZERO).await?;
    assert_eq!(reason, "the last click");

    // It has ended, so the key is free again.
    assert!(!ask("tomorrow's click").unique(key).await?.duplicate);
    println!("three clicks, one sync: {reason}");
    Ok(())
}
