//! What a function's options come to for the start of one run: decided once, from the event that starts it.

use serde_json::Value;
use sha1_smol::Sha1;

use super::{FunctionOptions, SingletonMode};
use crate::{
    Condition, Error, EventName, EventRecord, Key, KeyName,
    expression::{Formula, canonical},
    run::LONGEST_SLEEP,
};

/// The name of the key that a throttle counts by. A run has it until it has begun: see `lua/lib/throttle.lua`.
pub const THROTTLE: &str = "fn/throttle";
/// The name of the key by which a singleton that replaces another waits until that has ended.
const SINGLETON: &str = "fn/singleton";
/// The value of a key that was not declared: all runs have it.
const ALL: &str = "all";
/// The longest value of a key as it is, in bytes: four of them fit into a lane. A longer one is hashed.
const LONGEST_VALUE: usize = 48;
/// How long an idempotency key counts.
const IDEMPOTENCY_MS: u64 = 24 * 60 * 60 * 1000;
/// The most seconds a run is moved ahead or back.
const MOST_AHEAD: f64 = 600.0;

/// Whether keys of this name are made from options of functions, and by nobody else.
pub fn is_reserved(key: &KeyName) -> bool {
    key.as_str().starts_with(super::QUEUE_PREFIX)
}

/// The name of the key that the limit at this place, from 0, counts by.
pub const fn concurrency_key(place: usize) -> &'static str {
    if place == 0 { "fn/concurrency" } else { "fn/concurrency:2" }
}

/// What applies to the start of one run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StartRules {
    /// The keys that limits of the queue count it by.
    pub keys: Vec<Key>,
    /// The windows in which only so many runs start; it is dropped if one is full.
    pub windows: Vec<Window>,
    /// What it does to runs that are there.
    pub gate: Gate,
    /// By how many ms it is moved ahead in the queue; `None` if the function has no priorities.
    pub ahead_ms: Option<i64>,
    /// After how many ms it is a dead letter if it has not begun.
    pub expires_ms: Option<u64>,
    /// Events that cancel it.
    pub cancels: Vec<Cancel>,
    /// Expressions that came to nothing, in words; they count as `null`.
    pub problems: Vec<String>,
}

/// Only so many runs start within a period that begins with the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// What it is kept under.
    pub key: String,
    /// Starts within the period.
    pub limit: u32,
    /// The period, in ms.
    pub period_ms: u64,
}

/// Events that cancel one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Cancel {
    /// Their name.
    pub event: EventName,
    /// What they must be like.
    pub condition: Condition,
    /// For how many ms they count.
    pub within_ms: u64,
}

/// What the start of a run does to others that are there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Gate {
    /// Nothing.
    #[default]
    Open,
    /// It puts off the one that waits, and takes its place.
    Debounce {
        /// What they have in common.
        key: String,
        /// By how many ms.
        period_ms: u64,
        /// Until how many ms after the first.
        most_ms: Option<u64>,
    },
    /// Its event joins the one that waits.
    Batch {
        /// What they have in common.
        key: String,
        /// How many events start the run at once.
        size: u32,
        /// How long the first waits, in ms.
        timeout_ms: u64,
    },
    /// It is dropped if another is there.
    Skip {
        /// What they have in common.
        key: String,
    },
    /// It cancels the other.
    Cancel {
        /// What they have in common.
        key: String,
    },
}

