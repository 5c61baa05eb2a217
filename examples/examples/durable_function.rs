//! A durable function: steps that are remembered, a sleep that costs nothing, a failure that does not start all over.

use std::sync::{Arc, Mutex};

use ergate::prelude::*;

#[derive(Serialize, Deserialize)]
struct TripConfirmed {
    driver: String,
    passenger: String,
}

impl Event for TripConfirmed {
    const NAME: &str = "trip/confirmed";
}

/// Stands for a mail server; it refuses the first mail to the passenger.
type Sent = Arc<Mutex<Vec<String>>>;

async fn mail(sent: &Sent, to: &str, attempt: u32) -> Result<()> {
    if to == "Ada" && attempt == 1 {
        return Err(Failure::retry_in(Duration::from_millis(50), "the mail server is busy"));
    }
    sent.lock().unwrap().push(to.to_owned());
    Ok(())
}

async fn confirm(trip: TripConfirmed, step: Step, State(sent): State<Sent>) -> Result<usize> {
    step.run("notify driver", mail(&sent, &trip.driver, 1)).await?;

    // The run leaves the worker's memory, and comes back to any worker. A day is no different.
    step.sleep("let the driver answer", Duration::from_millis(100)).await;

    step.run_with("mail passenger", |attempt| mail(&sent, &trip.passenger, attempt.number)).await?;
    Ok(sent.lock().unwrap().len())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = ergate_examples::connect().await?;
    let sent = Sent::default();
    let worker = Worker::new(client.clone(), Arc::clone(&sent)).function(Function::new("confirm", confirm));

    let trip = TripConfirmed { driver: "Bob".to_owned(), passenger: "Ada".to_owned() };
    let receipt = client.invoke("confirm", &trip).await?;
    let run = client.run("confirm", receipt.id.as_str())?;

    let story = async {
        let mails: usize = run.result(Duration::from_secs(10)).await?;
        assert_eq!(
            (mails, sent.lock().unwrap().as_slice()),
            (2, ["Bob".to_owned(), "Ada".to_owned()].as_slice())
        );
        for entry in run.journal().await?.entries() {
            println!("{}: {:?}", entry.step, entry.op);
        }
        anyhow::Ok(())
    };
    ergate_examples::while_working(worker, story).await
}
