//! Options of functions: events in batches, and a run that an event cancels while it sleeps.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use ergate::{prelude::*, run::RunState};
use serde_json::json;

#[derive(Serialize, Deserialize)]
struct Viewed {
    account: u32,
}

impl Event for Viewed {
    const NAME: &str = "web/viewed";
}

type Batches = Arc<AtomicUsize>;

async fn count(views: Batch<Viewed>, step: Step, State(batches): State<Batches>) -> Result<usize> {
    let counted = async { Ok::<_, Failure>(batches.fetch_add(1, Ordering::Relaxed) + 1) };
    println!("batch {} has {} views", step.run("count", counted).await?, views.len());
    Ok(views.len())
}

/// Started by hand here, with the data of an event.
async fn remind(_: Tick, step: Step) -> Result<()> {
    step.sleep("a week", Duration::from_hours(24 * 7)).await;
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = ergate_examples::connect().await?;
    let batches = Batches::default();
    let count = Function::new("count", count).batch(5, Duration::from_secs(60)).per("event.data.account");
    let remind = Function::new("remind", remind).cancel_on("account/deleted").matching("data.account");
    let worker = Worker::new(client.clone(), Arc::clone(&batches)).function(count).function(remind);
    let story = async {
        while client.functions().await?.len() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        client.send_all((0..10).map(|_| Viewed { account: 8 })).await?;
        let receipt = client.invoke("remind", &json!({ "account": 7 })).await?;
        client.send_raw("account/deleted", json!({ "account": 7 })).await?;

        let run = client.run("remind", receipt.id.as_str())?;
        while run.state().await? != RunState::Cancelled || batches.load(Ordering::Relaxed) < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        println!("nobody is reminded whose account is gone");
        anyhow::Ok(())
    };
    ergate_examples::while_working(worker, story).await
}