impl FunctionOptions {
    /// What applies to a run that this event starts.
    ///
    /// # Errors
    /// [`Error::Expression`] if an expression cannot be read by this build; another may.
    pub fn rules(&self, event: &EventRecord) -> Result<StartRules, Error> {
        if self.is_empty() {
            return Ok(StartRules::default());
        }
        let mut reader = Reader { event: event.to_value(), problems: Vec::new() };
        let mut rules = StartRules { expires_ms: self.start_timeout_ms, ..StartRules::default() };
        for (place, per) in self.concurrency_per.iter().enumerate() {
            rules.keys.push(Key::new(concurrency_key(place), reader.key(Some(&per.key))?)?);
        }
        if let Some(throttle) = &self.throttle {
            rules.keys.push(Key::new(THROTTLE, reader.key(throttle.key.as_ref())?)?);
        }
        // Names that no key of a job can have.
        if let Some(expression) = &self.idempotency {
            let key = format!("@once={}", reader.key(Some(expression))?);
            rules.windows.push(Window { key, limit: 1, period_ms: IDEMPOTENCY_MS });
        }
        if let Some(rate) = &self.rate_limit {
            let key = format!("@rate={}", reader.key(rate.key.as_ref())?);
            rules.windows.push(Window { key, limit: rate.limit, period_ms: rate.period_ms });
        }
        if let Some(debounce) = &self.debounce {
            let key = format!("debounce:{}", reader.key(debounce.key.as_ref())?);
            rules.gate = Gate::Debounce { key, period_ms: debounce.period_ms, most_ms: debounce.most_ms };
            rules.expires_ms = rules.expires_ms.map(|ms| ms + debounce.period_ms);
        }
        if let Some(batch) = self.batch.as_ref().filter(|batch| batch.size > 1) {
            let key = format!("@batch={}", reader.key(batch.key.as_ref())?);
            rules.gate = Gate::Batch { key, size: batch.size, timeout_ms: batch.timeout_ms };
            rules.expires_ms = rules.expires_ms.map(|ms| ms + batch.timeout_ms);
        }
        if let Some(singleton) = &self.singleton {
            let value = reader.value(singleton.key.as_ref())?;
            if value != Value::Bool(false) {
                let value = text_of(&value);
                let key = format!("singleton:{value}");
                rules.gate = match singleton.mode {
                    SingletonMode::Skip => Gate::Skip { key },
                    SingletonMode::Cancel => {
                        rules.keys.push(Key::new(SINGLETON, value)?);
                        Gate::Cancel { key }
                    }
                };
            }
        }
        if let Some(expression) = &self.priority {
            rules.ahead_ms = Some(reader.ahead_ms(expression)?);
        }
        rules.cancels = self.cancels(event)?;
        rules.problems = reader.problems;
        Ok(rules)
    }

    /// Which events cancel a run that this event starts.
    ///
    /// # Errors
    /// [`Error::Expression`] if an expression cannot be read by this build.
    pub fn cancels(&self, event: &EventRecord) -> Result<Vec<Cancel>, Error> {
        let mut cancels = Vec::new();
        for cancel in &self.cancel_on {
            let Some(condition) = cancel.condition(event)? else { continue };
            let within_ms = cancel.within_ms.unwrap_or(LONGEST_SLEEP.as_millis() as u64);
            cancels.push(Cancel { event: cancel.event.clone(), condition, within_ms });
        }
        Ok(cancels)
    }

    /// The name of the key that needs a limit of one, so that a singleton waits for the one it cancels.
    pub fn singleton_key(&self) -> Option<&'static str> {
        let cancels = self.singleton.as_ref().is_some_and(|one| one.mode == SingletonMode::Cancel);
        cancels.then_some(SINGLETON)
    }
}

struct Reader {
    event: Value,
    problems: Vec<String>,
}

impl Reader {
    fn value(&mut self, expression: Option<&String>) -> Result<Value, Error> {
        let Some(expression) = expression else { return Ok(ALL.into()) };
        Ok(Formula::cached(expression)?.value(&self.event).unwrap_or_else(|error| {
            self.problems.push(error.to_string());
            Value::Null
        }))
    }

    fn key(&mut self, expression: Option<&String>) -> Result<String, Error> {
        Ok(text_of(&self.value(expression)?))
    }

    fn ahead_ms(&mut self, expression: &String) -> Result<i64, Error> {
        let value = self.value(Some(expression))?;
        let Some(seconds) = value.as_f64() else {
            if !value.is_null() {
                self.problems.push(format!("priority {expression:?} is {value}, which is no number"));
            }
            return Ok(0);
        };
        Ok((seconds.clamp(-MOST_AHEAD, MOST_AHEAD) * 1000.0) as i64)
    }
}

