//! A worker whose lease was lost, and that joins again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use ergate::Metrics;
use ergate_client::link;
use tokio::sync::Notify;

use super::*;

#[derive(Debug, Serialize, Deserialize)]
struct Hang {
    ends: bool,
}

impl Job for Hang {
    const NAME: &str = "hang";
    const QUEUE: &str = "hangs";
}

/// How many handlers are under way, and what one that ends waits for.
#[derive(Debug, Clone, Default)]
struct Hung {
    under_way: Arc<AtomicUsize>,
    end: Arc<Notify>,
}

/// A handler that is under way.
struct UnderWay(Arc<AtomicUsize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn hang(job: Hang, State(hung): State<Hung>) -> Result<()> {
    hung.under_way.fetch_add(1, Ordering::SeqCst);
    let _under_way = UnderWay(hung.under_way);
    if !job.ends {
        std::future::pending::<()>().await;
    }
    hung.end.notified().await;
    Ok(())
}

#[tokio::test]
async fn what_ran_under_a_lost_lease_is_stopped_though_the_worker_waits_to_join_again() {
    const LEASE: Duration = Duration::from_secs(2);
    let story = Story::begin().await;
    let proxy = Proxy::to(&story.redis);
    let client = Client::connect(proxy.url()).await.unwrap();
    let (hung, metrics) = (Hung::default(), Metrics::new());
    let under_way = |count| {
        let hung = hung.clone();
        until("so many are under way", async move || hung.under_way.load(Ordering::SeqCst) == count)
    };
    let worker = Worker::new(client, hung.clone()).queue("hangs", 2).job(hang).lease(LEASE);
    let worker = RunningWorker::start(worker.metrics(metrics.clone()), metrics);
    story.client.enqueue_all([true, false].map(|ends| Hang { ends })).await.unwrap();
    under_way(2).await;

    proxy.stall().await;
    hung.end.notify_one();
    // All that runs here stands still until the lease is over; then the loop hears first of the handler that ended.
    std::thread::sleep(LEASE);
    let since = Instant::now();
    under_way(0).await;

    assert!(since.elapsed() < link::DEADLINE, "it was not told before the call that joins had failed");
    proxy.heal().await;
    worker.stop().await;
}
