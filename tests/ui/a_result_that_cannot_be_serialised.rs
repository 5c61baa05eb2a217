use ergate::prelude::*;

#[derive(Serialize, Deserialize)]
struct Greet {
    name: String,
}

impl Job for Greet {
    const NAME: &str = "greet";
}

struct Greeting(String);

async fn greet(job: Greet) -> Result<Greeting> {
    Ok(Greeting(job.name))
}

fn worker(client: Client) -> Worker {
    Worker::new(client, ()).queue("default", 1).job(greet)
}

fn main() {}
