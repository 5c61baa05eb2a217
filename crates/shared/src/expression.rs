//! Expressions over events: which of them start a function, and which end a wait.
//!
//! Equalities joined by `&&` are read here and can be indexed. Everything else is CEL and needs the feature `cel`; without
//! it such an expression is refused where it is given, so that it is never taken for true or false.

use std::sync::Arc;

use serde_json::Value;

use crate::Error;

mod cache;
#[cfg(feature = "cel")]
mod cel;
mod equalities;
mod formula;

pub use formula::Formula;

use crate::wait::Equality;
use cache::Cache;
use equalities::{Equalities, Operand};

/// What an expression is about.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// `event`: the event that started, or would start, the run.
    pub event: &'a Value,
    /// `async`: the event that is waited for.
    pub other: Option<&'a Value>,
}

/// An expression that has been read.
#[derive(Debug)]
pub struct Expression {
    text: String,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Equalities(Equalities),
    #[cfg(feature = "cel")]
    Cel(cel::Program),
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// [`Error::Expression`] if it cannot be read, or needs the feature `cel` and this build has it not.
    pub fn compile(text: &str) -> Result<Self, Error> {
        if let Some(equalities) = Equalities::parse(text) {
            return Ok(Self { text: text.to_owned(), form: Form::Equalities(equalities) });
        }
        Self::compile_cel(text)
    }

    #[cfg(feature = "cel")]
    fn compile_cel(text: &str) -> Result<Self, Error> {
        let program = cel::Program::compile(text).map_err(|problem| wrong(text, problem))?;
        Ok(Self { text: text.to_owned(), form: Form::Cel(program) })
    }

    #[cfg(not(feature = "cel"))]
    fn compile_cel(text: &str) -> Result<Self, Error> {
        let problem =
            "is more than equalities joined by &&, and this program was built without the feature `cel`";
        Err(wrong(text, problem.to_owned()))
    }

    /// The same, read once for each text.
    ///
    /// # Errors
    /// As [`compile`](Self::compile).
    pub fn cached(text: &str) -> Result<Arc<Self>, Error> {
        static READ: Cache<Expression> = Cache::new();
        READ.get(text, Self::compile)
    }

    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is true. A field that is missing equals nothing.
    ///
    /// # Errors
    /// [`Error::Expression`] if it can be neither: its value is no truth value, or an operation does not fit its operands.
    pub fn holds(&self, scope: &Scope<'_>) -> Result<bool, Error> {
        match &self.form {
            Form::Equalities(equalities) => Ok(equalities.hold(scope)),
            #[cfg(feature = "cel")]
            Form::Cel(program) => program.holds(scope).map_err(|problem| wrong(&self.text, problem)),
        }
    }

    fn pairs(&self) -> Option<&[(Operand, Operand)]> {
        match &self.form {
            Form::Equalities(equalities) => Some(&equalities.pairs),
            #[cfg(feature = "cel")]
            Form::Cel(_) => None,
        }
    }

    /// The equalities it comes to for the event it calls `async`, if it comes to nothing else.
    pub(crate) fn equalities(&self, event: &Value) -> Option<Vec<Equality>> {
        let mut found = Vec::new();
        for pair in self.pairs()? {
            let ((Operand::Other(path), other) | (other, Operand::Other(path))) = pair else { return None };
            let value = match other {
                Operand::Value(value) => value,
                Operand::Event(path) => field(event, path)?,
                Operand::Other(_) => return None,
            };
            found.push(Equality { field: path.clone(), value: value.clone() });
        }
        Some(found)
    }
}

fn wrong(text: &str, problem: String) -> Error {
    Error::Expression { text: text.to_owned(), problem }
}

/// The field a path such as `data.items.0.name` leads to.
pub(crate) fn field<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, step| match value {
        Value::Object(fields) => fields.get(step),
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        _ => None,
    })
}

/// A value as text that is the same for equal values: numbers are equal whether written with a decimal point or not.
pub(crate) fn canonical(value: &Value) -> String {
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(float)
                if !number.is_i64() && !number.is_u64() && float.fract() == 0.0 && float.abs() < 9e15 =>
            {
                format!("{float:.0}")
            }
            _ => number.to_string(),
        },
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            let fields = fields
                .into_iter()
                .map(|(name, value)| format!("{}:{}", Value::from(name.as_str()), canonical(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn holds(text: &str, event: &Value, other: &Value) -> bool {
        Expression::compile(text).unwrap().holds(&Scope { event, other: Some(other) }).unwrap()
    }

    #[test]
    fn equalities_joined_by_and_need_no_other_language() {
        let (event, other) = (json!({"data": {"user": 7, "plan": "pro"}}), json!({"data": {"user": 7.0}}));

        assert!(holds("event.data.user == async.data.user", &event, &other));
        assert!(holds("event.data.plan == 'pro' && event.data.user == 7", &event, &other));
        assert!(!holds("event.data.plan == 'free' && event.data.user == 7", &event, &other));
        assert!(!holds("event.data.missing == async.data.missing", &event, &other));
        assert!(holds("\"pro\" == event.data[\"plan\"]", &event, &other));
    }

    #[test]
    fn one_that_compares_fields_of_one_event_is_not_indexed() {
        let expression = Expression::compile("async.data.a == async.data.b").unwrap();

        assert!(expression.equalities(&json!({})).is_none());
    }

    #[cfg(not(feature = "cel"))]
    #[test]
    fn without_the_feature_anything_else_is_refused_with_the_reason() {
        let error = Expression::compile("event.data.total > 100").unwrap_err().to_string();

        assert_eq!(
            error,
            "expression \"event.data.total > 100\" is more than equalities joined by &&, and this program was built without the feature `cel`"
        );
    }

    #[test]
    fn equal_values_have_one_text() {
        assert_eq!(canonical(&json!({"b": [1.0, "x"], "a": null})), r#"{"a":null,"b":[1,"x"]}"#);
        assert_eq!(canonical(&json!(0.5)), "0.5");
        assert_eq!(canonical(&json!(u64::MAX)), u64::MAX.to_string());
    }
}
