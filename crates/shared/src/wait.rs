//! Waits: which run waits for an event, at which entry of its journal, and what the event must be like.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Error, EventId, EventRecord, Expression, JobId, QueueName,
    expression::{Scope, canonical, field},
    fnv::fnv1a,
};

/// Who waits: a run of a function's queue, at the entry of its journal that is open until the event comes; or, as entry 0,
/// whoever wants the event to cancel that run.
///
/// As text `<queue> <run> <entry>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WaitRef {
    /// The queue of the run's function.
    pub queue: QueueName,
    /// The run.
    pub run: JobId,
    /// The number of the entry, from 1; [`CANCELS`] for an event that cancels the run.
    pub entry: u32,
}

/// The entry of a wait whose event cancels the run.
pub const CANCELS: u32 = 0;

/// What an event must be like: every equality holds, and the expression, if there is one, is true.
///
/// The first equality is indexed, so that an event finds the waits it may end whatever their number; a condition without
/// any is looked at for every event of the name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// Fields and the values they must have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub all: Vec<Equality>,
    /// What else must be true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
    /// Events that are not meant, such as the one that an earlier wait of the same run was given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<EventId>,
}

/// A field of the event and the value it must have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Equality {
    /// The way to the field, such as `data.user.id`; a number leads into a list.
    pub field: String,
    /// The value. A field that is missing equals nothing, not even `null`.
    pub value: Value,
}

/// An expression, and what it calls `event`; the event that is waited for is its `async`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct When {
    /// The expression.
    pub expression: String,
    /// The event that started the run, as JSON.
    pub event: Value,
}

impl Condition {
    /// Met by every event of the name.
    pub fn any() -> Self {
        Self::default()
    }

    /// Adds a field and the value it must have; `field` is below `data`, as in `user.id`.
    #[must_use]
    pub fn on(self, field: &str, value: impl Into<Value>) -> Self {
        self.equal(&format!("data.{field}"), value.into())
    }

    /// The same for any field of the event, such as `user.id`.
    #[must_use]
    pub(crate) fn equal(mut self, path: &str, value: Value) -> Self {
        self.all.push(Equality { field: path.to_owned(), value });
        self
    }

    /// Leaves an event out.
    #[must_use]
    pub fn except(mut self, event: EventId) -> Self {
        self.except.push(event);
        self
    }

    /// Adds an expression over `event`, which started the run, and `async`, the event that is waited for.
    ///
    /// Equalities of a field of `async` and a value or a field of `event`, joined by `&&`, become indexed equalities.
    ///
    /// # Errors
    /// [`Error::Expression`] if it cannot be read, or needs the feature `cel` and this build has it not.
    pub fn when(mut self, expression: &str, event: Value) -> Result<Self, Error> {
        let compiled = Expression::compile(expression)?;
        match compiled.equalities(&event) {
            Some(equalities) => self.all.extend(equalities),
            None => self.when = Some(When { expression: expression.to_owned(), event }),
        }
        Ok(self)
    }

    /// The field by which it is indexed, and its term; both empty-handed for a condition without an equality.
    pub fn indexed(&self) -> (&str, String) {
        match self.all.first() {
            Some(equality) => (&equality.field, term(&equality.field, &equality.value)),
            None => (EVERY, term(EVERY, &Value::Null)),
        }
    }

    /// Whether an event meets it. One for which the expression is neither true nor false does not, whoever asks: `problem` is
    /// told why, so that it can be logged.
    ///
    /// # Errors
    /// [`Error::Expression`] if the expression cannot be read by this build; another may be able to.
    pub fn is_met_by(&self, event: &EventRecord, problem: impl FnOnce(&Error)) -> Result<bool, Error> {
        if self.except.contains(&event.id) {
            return Ok(false);
        }
        let value = event.to_value();
        let equal = |equality: &Equality| {
            field(&value, &equality.field).is_some_and(|found| canonical(found) == canonical(&equality.value))
        };
        if !self.all.iter().all(equal) {
            return Ok(false);
        }
        let Some(When { expression, event }) = &self.when else { return Ok(true) };
        let holds = Expression::cached(expression)?.holds(&Scope { event, other: Some(&value) });
        Ok(holds.unwrap_or_else(|error| {
            problem(&error);
            false
        }))
    }
}

/// The field of a condition without equalities: every event has it.
pub const EVERY: &str = "";

/// The terms of an event for some fields, in their order; empty for a field it does not have.
pub fn terms(event: &EventRecord, fields: &[String]) -> Vec<String> {
    let value = event.to_value();
    fields
        .iter()
        .map(|path| match path.as_str() {
            EVERY => term(EVERY, &Value::Null),
            path => field(&value, path).map(|found| term(path, found)).unwrap_or_default(),
        })
        .collect()
}

