//! `daily-trip-cleanup`: trips that are long over, each night at two.

use ergate::prelude::*;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::app::App;

/// How long completed trips are kept.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

pub(crate) fn function() -> Function<App> {
    Function::new("daily-trip-cleanup", daily_trip_cleanup).cron("0 2 * * *")
}

async fn daily_trip_cleanup(tick: Tick, step: Step, State(app): State<App>) -> Result<Value> {
    let (step, database) = (app.steps(step), &app.database);

    let before = tick.at - KEPT;
    let deleted = step
        .run_with("delete-old-trips", async |attempt| database.delete_trips(&attempt.key, before).await)
        .await?;
    Ok(json!({ "deleted": deleted }))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::functions::world::World;

    #[tokio::test]
    async fn trips_completed_over_30_days_ago_are_deleted() {
        let world = World::new().await;

        let run = world.run(function()).tick(Timestamp::now()).finish().await;

        assert_eq!(run.steps(), ["delete-old-trips"]);
        assert_eq!(run.result::<Value>(), json!({ "deleted": 1 }));
        let left = world.app.database.count("select count(*) from trips where id = 'trip-new'").await;
        assert_eq!(left.unwrap(), 1);
    }
}
