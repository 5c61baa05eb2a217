use ergate::prelude::*;

#[derive(Serialize, Deserialize)]
struct Greet {
    name: String,
}

impl Job for Greet {
    const NAME: &str = "greet";
}

async fn greet(job: Greet, salutation: String) -> Result<()> {
    println!("{salutation}, {}", job.name);
    Ok(())
}

fn worker(client: Client) -> Worker {
    Worker::new(client, ()).queue("default", 1).job(greet)
}

fn main() {}
