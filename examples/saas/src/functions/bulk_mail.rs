//! `bulk-mail`: one mail after the other, not back to back.

use ergate::prelude::*;
use serde_json::{Value, json};

use crate::{app::App, events::Campaign, mail::Template};

/// What mail servers take without wondering.
const EMAIL_DELAY: Duration = Duration::from_secs(45);

pub(crate) fn function() -> Function<App> {
    Function::new("bulk-mail", bulk_mail)
}

async fn bulk_mail(campaign: Campaign, step: Step, State(app): State<App>) -> Result<Value> {
    let step = app.steps(step);

    for (i, user) in campaign.users.iter().enumerate() {
        if i > 0 {
            // The same id again and again: in the journal they are `email-delay`, `email-delay#2` and so on.
            step.sleep("email-delay", EMAIL_DELAY).await;
        }
        let mail = |key| app.mailer.send(Template::Campaign.letter(key, &user.email, &user.name));
        step.run_with(format!("send-email-{i}"), |attempt| mail(attempt.key)).await?;
    }
    Ok(json!({ "sent": campaign.users.len() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{events::Addressee, functions::world::World};

    fn campaign(names: &[&str]) -> Campaign {
        let addressee =
            |name: &&str| Addressee { email: format!("{name}@birch.example"), name: (*name).to_owned() };
        Campaign { users: names.iter().map(addressee).collect() }
    }

    #[tokio::test]
    async fn there_are_45_seconds_between_two_mails_and_none_after_the_last() {
        let world = World::new().await;

        let run = world.run(function()).event(campaign(&["ada", "bob", "cleo"])).finish().await;

        assert_eq!(run.result::<Value>(), json!({ "sent": 3 }));
        assert_eq!(
            run.steps(),
            ["send-email-0", "email-delay", "send-email-1", "email-delay#2", "send-email-2"]
        );
        assert_eq!(run.took(), Duration::from_secs(90));
        assert_eq!(world.mails().len(), 3);
    }

    #[tokio::test]
    async fn a_campaign_for_nobody_does_nothing() {
        let world = World::new().await;

        let run = world.run(function()).event(campaign(&[])).finish().await;

        assert_eq!(run.result::<Value>(), json!({ "sent": 0 }));
        assert!(run.steps().is_empty());
    }
}
