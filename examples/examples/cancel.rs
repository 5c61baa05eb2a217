//! Cancelling: a job that waits never starts, one that runs is told, and ends in order.

use std::sync::Arc;

use ergate::{CancelRequest, prelude::*};
use tokio::sync::Notify;

#[derive(Serialize, Deserialize)]
struct Render {
    film: String,
}

impl Job for Render {
    const NAME: &str = "render";
    const QUEUE: &str = "films";
}

async fn render(job: Render, State(started): State<Arc<Notify>>, cancelled: Cancelled) -> Result<()> {
    started.notify_one();
    tokio::select! {
        () = tokio::time::sleep(Duration::from_hours(3)) => Ok(()),
        () = cancelled.wait() => {
            println!("{}: half a film is deleted", job.film);
            Err(Failure::cancel("nobody wants it any more"))
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = ergate_examples::connect().await?;
    let within = Duration::from_secs(10);
    let film = |name: &str| client.enqueue(Render { film: name.to_owned() });

    let waiting = film("Metropolis").delay(Duration::from_hours(1)).await?.job(&client);
    assert_eq!(waiting.cancel("not today").await?, CancelRequest::Done);
    assert_eq!(waiting.status().await?, JobState::Cancelled);

    let running = film("Nosferatu").await?.job(&client);
    let started = Arc::new(Notify::new());
    let worker = Worker::new(client.clone(), Arc::clone(&started)).queue("films", 1).job(render);
    let story = async {
        started.notified().await;
        assert_eq!(running.cancel("not today").await?, CancelRequest::Asked);
        assert_eq!(running.ended(within).await?.state, JobState::Cancelled);
        anyhow::Ok(())
    };
    ergate_examples::while_working(worker, story).await
}
