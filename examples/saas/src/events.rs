//! The events of this service: their data is checked where they are sent, so that one without a required field is refused
//! before anything runs.

use ergate::{
    Client,
    prelude::*,
    schemars::{JsonSchema, schema_for},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Declares events: name, and the fields of their data.
macro_rules! events {
    ($($(#[$doc:meta])* $event:ident = $name:literal { $($(#[$about:meta])* $field:ident: $type:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
            #[serde(rename_all = "camelCase")]
            #[schemars(crate = "ergate::schemars")]
            pub(crate) struct $event { $($(#[$about])* pub(crate) $field: $type,)* }

            impl Event for $event {
                const NAME: &str = $name;

                fn schema() -> Option<Value> {
                    Some(schema_for!(Self).to_value())
                }
            }
        )*

        /// Has the data of every event checked, also of those sent by name.
        pub(crate) fn check_all(client: &Client) -> Result<(), ergate::Error> {
            $(client.check_schema_of::<$event>()?;)*
            Ok(())
        }
    };
}

events! {
    /// Somebody signed up.
    UserCreated = "user/created" {
        user_id: String,
        email: String,
        name: String,
    }

    /// Somebody asked for a report.
    ReportRequested = "report/generate" {
        organization_id: String,
        report_type: String,
        date_range: DateRange,
    }

    /// A driver took a trip.
    TripConfirmed = "trip/confirmed" {
        trip_id: String,
        driver_id: String,
        passenger_id: String,
        destination: String,
    }

    /// A mail to many is to go out.
    Campaign = "mail/campaign" {
        users: Vec<Addressee>,
    }

    /// Something is to be processed.
    EntityGiven = "entity/process" {
        entity_id: String,
        organization_id: String,
        user_id: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        options: Option<Value>,
    }

    /// Somebody wants an integration to be synchronised now.
    SyncRequested = "integration/sync.manual" {
        organization_id: String,
        user_id: String,
    }
}

/// From one moment up to another.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(crate = "ergate::schemars")]
pub(crate) struct DateRange {
    #[schemars(with = "String")]
    pub(crate) start: Timestamp,
    #[schemars(with = "String")]
    pub(crate) end: Timestamp,
}

/// Whom a mail to many goes to.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(crate = "ergate::schemars")]
pub(crate) struct Addressee {
    pub(crate) email: String,
    pub(crate) name: String,
}
