//! A handler says how far it is and keeps a log; whoever asked reads both, and the result.

use ergate::prelude::*;

#[derive(Serialize, Deserialize)]
struct Import {
    rows: u64,
}

impl Job for Import {
    const NAME: &str = "import";
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Imported {
    rows: u64,
    skipped: u64,
}

async fn import(job: Import, progress: Progress, log: Log) -> Result<Imported> {
    let mut imported = Imported { rows: 0, skipped: 0 };
    for row in 1..=job.rows {
        if row.is_multiple_of(4) {
            log.line(format!("row {row} is empty, skipped"));
            imported.skipped += 1;
        } else {
            imported.rows += 1;
        }
        progress.set(row as f64 / job.rows as f64);
    }
    Ok(imported)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = ergate_examples::connect().await?;
    let job = client.enqueue(Import { rows: 10 }).await?.job(&client);

    Worker::new(client, ())
        .queue("default", 1)
        .job(import)
        .run_until(async { drop(job.ended(Duration::from_secs(10)).await) })
        .await?;

    let imported: Imported = job.result(Duration::ZERO).await?;
    assert_eq!(imported, Imported { rows: 8, skipped: 2 });
    assert_eq!(job.get().await?.progress.as_deref(), Some("1.0"));
    let log = job.log().await?;
    assert!(log.len() == 2 && log[0].ends_with("row 4 is empty, skipped"), "{log:?}");
    println!("{imported:?}");
    Ok(())
}
