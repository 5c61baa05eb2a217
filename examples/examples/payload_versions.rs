//! A payload that changed its shape while jobs of the old one wait: they are brought up to date, not lost.

use ergate::{JobName, QueueName, prelude::*};
use serde_json::{Value, json};

#[derive(Serialize, Deserialize)]
struct SendReport {
    /// Version 1 had one recipient, as text.
    recipients: Vec<String>,
}

impl Job for SendReport {
    const NAME: &str = "send-report";
    const QUEUE: &str = "reports";
    const VERSION: u16 = 2;

    fn upcast(version: u16, payload: Value) -> std::result::Result<Value, String> {
        match version {
            1 => Ok(json!({ "recipients": [payload["recipient"]] })),
            _ => Err(format!("version {version} is newer than this worker")),
        }
    }
}

async fn send_report(job: SendReport) -> Result<usize> {
    Ok(job.recipients.len())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = ergate_examples::connect().await?;
    let (queue, name) = (QueueName::new("reports")?, JobName::new("send-report")?);

    // What last week's release of the producer enqueued.
    let old = client.enqueue_raw(queue, name, r#"{"recipient":"ada@example.com"}"#).await?.job(&client);
    let recipients = vec!["ada@example.com".to_owned(), "ben@example.com".to_owned()];
    let new = client.enqueue(SendReport { recipients }).await?.job(&client);

    let worker = Worker::new(client, ()).queue("reports", 4).job(send_report);
    let story = async {
        let within = Duration::from_secs(10);
        assert_eq!(old.result::<usize>(within).await?, 1);
        assert_eq!(new.result::<usize>(within).await?, 2);
        println!("both shapes were sent");
        anyhow::Ok(())
    };
    ergate_examples::while_working(worker, story).await
}
