//! Jobs at their times: declared in code, set by hand, previewed, run out of turn and filled in.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use ergate::{Timestamp, prelude::*};

#[derive(Serialize, Deserialize)]
struct Report {
    organization: u32,
}

impl Job for Report {
    const NAME: &str = "report";
    const QUEUE: &str = "reports";
}

type Written = Arc<AtomicU32>;

/// The id says which schedule and which of its times: `pulse@2026-11-22T03:00:00Z`.
async fn report(_: Report, id: JobId, State(written): State<Written>) -> Result<()> {
    println!("report for {id}");
    written.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = ergate_examples::connect().await?;
    let written = Written::default();

    let nightly = client.schedule("nightly")?;
    nightly.cron("30 2,14 * * MON-FRI").zone("Europe/Berlin").job(Report { organization: 7 }).await?;
    for time in nightly.preview(3).await? {
        println!("  {time}");
    }

    // What it would have started on a Friday and a Monday that have passed; summer time began in between.
    let day = |text: &str| text.parse::<Timestamp>();
    let filled = nightly.backfill(day("2026-03-27T00:00:00Z")?, day("2026-03-31T00:00:00Z")?).await?;
    assert_eq!((filled.started, filled.there), (4, 0));
    nightly.run_now().await?;

    let pulse = Schedule::every("pulse", Duration::from_millis(200)).job(Report { organization: 8 });
    let enough = async {
        while written.load(Ordering::Relaxed) < 8 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    Worker::new(client.clone(), written.clone())
        .queue("reports", 4)
        .job(report)
        .schedule(pulse.overlap(Overlap::Skip))
        .run_until(enough)
        .await?;
    println!("{} schedules", client.schedules().await?.len());
    Ok(())
}
