//! Expressions in CEL, the Common Expression Language, over `event` and `async`.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, LazyLock},
};

use ::cel::{Context, Env, ExecutionError, Value};

use super::Scope;

/// The longest expression, in bytes: the parser goes as deep as brackets do.
const LONGEST: usize = 4096;
/// The deepest brackets.
const DEEPEST: usize = 64;

static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

#[derive(Debug)]
pub(super) struct Program(::cel::Program);

impl Program {
    /// The error says what is wrong, and where.
    pub(super) fn compile(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("has {} bytes, the most is {LONGEST}", text.len()));
        }
        let mut depth = 0_usize;
        for byte in text.bytes() {
            match byte {
                b'(' | b'[' | b'{' => depth += 1,
                b')' | b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth > DEEPEST {
                return Err(format!("has brackets deeper than {DEEPEST}"));
            }
        }
        // The parser is generated code of others; what makes it panic is no expression either.
        let program = catch_unwind(AssertUnwindSafe(|| ENV.compile(text)))
            .map_err(|_| "cannot be read".to_owned())?
            .map_err(|errors| format!("cannot be read: {}", one_line(&errors.to_string())))?;
        let references = program.references();
        if let Some(other) =
            references.variables().into_iter().find(|name| !matches!(*name, "event" | "async"))
        {
            return Err(format!("names {other:?}; there are `event` and `async`"));
        }
        Ok(Self(program))
    }

    /// A field that is missing makes what depends on it false; `has()` asks for it.
    pub(super) fn holds(&self, scope: &Scope<'_>) -> Result<bool, String> {
        match self.evaluate(scope)? {
            Value::Bool(holds) => Ok(holds),
            Value::Null => Ok(false),
            other => Err(format!("is {}, which is neither true nor false", other.type_of())),
        }
    }

    /// Its value as JSON; what depends on a field that is missing is `null`.
    pub(super) fn value(&self, scope: &Scope<'_>) -> Result<serde_json::Value, String> {
        to_json(&self.evaluate(scope)?)
    }

    fn evaluate(&self, scope: &Scope<'_>) -> Result<Value, String> {
        let mut context = Context::with_env(Arc::clone(&ENV));
        context.add_variable_from_value("event", from_json(scope.event));
        if let Some(other) = scope.other {
            context.add_variable_from_value("async", from_json(other));
        }
        match catch_unwind(AssertUnwindSafe(|| self.0.execute(&context))) {
            Ok(Err(ExecutionError::NoSuchKey(_))) => Ok(Value::Null),
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(format!("cannot be evaluated: {}", one_line(&error.to_string()))),
            Err(_) => Err("cannot be evaluated".to_owned()),
        }
    }
}

fn to_json(value: &Value) -> Result<serde_json::Value, String> {
    Ok(match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Int(number) => (*number).into(),
        Value::UInt(number) => (*number).into(),
        Value::Float(number) => (*number).into(),
        Value::String(text) => text.as_str().into(),
        Value::List(items) => items.iter().map(to_json).collect::<Result<Vec<_>, _>>()?.into(),
        other => return Err(format!("is {}, which is no plain value", other.type_of())),
    })
}

fn from_json(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(number) => Value::Int(number),
            None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => Value::List(Arc::new(items.iter().map(from_json).collect())),
        serde_json::Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| (name.clone(), from_json(value)));
            Value::from(fields.collect::<std::collections::HashMap<String, Value>>())
        }
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn holds(text: &str) -> bool {
        let event = json!({"name": "shop/paid", "data": {"total": 120, "part": 7.5, "tags": ["new", "vip"], "name": "ada"}});
        let other = json!({"data": {"total": 120.0}});
        Program::compile(text).unwrap().holds(&Scope { event: &event, other: Some(&other) }).unwrap()
    }

    #[test]
    fn expressions_are_true_or_false() {
        for text in [
            "event.data.total > 100",
            "event.data.total > 100.5",
            "event.data.total == async.data.total",
            "event.data.part < 8",
            "'vip' in event.data.tags",
            "event.data.tags.size() == 2",
            "event.data.name.startsWith('a') && !event.data.name.endsWith('x')",
            "event.data.name.matches('^a.a$')",
            "event.data.total > 1000 ? false : true",
            "has(event.data.total) && !has(event.data.missing)",
            "event.data.missing == 1 || event.data.total == 120",
        ] {
            assert!(holds(text), "{text}");
        }
    }

    #[test]
    fn a_missing_field_makes_what_depends_on_it_false() {
        for text in ["event.data.missing == 'x'", "event.data.missing.deeper > 1", "event.data.missing > 5"] {
            assert!(!holds(text), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_says_where() {
        let error = Program::compile("event.data.total >").unwrap_err();

        assert!(error.starts_with("cannot be read: "), "{error}");
        assert!(error.contains('1'), "{error}");
    }

    #[test]
    fn other_names_than_event_and_async_are_refused() {
        let error = Program::compile("user.id == 7").unwrap_err();

        assert_eq!(error, "names \"user\"; there are `event` and `async`");
    }

    #[test]
    fn what_is_no_truth_value_is_an_error() {
        let event = json!({"data": {}});
        let scope = Scope { event: &event, other: None };

        assert_eq!(
            Program::compile("1 + 1").unwrap().holds(&scope).unwrap_err(),
            "is int, which is neither true nor false"
        );
    }

    #[test]
    fn a_value_is_what_json_has_for_it() {
        let event = json!({"data": {"plan": "pro", "n": 2, "tags": ["a"]}});
        let value = |text| Program::compile(text).unwrap().value(&Scope { event: &event, other: None });

        assert_eq!(value("event.data.plan == 'pro' ? 120 : 0").unwrap(), json!(120));
        assert_eq!(value("event.data.plan + '/' + string(event.data.n)").unwrap(), json!("pro/2"));
        assert_eq!(value("event.data.tags").unwrap(), json!(["a"]));
        assert_eq!(value("event.data.missing").unwrap(), json!(null));
        assert!(value("event.data").is_err());
    }

    #[test]
    fn brackets_without_end_are_refused() {
        assert!(Program::compile(&"(".repeat(2000)).is_err());
    }
}
