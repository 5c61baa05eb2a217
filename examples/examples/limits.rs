//! Limits of a queue hold over all workers: how many jobs run at once, and how many start per time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use ergate::prelude::*;

#[derive(Serialize, Deserialize)]
struct Call;

impl Job for Call {
    const NAME: &str = "call";
    const QUEUE: &str = "partner-api";
}

#[derive(Default)]
struct Calls {
    running: AtomicUsize,
    most: AtomicUsize,
}

async fn call(_: Call, State(calls): State<Arc<Calls>>) -> Result<()> {
    let running = calls.running.fetch_add(1, Ordering::SeqCst) + 1;
    calls.most.fetch_max(running, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(50)).await;
    calls.running.fetch_sub(1, Ordering::SeqCst);
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = ergate_examples::connect().await?;
    let queue = client.queue("partner-api")?;
    queue.set_concurrency(Some(2)).await?;
    // One each 20 ms; without a burst, none may be saved up.
    queue.set_rate(Some(Rate::new(50, Duration::from_secs(1)))).await?;

    let receipts = client.enqueue_all((0..11).map(|_| Call)).await?;
    let (calls, begun) = (Arc::new(Calls::default()), Instant::now());
    let all = async {
        for receipt in &receipts {
            let _ = receipt.job(&client).ended(Duration::from_secs(10)).await;
        }
    };
    Worker::new(client.clone(), Arc::clone(&calls)).queue("partner-api", 20).job(call).run_until(all).await?;

    assert_eq!(queue.stats().await?.completed, 11);
    assert_eq!(calls.most.load(Ordering::SeqCst), 2);
    assert!(begun.elapsed() >= Duration::from_millis(10 * 20));
    println!("11 calls, never more than 2 at once, 20 ms apart");
    Ok(())
}
