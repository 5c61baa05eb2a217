//! A worker whose thread was kept by a handler while its lease ran out.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};

use ergate::Metrics;
use tokio::sync::Notify;

use super::*;

const LEASE: Duration = Duration::from_secs(2);

#[derive(Debug, Serialize, Deserialize)]
struct Block;

impl Job for Block {
    const NAME: &str = "block";
    const QUEUE: &str = "blocks";
}

#[derive(Debug, Clone, Default)]
struct Steps {
    begun: Arc<AtomicUsize>,
    go_on: Arc<Notify>,
    /// How often its code went on after it had kept the thread.
    went_on: Arc<AtomicUsize>,
}

/// At its first attempt it keeps the thread for longer than the lease, and is ready to go on at once.
async fn block(_: Block, State(steps): State<Steps>) -> Result<()> {
    if steps.begun.fetch_add(1, Ordering::SeqCst) > 0 {
        return Ok(());
    }
    steps.go_on.notified().await;
    std::thread::sleep(LEASE + LEASE / 2);
    let mut is_second = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut is_second, true) {
            return Poll::Ready(());
        }
        // Before anything that comes from other threads is looked at.
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
    steps.went_on.fetch_add(1, Ordering::SeqCst);
    Ok(())
}

#[tokio::test]
async fn a_handler_does_not_go_on_when_its_lease_ran_out_while_its_thread_was_kept() {
    let story = Story::begin().await;
    let proxy = Proxy::to(&story.redis);
    let client = Client::connect(proxy.url()).await.unwrap();
    let (steps, metrics) = (Steps::default(), Metrics::new());
    let worker = Worker::new(client, steps.clone()).queue("blocks", 1).job(block).lease(LEASE);
    let worker = RunningWorker::start(worker.metrics(metrics.clone()), metrics);
    let begun = |count| {
        let steps = steps.clone();
        until("it has begun", async move || steps.begun.load(Ordering::SeqCst) == count)
    };
    story.client.enqueue(Block).await.unwrap();
    begun(1).await;

    proxy.stall().await;
    steps.go_on.notify_one();
    // Here, on the thread that the handler keeps, nothing is done before it lets go.
    tokio::task::yield_now().await;
    proxy.heal().await;
    begun(2).await;

    assert_eq!(steps.went_on.load(Ordering::SeqCst), 0);
    worker.stop().await;
}
