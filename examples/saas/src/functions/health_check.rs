//! `health-check`: whether all that the service stands on is there, each five minutes.

use ergate::prelude::*;
use serde_json::Value;

use crate::{
    app::App,
    checks::{self, Checks},
    mail::Letter,
};

/// Who is told.
const ON_CALL: &str = "on-call@acme.example";

pub(crate) fn function() -> Function<App> {
    Function::new("health-check", health_check).cron("*/5 * * * *")
}

async fn health_check(_: Tick, step: Step, client: Client, State(app): State<App>) -> Result<Checks> {
    let step = app.steps(step);

    let checks = step.run("run-checks", checks::run(&app, &client)).await?;
    let failed = checks.failed();
    if !failed.is_empty() {
        let subject = format!("Not well: {}", failed.join(", "));
        let text = format!("{}\n", serde_json::to_value(checks).unwrap_or(Value::Null));
        let letter = |key| Letter { key, to: ON_CALL.to_owned(), subject, text };
        step.run_with("alert", |attempt| app.mailer.send(letter(attempt.key))).await?;
    }
    Ok(checks)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::functions::world::World;

    const WELL: Checks = Checks { database: true, redis: true, payments: true };

    #[tokio::test]
    async fn nobody_is_woken_if_all_is_well() {
        let world = World::new().await;

        let run = world.run(function()).tick(Timestamp::now()).step("run-checks", &WELL).finish().await;

        assert_eq!(run.steps(), ["run-checks"]);
        assert_eq!(run.result::<Checks>(), WELL);
        assert!(world.mails().is_empty());
    }

    #[tokio::test]
    async fn the_alert_names_what_failed() {
        let world = World::new().await;
        world.partners.payments_are_down(true);

        // The test's client has no Redis to ask.
        let run = world.run(function()).tick(Timestamp::now()).finish().await;

        assert_eq!(run.steps(), ["run-checks", "alert"]);
        assert_eq!(run.result::<Checks>(), Checks { database: true, redis: false, payments: false });
        assert_eq!(world.mails(), ["on-call@acme.example: Not well: redis, payments"]);
    }
}
