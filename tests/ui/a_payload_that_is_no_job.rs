use ergate::prelude::*;

#[derive(Serialize, Deserialize)]
struct Greet {
    name: String,
}

async fn greet(job: Greet) -> Result<()> {
    println!("hello, {}", job.name);
    Ok(())
}

fn worker(client: Client) -> Worker {
    Worker::new(client, ()).queue("default", 1).job(greet)
}

fn main() {}
