//! `process-entity`: work whose state the service shows in a table of its own.

use ergate::prelude::*;
use serde_json::{Value, json};

use crate::{app::App, events::EntityGiven, steps::Steps};

pub(crate) fn function() -> Function<App> {
    Function::new("process-entity", process_entity)
}

async fn process_entity(given: EntityGiven, step: Step, State(app): State<App>) -> Result<Value> {
    let step = app.steps(step);
    let (database, id) = (&app.database, &given.entity_id);

    step.run("update-status-processing", database.entity_is_processing(id)).await?;
    match total(&app, &step, &given).await {
        Ok(total) => {
            step.run("save-result", database.entity_is_completed(id, total)).await?;
            Ok(json!({ "entityId": id, "status": "completed", "total": total }))
        }
        Err(failure) => {
            step.run("update-status-failed", database.entity_is_failed(id, &failure.to_string())).await?;
            Err(failure)
        }
    }
}

async fn total(app: &App, step: &Steps, given: &EntityGiven) -> Result<i64> {
    let amounts = step.run("fetch-entity", fetch(app, given)).await?;
    Ok(step.run("process-entity", async { add(&amounts) }).await?)
}

async fn fetch(app: &App, given: &EntityGiven) -> Result<String> {
    let (id, organization) = (&given.entity_id, &given.organization_id);
    let found = app.database.amounts(organization, id).await?;
    // It will not appear by being asked for again.
    found.ok_or_else(|| Failure::fatal(format!("organization {organization} has no entity {id}")))
}

fn add(amounts: &str) -> Result<i64> {
    let read =
        |amount: &str| amount.parse::<i64>().fatal().context(format!("amount {amount:?} is no number"));
    amounts.split(',').map(read).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::world::World;

    fn given(entity: &str) -> EntityGiven {
        EntityGiven {
            entity_id: entity.to_owned(),
            organization_id: "acacia".to_owned(),
            user_id: "ada".to_owned(),
            options: None,
        }
    }

    #[tokio::test]
    async fn the_status_goes_from_pending_over_processing_to_completed() {
        let world = World::new().await;
        let database = &world.app.database;
        let status = async || database.entity("order-1").await.unwrap().unwrap().0;
        assert_eq!(status().await, "pending");

        world.run(function()).event(given("order-1")).until("fetch-entity").finish().await;
        assert_eq!(status().await, "processing");
        let run = world.run(function()).event(given("order-1")).finish().await;

        assert_eq!(
            run.steps(),
            ["update-status-processing", "fetch-entity", "process-entity", "save-result"]
        );
        assert_eq!(run.result::<Value>()["total"], 42);
        let kept = database.entity("order-1").await.unwrap().unwrap();
        assert_eq!(kept, ("completed".to_owned(), Some("42".to_owned()), None));
    }

    #[tokio::test]
    async fn an_entity_that_cannot_be_processed_is_failed_with_the_error() {
        let world = World::new().await;

        let run = world.run(function()).event(given("order-2")).finish().await;

        assert_eq!(
            run.steps(),
            ["update-status-processing", "fetch-entity", "process-entity", "update-status-failed"]
        );
        let why = "step process-entity failed at attempt 1: amount \"twenty\" is no number";
        assert_eq!(run.failure().unwrap().to_string(), why);
        let kept = world.app.database.entity("order-2").await.unwrap().unwrap();
        assert_eq!(kept, ("failed".to_owned(), None, Some(why.to_owned())));
    }

    #[tokio::test]
    async fn an_entity_that_is_missing_is_named() {
        let world = World::new().await;

        let run = world.run(function()).event(given("order-9")).finish().await;

        assert_eq!(run.steps(), ["update-status-processing", "fetch-entity", "update-status-failed"]);
        let said = run.failure().unwrap().to_string();
        assert_eq!(said, "step fetch-entity failed at attempt 1: organization acacia has no entity order-9");
        assert_eq!(run.took(), Duration::ZERO);
    }
}
