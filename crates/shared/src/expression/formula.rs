//! Expressions whose value counts, such as the account that limits are kept by: a field, or anything CEL can say.

use std::sync::Arc;

use serde_json::Value;

#[cfg(feature = "cel")]
use super::cel;
use super::{Operand, Scope, cache::Cache, wrong};
use crate::Error;

/// An expression over `event` that comes to a value.
#[derive(Debug)]
pub struct Formula {
    #[cfg_attr(
        not(feature = "cel"),
        allow(dead_code, reason = "a field cannot fail, so nobody need name it")
    )]
    text: String,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Operand(Operand),
    #[cfg(feature = "cel")]
    Cel(cel::Program),
}

impl Formula {
    /// Reads a field of `event`, a plain value, or, with the feature `cel`, any expression.
    ///
    /// # Errors
    /// [`Error::Expression`] if it cannot be read, or needs the feature `cel` and this build has it not.
    pub fn compile(text: &str) -> Result<Self, Error> {
        match Operand::parse(text) {
            Some(Operand::Other(_)) => {
                Err(wrong(text, "names `async`; there is only the event that starts the run".to_owned()))
            }
            Some(operand) => Ok(Self { text: text.to_owned(), form: Form::Operand(operand) }),
            None => Self::compile_cel(text),
        }
    }

    #[cfg(feature = "cel")]
    fn compile_cel(text: &str) -> Result<Self, Error> {
        let program = cel::Program::compile(text).map_err(|problem| wrong(text, problem))?;
        Ok(Self { text: text.to_owned(), form: Form::Cel(program) })
    }

    #[cfg(not(feature = "cel"))]
    fn compile_cel(text: &str) -> Result<Self, Error> {
        let problem = "is more than a field, and this program was built without the feature `cel`";
        Err(wrong(text, problem.to_owned()))
    }

    /// The same, read once for each text.
    ///
    /// # Errors
    /// As [`compile`](Self::compile).
    pub fn cached(text: &str) -> Result<Arc<Self>, Error> {
        static READ: Cache<Formula> = Cache::new();
        READ.get(text, Self::compile)
    }

    /// Its value for an event; `null` if a field it names is missing.
    ///
    /// # Errors
    /// [`Error::Expression`] if it has no plain value, or an operation does not fit its operands.
    pub fn value(&self, event: &Value) -> Result<Value, Error> {
        let scope = Scope { event, other: None };
        match &self.form {
            Form::Operand(operand) => Ok(operand.find(&scope).cloned().unwrap_or(Value::Null)),
            #[cfg(feature = "cel")]
            Form::Cel(program) => program.value(&scope).map_err(|problem| wrong(&self.text, problem)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_has_its_value_and_a_missing_one_is_null() {
        let event = json!({"data": {"account": "acme", "items": [{"n": 7}]}});
        let value = |text| Formula::compile(text).unwrap().value(&event).unwrap();

        assert_eq!(value("event.data.account"), json!("acme"));
        assert_eq!(value(" event.data.items[0].n "), json!(7));
        assert_eq!(value("event.data.missing"), json!(null));
        assert_eq!(value("'all'"), json!("all"));
    }

    #[test]
    fn the_event_that_is_waited_for_is_not_there_yet() {
        assert!(Formula::compile("async.data.x").unwrap_err().to_string().contains("names `async`"));
    }

    #[cfg(not(feature = "cel"))]
    #[test]
    fn without_the_feature_more_than_a_field_is_refused_with_the_reason() {
        let error = Formula::compile("event.data.total + 1").unwrap_err().to_string();

        assert!(
            error.ends_with("is more than a field, and this program was built without the feature `cel`")
        );
    }
}
