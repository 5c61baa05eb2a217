//! Functions that work together: one invokes another and a job, and waits for the first of two events.

use ergate::prelude::*;
use serde_json::json;

#[derive(Serialize, Deserialize)]
struct Order {
    number: u32,
    pages: u32,
}

impl Event for Order {
    const NAME: &str = "shop/ordered";
}

#[derive(Serialize, Deserialize)]
struct Charge {
    cents: u32,
}

impl Job for Charge {
    const NAME: &str = "charge";
    const QUEUE: &str = "payments";
}

async fn charge(job: Charge) -> Result<String> {
    Ok(format!("charged {}", job.cents))
}

async fn print_book(order: Order, step: Step) -> Result<u32> {
    step.sleep("printing", Duration::from_millis(50)).await;
    Ok(order.pages * 2)
}

async fn fulfil(order: Order, step: Step) -> Result<String> {
    // Both go on at once, somewhere; this run is in no worker's memory meanwhile.
    let grams = step.invoke::<u32>("print", "print-book", &order);
    let paid = step.invoke_job::<String>("pay", Charge { cents: 4 * order.pages });
    let (grams, paid) = tokio::try_join!(grams, paid)?;
    let waits = ["courier/came", "courier/cancelled"]
        .map(|event| step.wait_for_named(event, event).on("order", order.number));
    let (_, event) = step.wait_any("courier", waits).await?.ok_or_else(|| Failure::fatal("nobody came"))?;
    Ok(format!("{paid}, {grams} g, {}", event.name))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = ergate_examples::connect().await?;
    let functions = [Function::new("print-book", print_book), Function::new("fulfil", fulfil)];
    let worker = Worker::new(client.clone(), ()).queue("payments", 2).job(charge);
    let story = async {
        let receipt = client.invoke("fulfil", &Order { number: 7, pages: 100 }).await?;
        client.send_raw("courier/cancelled", json!({ "order": 7 })).await?;
        let told: String = receipt.job(&client).result(Duration::from_secs(10)).await?;
        println!("{told}");
        assert_eq!(told, "charged 400, 200 g, courier/cancelled");
        anyhow::Ok(())
    };
    ergate_examples::while_working(functions.into_iter().fold(worker, Worker::function), story).await
}
