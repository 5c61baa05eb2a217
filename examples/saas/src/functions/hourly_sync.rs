//! `hourly-sync`: what others say and what is derived from our own data, each hour.

use ergate::prelude::*;
use serde_json::{Value, json};

use crate::app::App;

pub(crate) fn function() -> Function<App> {
    Function::new("hourly-sync", hourly_sync).cron("0 * * * *")
}

async fn hourly_sync(_: Tick, step: Step, State(app): State<App>) -> Result<Value> {
    let step = app.steps(step);

    let subscriptions = step.run("sync-subscriptions", subscriptions(&app)).await?;
    let activity = step.run("sync-analytics", app.database.count_activity()).await?;
    // An index of an hour ago is better than a sync that failed.
    let indexed = step.run("update-search-index", app.database.index()).optional().await;
    Ok(json!({ "subscriptions": subscriptions, "analytics": activity, "indexed": indexed }))
}

async fn subscriptions(app: &App) -> anyhow::Result<u64> {
    let states = app.partners.subscriptions().await?;
    app.database.set_subscriptions(&states).await
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::functions::world::World;

    #[tokio::test]
    async fn subscriptions_analytics_and_the_search_index_are_brought_up_to_date() {
        let world = World::new().await;

        let run = world.run(function()).tick(Timestamp::now()).finish().await;

        assert_eq!(run.steps(), ["sync-subscriptions", "sync-analytics", "update-search-index"]);
        assert_eq!(run.result::<Value>(), json!({ "subscriptions": 4, "analytics": 12, "indexed": 9 }));
        let found = "select count(*) from search where search match 'cleo'";
        assert_eq!(world.app.database.count(found).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn an_index_that_cannot_be_written_does_not_fail_the_sync() {
        let world = World::new().await;

        let run = world
            .run(function())
            .tick(Timestamp::now())
            .failing_step("update-search-index", "the disk is full")
            .finish()
            .await;

        assert_eq!(run.result::<Value>(), json!({ "subscriptions": 4, "analytics": 12, "indexed": null }));
    }
}
