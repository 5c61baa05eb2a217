//! `weekly-cleanup`: the program's own logs, each Sunday at three.

use ergate::prelude::*;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::app::App;

/// How long logs are kept.
const KEPT: SignedDuration = SignedDuration::from_hours(90 * 24);

pub(crate) fn function() -> Function<App> {
    Function::new("weekly-cleanup", weekly_cleanup).cron("0 3 * * 0")
}

async fn weekly_cleanup(tick: Tick, step: Step, State(app): State<App>) -> Result<Value> {
    let (step, database) = (app.steps(step), &app.database);

    let (now, before) = (tick.at, tick.at - KEPT);
    let logs = step
        .run_with("delete-old-logs", async |attempt| database.delete_logs(&attempt.key, before).await)
        .await?;
    let sessions = step
        .run_with("delete-expired-sessions", async |attempt| {
            database.delete_sessions(&attempt.key, now).await
        })
        .await?;
    Ok(json!({ "deletedLogs": logs, "deletedSessions": sessions }))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::functions::world::World;

    #[tokio::test]
    async fn both_counts_are_in_the_result() {
        let world = World::new().await;

        let run = world.run(function()).tick(Timestamp::now()).finish().await;

        assert_eq!(run.steps(), ["delete-old-logs", "delete-expired-sessions"]);
        assert_eq!(run.result::<Value>(), json!({ "deletedLogs": 10, "deletedSessions": 3 }));
    }
}
