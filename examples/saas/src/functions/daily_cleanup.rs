//! `daily-cleanup`: what nobody needs any more, each midnight.

use ergate::prelude::*;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::app::App;

/// How long audit logs are kept.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

pub(crate) fn function() -> Function<App> {
    Function::new("daily-cleanup", daily_cleanup).cron("0 0 * * *")
}

async fn daily_cleanup(tick: Tick, step: Step, State(app): State<App>) -> Result<Value> {
    let (step, database) = (app.steps(step), &app.database);

    // By the schedule's time, not by the clock: so what is deleted does not depend on when the run comes to it.
    let (now, month_ago) = (tick.at, tick.at - KEPT);
    let sessions = step
        .run_with("cleanup-sessions", async |attempt| database.delete_sessions(&attempt.key, now).await)
        .await?;
    let audit_logs = step
        .run_with("cleanup-audit-logs", async |attempt| {
            database.delete_audit_logs(&attempt.key, month_ago).await
        })
        .await?;
    let uploads =
        step.run_with("cleanup-uploads", async |attempt| database.delete_orphans(&attempt.key).await).await?;
    Ok(json!({ "sessions": sessions, "auditLogs": audit_logs, "uploads": uploads }))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::functions::world::World;

    #[tokio::test]
    async fn what_has_expired_is_old_or_belongs_to_nobody_is_deleted() {
        let world = World::new().await;

        let run = world.run(function()).tick(Timestamp::now()).finish().await;

        assert_eq!(run.steps(), ["cleanup-sessions", "cleanup-audit-logs", "cleanup-uploads"]);
        assert_eq!(run.result::<Value>(), json!({ "sessions": 3, "auditLogs": 280, "uploads": 2 }));
        let database = &world.app.database;
        assert_eq!(database.count("select count(*) from sessions").await.unwrap(), 1);
        assert_eq!(database.count("select count(*) from audit_logs").await.unwrap(), 120);
        assert_eq!(database.count("select count(*) from uploads where owner_id is null").await.unwrap(), 0);
    }
}
