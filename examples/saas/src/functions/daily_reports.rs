//! `send-daily-reports`: a mail each morning to those who want one.

use ergate::prelude::*;
use serde_json::{Value, json};

use crate::{app::App, database::User, mail::Letter};

pub(crate) fn function() -> Function<App> {
    Function::new("send-daily-reports", send_daily_reports).cron("0 9 * * *")
}

async fn send_daily_reports(tick: Tick, step: Step, State(app): State<App>) -> Result<Value> {
    let step = app.steps(step);

    let users = step.run("get-users", app.database.users_with_reports()).await?;
    for user in &users {
        let report = |key| app.mailer.send(report(key, user, &tick));
        step.run_with(format!("send-report-{}", user.id), |attempt| report(attempt.key)).await?;
    }
    Ok(json!({ "sent": users.len() }))
}

fn report(key: String, user: &User, tick: &Tick) -> Letter {
    let subject = format!("Your report of {}", tick.at.strftime("%Y-%m-%d"));
    Letter { key, to: user.email.clone(), subject, text: format!("Hello {},\n\nall is well.\n", user.name) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::world::World;

    #[tokio::test]
    async fn those_who_want_a_report_get_one_for_the_day_of_the_schedule() {
        let world = World::new().await;

        let run = world.run(function()).tick("2026-11-22T09:00:00Z".parse().unwrap()).finish().await;

        assert_eq!(run.steps(), ["get-users", "send-report-ada", "send-report-cleo"]);
        assert_eq!(run.result::<Value>(), json!({ "sent": 2 }));
        assert_eq!(
            world.mails(),
            [
                "ada@acacia.example: Your report of 2026-11-22",
                "cleo@birch.example: Your report of 2026-11-22"
            ]
        );
    }
}
