//! Order within a queue: a lower number runs sooner, a delay keeps a job back, whatever its priority.

use std::sync::{Arc, Mutex};

use ergate::prelude::*;

#[derive(Serialize, Deserialize)]
struct Print {
    page: String,
}

impl Job for Print {
    const NAME: &str = "print";
    const QUEUE: &str = "printer";
}

type Printed = Arc<Mutex<Vec<String>>>;

async fn print(job: Print, State(printed): State<Printed>) -> Result<()> {
    printed.lock().unwrap().push(job.page);
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = ergate_examples::connect().await?;
    let page = |page: &str| client.enqueue(Print { page: page.to_owned() });

    let later = page("later").priority(Priority::Highest).delay(Duration::from_millis(300)).await?;
    page("whenever").priority(Priority::Lowest).await?;
    page("first").await?;
    page("second").await?;
    page("urgent").priority(Priority::new(2)?).await?;

    let printed = Printed::default();
    let last = later.job(&client);
    Worker::new(client, Arc::clone(&printed))
        .queue("printer", 1)
        .job(print)
        .run_until(async { drop(last.ended(Duration::from_secs(10)).await) })
        .await?;

    let printed = printed.lock().unwrap();
    assert_eq!(*printed, ["urgent", "first", "second", "whenever", "later"]);
    println!("{}", printed.join(", "));
    Ok(())
}
