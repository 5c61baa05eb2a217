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
        let id = &subscription.id;
        let customer = step.run(format!("invoice-{id}"), invoice(&app, subscription, &period)).await?;
        step.run(format!("mail-invoice-{id}"), mail(&app, customer, subscription, &period)).await?;
    }
    Ok(json!({ "invoiced": subscriptions.len() }))
}

/// Who pays for a subscription.
#[derive(Serialize, Deserialize)]
struct Customer {
    name: String,
    email: String,
}

/// Writes the invoice, and returns whom it is for.
async fn invoice(app: &App, subscription: &Subscription, period: &str) -> Result<Customer> {
    let Some((name, email)) = app.database.organization(&subscription.organization).await? else {
        return Err(Failure::fatal(format!("subscription {} is of nobody", subscription.id)));
    };
    app.database.invoice(subscription, period).await?;
    Ok(Customer { name, email })
}

async fn mail(
    app: &App,
    customer: Customer,
    subscription: &Subscription,
    period: &str,
) -> anyhow::Result<()> {
    let Subscription { id, cents, .. } = subscription;
    // What the mail is about, as for the row, and not the step's key: another run for the same month mails nothing new.
    let key = format!("invoice-{id}-{period}");
    let (euros, cents) = (cents / 100, cents % 100);
    let text = format!("{}, {id}: {euros}.{cents:02} EUR for {period}\n", customer.name);
    app.mailer.send(Letter { key, to: customer.email, subject: format!("Invoice for {period}"), text }).await
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

        assert_eq!(
            run.steps(),
            [
                "get-subscriptions",
                "invoice-sub-1",
                "mail-invoice-sub-1",
                "invoice-sub-2",
                "mail-invoice-sub-2",
                "invoice-sub-3",
                "mail-invoice-sub-3"
            ]
        );
        assert_eq!(run.result::<Value>(), json!({ "invoiced": 3 }));
        let written = "select count(*) from invoices where period = '2026-12'";
        assert_eq!(world.app.database.count(written).await.unwrap(), 3);
        assert_eq!(
            world.mails(),
            [
                "owner@acacia.example: Invoice for 2026-12",
                "owner@birch.example: Invoice for 2026-12",
                "owner@cedar.example: Invoice for 2026-12"
            ]
        );
    }
}
