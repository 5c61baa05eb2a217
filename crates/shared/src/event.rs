//! Events: named facts with data, sent to start functions and to resume the runs that wait for them.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::EventName;

mod id;
mod pattern;

pub use id::{EventId, SHARDS};
pub use pattern::EventPattern;

/// The largest event, in bytes of its record as JSON: 512 KiB.
pub const LARGEST_EVENT: usize = 512 * 1024;
/// The most events one call sends.
pub const MOST_EVENTS: usize = 5000;

/// A kind of event: its data is the implementing type, its identity the name.
///
/// ```
/// # use ergate_shared::Event;
/// # use serde::{Deserialize, Serialize};
/// #[derive(Serialize, Deserialize)]
/// struct SignedUp {
///     user: u64,
/// }
///
/// impl Event for SignedUp {
///     const NAME: &str = "app/user.signed-up";
/// }
/// ```
pub trait Event: Serialize + DeserializeOwned + Send + 'static {
    /// The name kept in Redis, by habit `area/action`: letters, digits and `-_./:`, at most 128 bytes.
    const NAME: &'static str;

    /// The version of the data's shape, for those who read it; default none.
    const VERSION: Option<&'static str> = None;

    /// The JSON schema its data must fit, checked where it is sent by clients with the feature `schema`; default none.
    fn schema() -> Option<Value> {
        None
    }
}

/// An event as it is kept and handed to functions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventRecord {
    /// Made by the sender, or chosen by the user.
    pub id: EventId,
    /// What happened.
    pub name: EventName,
    /// The particulars; `null` if there are none.
    #[serde(default)]
    pub data: Value,
    /// About the user it concerns, if the sender said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Value>,
    /// When it happened, in ms since the epoch; one in the future is delivered then.
    pub ts: u64,
    /// The version of the data's shape, if the sender said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v: Option<String>,
}

impl EventRecord {
    /// Reads the data as the type of an event.
    ///
    /// # Errors
    /// What the parser says, if the data has another shape.
    pub fn decode<E: Event>(&self) -> Result<E, serde_json::Error> {
        E::deserialize(&self.data)
    }

    /// The record as JSON, as expressions and conditions see it.
    ///
    /// # Panics
    /// Never: every field can be written.
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).expect("a record is JSON")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_is_written_with_the_names_other_systems_use() {
        let text = r#"{"id":"order-7","name":"shop/order.paid","data":{"order":7},"user":{"id":1},"ts":1795301793689,"v":"2"}"#;

        let record: EventRecord = serde_json::from_str(text).unwrap();

        assert_eq!(serde_json::to_string(&record).unwrap(), text);
        assert_eq!(record.data, json!({"order": 7}));
    }

    #[test]
    fn what_the_sender_did_not_say_is_left_out() {
        let record: EventRecord = serde_json::from_str(r#"{"id":"a","name":"x/y","ts":1}"#).unwrap();

        assert_eq!(record.to_value(), json!({"id": "a", "name": "x/y", "data": null, "ts": 1}));
    }

    proptest! {
        #[test]
        fn numbers_come_out_as_they_went_in(
            number in any::<f64>().prop_filter("JSON has no others", |number| number.is_finite())
        ) {
            let text = format!(r#"{{"id":"a","name":"x/y","data":{number:?},"ts":1}}"#);

            let record: EventRecord = serde_json::from_str(&text).unwrap();
            let again: EventRecord = serde_json::from_value(record.to_value()).unwrap();

            prop_assert_eq!(again.data.as_f64(), Some(number));
        }
    }
}
