//! JSON schemas of events, checked where they are sent: data that does not fit never reaches Redis.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use ergate_shared::Event;
use jsonschema::Validator;
use serde_json::Value;

use crate::Error;

/// Mistakes named in an error; more are counted.
const NAMED: usize = 3;

/// The schemas a client knows, by event name; `None` for an event that has none.
#[derive(Default)]
pub(crate) struct Schemas {
    known: Mutex<HashMap<String, Option<Arc<Validator>>>>,
}

impl fmt::Debug for Schemas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schemas").finish_non_exhaustive()
    }
}

impl Schemas {
    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<String, Option<Arc<Validator>>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Learns the schema of an event, once for each name.
    pub(crate) fn learn<E: Event>(&self) -> Result<(), Error> {
        if self.known().contains_key(E::NAME) {
            return Ok(());
        }
        let validator = match E::schema() {
            None => None,
            Some(schema) => {
                Some(Arc::new(jsonschema::validator_for(&schema).map_err(|error| Error::Event {
                    name: E::NAME.to_owned(),
                    problem: format!("has a schema that is none: {error}"),
                })?))
            }
        };
        self.known().insert(E::NAME.to_owned(), validator);
        Ok(())
    }

    /// Checks the data of an event, if its schema is known.
    pub(crate) fn check(&self, name: &str, data: &Value) -> Result<(), Error> {
        let Some(validator) = self.known().get(name).cloned().flatten() else { return Ok(()) };
        let mut mistakes: Vec<String> = validator
            .iter_errors(data)
            .map(|error| match error.instance_path().to_string() {
                place if place.is_empty() => error.to_string(),
                place => format!("at {place}: {error}"),
            })
            .collect();
        if mistakes.is_empty() {
            return Ok(());
        }
        let more = match mistakes.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        mistakes.truncate(NAMED);
        Err(Error::Event {
            name: name.to_owned(),
            problem: format!("does not fit its schema: {}{more}", mistakes.join("; ")),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};
    use serde_json::json;

    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Paid;

    impl Event for Paid {
        const NAME: &str = "shop/order.paid";

        fn schema() -> Option<Value> {
            Some(json!({
                "type": "object",
                "properties": {"order": {"type": "integer"}},
                "required": ["order"],
            }))
        }
    }

    #[test]
    fn data_that_does_not_fit_is_refused_with_the_place() {
        let schemas = Schemas::default();
        schemas.learn::<Paid>().unwrap();

        let missing = schemas.check(Paid::NAME, &json!({})).unwrap_err().to_string();
        let wrong = schemas.check(Paid::NAME, &json!({"order": "x"})).unwrap_err().to_string();

        assert!(missing.contains("does not fit its schema: \"order\" is a required property"), "{missing}");
        assert!(wrong.contains("at /order"), "{wrong}");
        schemas.check(Paid::NAME, &json!({"order": 7})).unwrap();
        schemas.check("shop/other", &json!({})).unwrap();
    }
}
