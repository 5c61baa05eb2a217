//! `monthly-invoices`: an invoice for each subscription, on the first of the month.

use ergate::prelude::*;
use serde_json::{Value, json};

use crate::{app::App, database::Subscription, mail::Letter};

pub(crate) fn function() -> Function<App> {
    Function::new("monthly-invoices", monthly_invoices).cron("0 0 1 * *")
}

async fn monthly_invoices(tick: Tick, step: Step, State(app): State<App>) -> Result<Value> {
    let step = app.steps(step);
    let period = tick.at.strftime("%Y-%m").to_string();

    let subscriptions = step.run("get-subscriptions", app.database.active_subscriptions()).await?;
    for subscription in &subscriptions {
        let id = format!("invoice-{}", subscription.id);
        step.run_with(id, |attempt| invoice(&app, attempt.key, subscription, &period)).await?;
    }
    Ok(json!({ "invoiced": subscriptions.len() }))
}

async fn invoice(app: &App, key: String, subscription: &Subscription, period: &str) -> Result<()> {
    let Some((name, owner)) = app.database.organization(&subscription.organization).await? else {
        return Err(Failure::fatal(format!("subscription {} is of nobody", subscription.id)));
    };
    app.database.invoice(subscription, period).await?;
    let (euros, cents) = (subscription.cents / 100, subscription.cents % 100);
    let text = format!("{name}, {}: {euros}.{cents:02} EUR for {period}\n", subscription.id);
    app.mailer.send(Letter { key, to: owner, subject: format!("Invoice for {period}"), text }).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::world::World;

    #[tokio::test]
    async fn active_subscriptions_are_invoiced_once_a_month() {
        let world = World::new().await;
        let first = || world.run(function()).tick("2026-12-01T00:00:00Z".parse().unwrap());

        let run = first().finish().await;
        first().finish().await;

        assert_eq!(run.steps(), ["get-subscriptions", "invoice-sub-1", "invoice-sub-2", "invoice-sub-3"]);
        assert_eq!(run.result::<Value>(), json!({ "invoiced": 3 }));
        let written = "select count(*) from invoices where period = '2026-12'";
        assert_eq!(world.app.database.count(written).await.unwrap(), 3);
        assert!(world.mails().contains(&"owner@birch.example: Invoice for 2026-12".to_owned()));
    }
}
