//! What the examples share: a Redis to work on, and a worker beside a story.

use ergate::{Client, Error, Namespace, Worker};
use tokio::sync::oneshot;

mod redis;

pub use redis::Redis;

/// Connects to `REDIS_URL`, or else to a Redis on this machine, under a namespace of its own: an example can run again,
/// and beside the others, and finds nothing of before.
///
/// # Errors
/// As [`Client::connect`].
pub async fn connect() -> Result<Client, Error> {
    let url = std::env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1:6379".to_owned());
    let namespace = Namespace::new(format!("example-{}", uuid::Uuid::now_v7().simple()))?;
    Client::builder().namespace(namespace).connect(&url).await
}

/// Runs a worker while a story is told, and stops it in order at its end.
///
/// # Errors
/// What the story says, or the worker.
pub async fn while_working<S: Send + Sync + 'static>(
    worker: Worker<S>,
    story: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let (stop, stopped) = oneshot::channel::<()>();
    let work = worker.run_until(async { drop(stopped.await) });
    let told = async {
        let told = story.await;
        drop(stop);
        told
    };
    let (worked, told) = tokio::join!(work, told);
    worked?;
    told
}
