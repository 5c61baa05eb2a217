//! The beginning: a job, its handler, a producer, a worker.

use ergate::prelude::*;

#[derive(Serialize, Deserialize)]
struct SendWelcome {
    user: String,
}

impl Job for SendWelcome {
    const NAME: &str = "send-welcome";
    const QUEUE: &str = "mail";
}

/// What handlers work with: here, what greetings begin with.
#[derive(Clone)]
struct Greeter(&'static str);

async fn send_welcome(job: SendWelcome, State(greeter): State<Greeter>) -> Result<String> {
    Ok(format!("{}, {}!", greeter.0, job.user))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = ergate_examples::connect().await?;

    let receipt = client.enqueue(SendWelcome { user: "Ada".to_owned() }).await?;
    let job = receipt.job(&client);
    assert_eq!(job.status().await?, JobState::Ready);

    // A service passes `shutdown_signal()`; this worker stops once the job has ended.
    Worker::new(client, Greeter("Welcome"))
        .queue("mail", 20)
        .job(send_welcome)
        .run_until(async { drop(job.ended(Duration::from_secs(10)).await) })
        .await?;

    let greeting: String = job.result(Duration::ZERO).await?;
    assert_eq!(greeting, "Welcome, Ada!");
    println!("{greeting}");
    Ok(())
}
