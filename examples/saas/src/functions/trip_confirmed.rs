//! `trip-confirmed`: the driver is told at once, the passenger a little later.

use ergate::prelude::*;
use serde_json::{Value, json};

use crate::{app::App, events::TripConfirmed, mail::Letter};

/// Long enough for a driver to take it back.
const EMAIL_DELAY: Duration = Duration::from_secs(45);

pub(crate) fn function() -> Function<App> {
    Function::new("trip-confirmed", trip_confirmed)
}

async fn trip_confirmed(trip: TripConfirmed, step: Step, State(app): State<App>) -> Result<Value> {
    let step = app.steps(step);

    step.run_with("notify-driver", |attempt| notify_driver(&app, attempt.key, &trip)).await?;
    step.sleep("email-delay", EMAIL_DELAY).await;
    step.run_with("email-passenger", |attempt| mail_passenger(&app, attempt.key, &trip)).await?;
    Ok(json!({ "success": true, "tripId": trip.trip_id }))
}

async fn notify_driver(app: &App, key: String, trip: &TripConfirmed) -> anyhow::Result<()> {
    let text = format!("trip {} to {} is yours", trip.trip_id, trip.destination);
    app.database.notify(&key, &trip.driver_id, &text).await
}

async fn mail_passenger(app: &App, key: String, trip: &TripConfirmed) -> anyhow::Result<()> {
    let passenger = app.database.user(&trip.passenger_id).await?;
    let text = format!("Hello {},\n\nyour driver is on the way.\n", passenger.name);
    app.mailer
        .send(Letter {
            key,
            to: passenger.email,
            subject: format!("Your trip to {}", trip.destination),
            text,
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::world::World;

    #[tokio::test]
    async fn the_passenger_gets_a_mail_45_seconds_after_the_driver_was_told() {
        let world = World::new().await;
        let trip = TripConfirmed {
            trip_id: "trip-1".to_owned(),
            driver_id: "bob".to_owned(),
            passenger_id: "ada".to_owned(),
            destination: "Delft".to_owned(),
        };

        let run = world.run(function()).event(trip).finish().await;

        assert_eq!(run.result::<Value>(), json!({ "success": true, "tripId": "trip-1" }));
        assert_eq!(run.steps(), ["notify-driver", "email-delay", "email-passenger"]);
        assert_eq!(run.took(), Duration::from_secs(45));
        assert_eq!(world.mails(), ["ada@acacia.example: Your trip to Delft"]);
        let told = world.app.database.count("select count(*) from notifications where user_id = 'bob'").await;
        assert_eq!(told.unwrap(), 1);
    }
}
