//! `sync`: contacts from the CRM, by hand for one organization, or each six hours for all.

use ergate::prelude::*;
use serde_json::{Value, json};

use crate::{app::App, events::SyncRequested};

pub(crate) fn function() -> Function<App> {
    Function::new("sync", sync).cron("0 */6 * * *").concurrency(3).retries(2)
}

async fn sync(trigger: EventOrTick<SyncRequested>, step: Step, State(app): State<App>) -> Result<Value> {
    let step = app.steps(step);
    let (trigger, one) = match trigger {
        EventOrTick::Event(event) => ("manual", Some(event.organization_id)),
        EventOrTick::Tick(_) => ("scheduled", None),
    };

    let organizations = step.run("get-organizations", organizations(&app, one)).await?;
    let mut results = Vec::new();
    for organization in &organizations {
        let contacts = step.run(format!("sync-{organization}"), contacts(&app, organization)).await?;
        results.push(json!({ "organizationId": organization, "contacts": contacts }));
    }
    Ok(json!({ "trigger": trigger, "organizationsProcessed": organizations.len(), "results": results }))
}

async fn organizations(app: &App, one: Option<String>) -> Result<Vec<String>> {
    let Some(one) = one else { return Ok(app.database.synced_organizations().await?) };
    match app.database.organization(&one).await? {
        Some(_) => Ok(vec![one]),
        None => Err(Failure::fatal(format!("there is no organization {one}"))),
    }
}

async fn contacts(app: &App, organization: &str) -> anyhow::Result<usize> {
    let contacts = app.partners.contacts(organization).await?;
    app.database.keep_contacts(organization, &contacts).await?;
    Ok(contacts.len())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::functions::world::World;

    fn requested(organization: &str) -> SyncRequested {
        SyncRequested { organization_id: organization.to_owned(), user_id: "ada".to_owned() }
    }

    #[tokio::test]
    async fn by_hand_one_organization_is_synchronised() {
        let world = World::new().await;

        let run = world.run(function()).event(requested("birch")).finish().await;

        assert_eq!(run.steps(), ["get-organizations", "sync-birch"]);
        let results = [json!({ "organizationId": "birch", "contacts": 3 })];
        assert_eq!(
            run.result::<Value>(),
            json!({ "trigger": "manual", "organizationsProcessed": 1, "results": results })
        );
        assert_eq!(world.app.database.count("select count(*) from contacts").await.unwrap(), 3);
    }

    #[tokio::test]
    async fn by_its_schedule_all_that_are_enabled_are_synchronised() {
        let world = World::new().await;

        let run = world.run(function()).tick(Timestamp::now()).finish().await;

        assert_eq!(run.steps(), ["get-organizations", "sync-acacia", "sync-birch", "sync-cedar"]);
        let result = run.result::<Value>();
        assert_eq!((&result["trigger"], &result["organizationsProcessed"]), (&json!("scheduled"), &json!(3)));
    }

    #[tokio::test]
    async fn a_sync_that_fails_for_good_ends_the_run_and_what_is_done_stays_done() {
        let world = World::new().await;
        let run =
            world.run(function()).tick(Timestamp::now()).failing_step("sync-birch", "503").finish().await;

        assert_eq!(run.steps(), ["get-organizations", "sync-acacia", "sync-birch"]);
        assert!(run.failure().unwrap().to_string().contains("sync-birch failed"));
    }

    #[tokio::test]
    async fn an_organization_nobody_knows_is_named() {
        let world = World::new().await;

        let run = world.run(function()).event(requested("elsewhere")).finish().await;

        let said = run.failure().unwrap().to_string();
        assert_eq!(said, "step get-organizations failed at attempt 1: there is no organization elsewhere");
    }
}