/// What stands in the index for a field and its value: 16 hex digits of a hash, since whoever finds a wait by it looks at
/// the condition itself.
fn term(field: &str, value: &Value) -> String {
    format!("{:016x}", fnv1a(format!("{field}\0{}", canonical(value)).as_bytes()))
}

impl fmt::Display for WaitRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.queue, self.run, self.entry)
    }
}

impl FromStr for WaitRef {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::Record(format!("{text:?} does not name a wait"));
        let mut words = text.split(' ');
        let (Some(queue), Some(run), Some(entry), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(wrong());
        };
        let entry = entry.parse().map_err(|_| wrong())?;
        Ok(Self { queue: queue.parse()?, run: JobId::stored(run), entry })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[allow(clippy::needless_pass_by_value, reason = "a test says it in the fewest words")]
    fn event(data: Value) -> EventRecord {
        serde_json::from_value(json!({"id": "a", "name": "x/y", "ts": 1, "data": data})).unwrap()
    }

    fn is_met(condition: &Condition, event: &EventRecord) -> bool {
        condition.is_met_by(event, |problem| panic!("{problem}")).unwrap()
    }

    proptest! {
        #[test]
        fn an_event_that_meets_an_equality_has_its_term(user in any::<i64>(), name in ".{0,20}") {
            let name = &name;
            let event = event(json!({"user": user, "deep": [{"name": name}]}));
            for condition in [Condition::any().on("user", user), Condition::any().on("deep.0.name", name.as_str()), Condition::any()] {
                let (path, term) = condition.indexed();
                prop_assert_eq!(terms(&event, &[path.to_owned()]), vec![term]);
                prop_assert!(is_met(&condition, &event));
            }
        }
    }

    #[test]
    fn every_equality_must_hold() {
        let event = event(json!({"user": 7, "plan": "pro"}));

        assert!(is_met(&Condition::any().on("user", 7).on("plan", "pro"), &event));
        assert!(!is_met(&Condition::any().on("user", 7).on("plan", "free"), &event));
    }

    #[test]
    fn numbers_are_equal_whichever_way_they_are_written() {
        assert!(is_met(&Condition::any().on("n", 7), &event(json!({"n": 7.0}))));
        assert_eq!(term("n", &json!(7)), term("n", &json!(7.0)));
        assert!(!is_met(&Condition::any().on("n", 7), &event(json!({"n": "7"}))));
    }

    #[test]
    fn a_missing_field_equals_nothing() {
        assert!(!is_met(&Condition::any().on("n", Value::Null), &event(json!({}))));
        assert_eq!(terms(&event(json!({})), &["data.n".to_owned()]), [""]);
    }

    #[test]
    fn an_event_that_is_left_out_does_not_meet_it() {
        let condition = Condition::any().except(EventId::new("a").unwrap());

        assert!(!is_met(&condition, &event(json!({}))));
    }

    #[test]
    fn equalities_of_an_expression_are_indexed() {
        let condition = Condition::any()
            .when("event.data.user == async.data.user && async.data.ok == true", json!({"data": {"user": 7}}))
            .unwrap();

        assert_eq!(condition, Condition::any().on("user", 7).on("ok", true));
    }

    #[cfg(feature = "cel")]
    #[test]
    fn an_event_that_is_typed_as_the_expression_is_not_does_not_meet_it_and_the_problem_is_told() {
        let condition = Condition::any().when("async.data.amount > 100", json!({})).unwrap();
        let mut problems = Vec::new();
        let mut is_met = |amount: Value| {
            let event = event(json!({ "amount": amount }));
            condition.is_met_by(&event, |problem| problems.push(problem.to_string())).unwrap()
        };

        assert_eq!((is_met(json!(101)), is_met(Value::Null), is_met(json!("many"))), (true, false, false));
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].contains("async.data.amount > 100"), "{problems:?}");
    }

    #[test]
    fn an_expression_that_cannot_be_read_is_an_error_and_not_false() {
        let when = When { expression: "this is no expression at all (".to_owned(), event: Value::Null };
        let condition = Condition { when: Some(when), ..Condition::any() };

        assert!(condition.is_met_by(&event(json!({})), |_| {}).is_err());
    }

    #[test]
    fn a_reference_reads_back() {
        let wait = WaitRef { queue: "fn/onboard".parse().unwrap(), run: JobId::stored("r1"), entry: 3 };

        assert_eq!(wait.to_string().parse::<WaitRef>().unwrap(), wait);
        assert!("fn/onboard r1".parse::<WaitRef>().is_err());
    }
}
