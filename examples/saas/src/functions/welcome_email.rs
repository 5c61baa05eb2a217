//! `send-welcome-email`: the first four days of somebody who signed up.

use ergate::prelude::*;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{app::App, events::UserCreated, mail::Template};

const DAY: Duration = Duration::from_hours(24);
/// Who has not been there for this long gets a mail.
const ACTIVE_WITHIN: SignedDuration = SignedDuration::from_hours(3 * 24);

pub(crate) fn function() -> Function<App> {
    Function::new("send-welcome-email", send_welcome_email)
}

async fn send_welcome_email(user: UserCreated, step: Step, State(app): State<App>) -> Result<Value> {
    let step = app.steps(step);
    let mail =
        |template: Template, key: String| app.mailer.send(template.letter(key, &user.email, &user.name));

    step.run_with("send-email", |attempt| mail(Template::Welcome, attempt.key)).await?;
    step.sleep("wait-1-day", DAY).await;

    step.run_with("send-tips-email", |attempt| mail(Template::GettingStartedTips, attempt.key)).await?;
    step.sleep("wait-3-days", DAY * 3).await;

    let since = async || app.database.was_active(&user.user_id, Timestamp::now() - ACTIVE_WITHIN).await;
    if !step.run("check-activity", since()).await? {
        step.run_with("send-reengagement", |attempt| mail(Template::Reengagement, attempt.key)).await?;
    }
    Ok(json!({ "success": true }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::world::World;

    fn created(user: &str) -> UserCreated {
        UserCreated {
            user_id: user.to_owned(),
            email: format!("{user}@acacia.example"),
            name: user.to_uppercase(),
        }
    }

    #[tokio::test]
    async fn who_is_active_gets_two_mails_in_four_days() {
        let world = World::new().await;

        let run = world.run(function()).event(created("ada")).finish().await;

        assert_eq!(run.result::<Value>(), json!({ "success": true }));
        assert_eq!(
            run.steps(),
            ["send-email", "wait-1-day", "send-tips-email", "wait-3-days", "check-activity"]
        );
        assert_eq!(run.took(), DAY * 4);
        assert_eq!(
            world.mails(),
            ["ada@acacia.example: Five things to try first", "ada@acacia.example: Welcome to Acme"]
        );
    }

    #[tokio::test]
    async fn who_stays_away_is_asked_back() {
        let world = World::new().await;

        let run = world.run(function()).event(created("bob")).finish().await;

        assert!(!run.returned::<bool>("check-activity"));
        assert_eq!(run.steps().last(), Some(&"send-reengagement"));
        assert!(world.mails().contains(&"bob@acacia.example: Can we help you get started?".to_owned()));
    }
}