/// The value of a key: a text as it is, anything else as JSON; what is too long for a lane, or has line feeds, as its hash.
fn text_of(value: &Value) -> String {
    let text = match value {
        Value::String(text) if text.is_empty() => "\"\"".to_owned(),
        Value::String(text) => text.clone(),
        other => canonical(other),
    };
    if text.len() > LONGEST_VALUE || text.chars().any(char::is_control) {
        return format!("#{}", Sha1::from(text).digest());
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Lane;

    #[allow(clippy::needless_pass_by_value, reason = "a test says it in the fewest words")]
    fn rules(options: Value, data: Value) -> StartRules {
        let options: FunctionOptions = serde_json::from_value(options).unwrap();
        assert_eq!(options.problems(), Vec::<String>::new());
        let event = json!({"id": "a", "name": "x/y", "ts": 1, "data": data});
        options.rules(&serde_json::from_value(event).unwrap()).unwrap()
    }

    #[allow(clippy::needless_pass_by_value, reason = "a test says it in the fewest words")]
    fn key(value: Value) -> String {
        let options = json!({"concurrency_per": [{"limit": 1, "key": "event.data.account"}]});
        rules(options, json!({"account": value})).keys[0].to_string()
    }

    #[test]
    fn runs_are_counted_by_the_value_of_an_expression() {
        assert_eq!(key(json!("acme")), "fn/concurrency=acme");
        assert_eq!(key(json!(7)), key(json!(7.0)));
        assert_eq!(key(json!("")), "fn/concurrency=\"\"");
        assert_eq!(key(json!("a\nb")), "fn/concurrency=#fcd127ffa1016069006ad91f3f361248f9bdf272");
        assert_ne!(key(json!("x".repeat(100))), key(json!("x".repeat(101))));
    }

    #[test]
    fn those_without_the_field_are_counted_together() {
        let options = json!({"concurrency_per": [{"limit": 1, "key": "event.data.account"}]});

        assert_eq!(rules(options, json!({})).keys[0].to_string(), "fn/concurrency=null");
    }

    #[test]
    fn all_keys_together_fit_into_a_lane() {
        let long = "x".repeat(48);
        let options = json!({
            "concurrency_per": [{"limit": 1, "key": "event.data.a"}, {"limit": 2, "key": "event.data.a"}],
            "throttle": {"limit": 1, "period_ms": 1000, "burst": 1, "key": "event.data.a"},
            "singleton": {"mode": "cancel", "key": "event.data.a"},
        });

        let keys = rules(options, json!({"a": long})).keys;

        assert_eq!(keys.len(), 4);
        assert!(Lane::of_run(keys).unwrap().is_some());
    }

    #[test]
    fn a_singleton_whose_key_is_false_is_none() {
        let options = json!({"singleton": {"mode": "skip", "key": "event.data.once"}});

        assert_eq!(rules(options.clone(), json!({"once": false})).gate, Gate::Open);
        assert_eq!(
            rules(options, json!({"once": true})).gate,
            Gate::Skip { key: "singleton:true".to_owned() }
        );
    }

    #[test]
    fn a_run_is_moved_ahead_by_ten_minutes_at_most() {
        let options = json!({"priority": "event.data.n"});
        let ahead = |n| rules(options.clone(), json!({ "n": n })).ahead_ms;

        assert_eq!(ahead(json!(120)), Some(120_000));
        assert_eq!(ahead(json!(-5.5)), Some(-5500));
        assert_eq!((ahead(json!(9e9)), ahead(json!(-9e9))), (Some(600_000), Some(-600_000)));
        assert_eq!(ahead(json!(null)), Some(0));
    }

    #[test]
    fn a_priority_that_is_no_number_is_told() {
        let rules = rules(json!({"priority": "event.data.n"}), json!({"n": "high"}));

        assert_eq!(rules.ahead_ms, Some(0));
        assert_eq!(rules.problems, ["priority \"event.data.n\" is \"high\", which is no number"]);
    }
}
