//! Options of a function: how many of its runs execute, how often they start, and which starts are put off, joined,
//! dropped or cancelled. They are declared in code and kept in the registry, so that whoever starts a run applies the same.
//!
//! Keys are expressions over `event`, the event that starts the run: see [`Formula`].

use serde::{Deserialize, Serialize};

use crate::{Condition, Error, EventName, EventRecord, Expression, duration, expression::Formula};

/// The most limits on runs with equal values.
const MOST_CONCURRENCY_PER: usize = 2;
/// The most kinds of events that cancel a run.
const MOST_CANCEL_ON: usize = 5;
/// The most events of a batch.
pub const MOST_BATCH: u32 = 1000;
/// The longest period of a rate limit or throttle: a day. Within it nobody need care what time zone a day is of.
const LONGEST_PERIOD_MS: u64 = 24 * 60 * 60 * 1000;

/// How runs of a function start. Default: at once, each event a run of its own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FunctionOptions {
    /// The most of its runs that execute at once, over all workers; `None` for no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// The most that execute at once of those whose key is equal.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub concurrency_per: Vec<ConcurrencyPer>,
    /// How often runs start; what is over it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttle: Option<Throttle>,
    /// How often runs start; what is over it is dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// An expression; events for which it has the same value start one run in 24 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency: Option<String>,
    /// Starts one run once no event has come for a time, with the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debounce: Option<Debounce>,
    /// Starts one run with several events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<EventBatch>,
    /// Lets at most one run be there at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub singleton: Option<Singleton>,
    /// Events that cancel runs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cancel_on: Vec<CancelOn>,
    /// An expression whose value says by how many seconds a run is moved ahead in its queue, -600 to 600.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    /// After how many ms a run that has not begun is a dead letter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_timeout_ms: Option<u64>,
    /// After how many ms a run that has not ended is cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish_timeout_ms: Option<u64>,
}

/// A limit on how many runs with an equal key execute at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConcurrencyPer {
    /// The most at once, at least 1.
    pub limit: u32,
    /// An expression over `event`.
    pub key: String,
}

/// How often runs start; what is over it waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throttle {
    /// Starts per period, at least 1.
    pub limit: u32,
    /// The period, in ms.
    pub period_ms: u64,
    /// Starts at once after a pause.
    pub burst: u32,
    /// An expression over `event`; `None`: all runs together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// How often runs start; what is over it is dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimit {
    /// Starts within a period that begins with the first of them, at least 1.
    pub limit: u32,
    /// The period, in ms.
    pub period_ms: u64,
    /// An expression over `event`; `None`: all runs together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// One run after a burst of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Debounce {
    /// How long no event must have come, in ms.
    pub period_ms: u64,
    /// How long after the first event the run starts whatever comes, in ms; `None` for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most_ms: Option<u64>,
    /// An expression over `event`; `None`: all events together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// One run with several events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventBatch {
    /// The events with which it starts at once, 1 to [`MOST_BATCH`].
    pub size: u32,
    /// How long the first of them waits for others, in ms.
    pub timeout_ms: u64,
    /// An expression over `event`; `None`: all events together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// At most one run at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Singleton {
    /// What becomes of the other.
    pub mode: SingletonMode,
    /// An expression over `event`; `None`: all runs together. A run for which it is `false` is no singleton.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// What happens if a run is to start while another is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SingletonMode {
    /// The new one is not started.
    Skip,
    /// The old one is cancelled, and the new one starts once that has ended.
    Cancel,
}

/// Events that cancel a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelOn {
    /// Their name.
    pub event: EventName,
    /// A field that must be equal in the event that started the run and in theirs, such as `data.order`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matching: Option<String>,
    /// An expression over `event`, which started the run, and `async`, theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#if: Option<String>,
    /// For how many ms after the start they count; `None`: as long as the run is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within_ms: Option<u64>,
}

impl FunctionOptions {
    /// Whether nothing is set, so that nothing need be stored.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What is wrong with what was set, in words.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Problems::default();
        problems.at_least_one("concurrency", self.concurrency);
        if self.concurrency_per.len() > MOST_CONCURRENCY_PER {
            let count = self.concurrency_per.len();
            problems
                .add(format!("{count} limits on concurrency per key, the most is {MOST_CONCURRENCY_PER}"));
        }
        for per in &self.concurrency_per {
            problems.at_least_one("concurrency per key", Some(per.limit));
            problems.formula(Some(&per.key));
        }
        if let Some(throttle) = &self.throttle {
            problems.pace("throttle", throttle.limit.min(throttle.burst), throttle.period_ms);
            problems.formula(throttle.key.as_ref());
        }
        if let Some(rate) = &self.rate_limit {
            problems.pace("rate limit", rate.limit, rate.period_ms);
            problems.formula(rate.key.as_ref());
        }
        if let Some(debounce) = &self.debounce {
            problems.time("debounce", Some(debounce.period_ms));
            problems.time("debounce", debounce.most_ms);
            problems.formula(debounce.key.as_ref());
        }
        if let Some(batch) = &self.batch {
            if !(1..=MOST_BATCH).contains(&batch.size) {
                problems.add(format!("a batch of {} events, 1 to {MOST_BATCH} are allowed", batch.size));
            }
            problems.time("batch", Some(batch.timeout_ms));
            problems.formula(batch.key.as_ref());
            let others = [
                ("cancel_on", !self.cancel_on.is_empty()),
                ("rate_limit", self.rate_limit.is_some()),
                ("idempotency", self.idempotency.is_some()),
                ("priority", self.priority.is_some()),
            ];
            for (name, _) in others.into_iter().filter(|(_, is_set)| *is_set) {
                problems.add(format!("a batch has several events, and {name} goes by one"));
            }
        }
        let gates = [self.debounce.is_some(), self.batch.is_some(), self.singleton.is_some()];
        if gates.into_iter().filter(|is_set| *is_set).count() > 1 {
            problems.add("more than one of debounce, batch and singleton".to_owned());
        }
        problems.formula(self.singleton.as_ref().and_then(|singleton| singleton.key.as_ref()));
        problems.formula(self.idempotency.as_ref());
        problems.formula(self.priority.as_ref());
        problems.cancel_on(&self.cancel_on);
        problems.time("start time-out", self.start_timeout_ms);
        problems.time("finish time-out", self.finish_timeout_ms);
        problems.0
    }
}

impl CancelOn {
    /// What their events must be like for a run that this event started; `None` if no event can be, since the field that
    /// must match is missing.
    ///
    /// # Errors
    /// [`Error::Expression`] if the expression cannot be read by this build.
    pub fn condition(&self, event: &EventRecord) -> Result<Option<Condition>, Error> {
        let value = event.to_value();
        let mut condition = Condition::any().except(event.id.clone());
        if let Some(path) = &self.matching {
            match crate::expression::field(&value, path) {
                Some(found) => condition = condition.equal(path, found.clone()),
                None => return Ok(None),
            }
        }
        match &self.r#if {
            Some(expression) => condition.when(expression, value).map(Some),
            None => Ok(Some(condition)),
        }
    }
}

#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn add(&mut self, problem: String) {
        self.0.push(problem);
    }

    fn at_least_one(&mut self, what: &str, limit: Option<u32>) {
        if limit == Some(0) {
            self.add(format!("{what} of 0 would never start a run"));
        }
    }

    fn pace(&mut self, what: &str, limit: u32, period_ms: u64) {
        self.at_least_one(what, Some(limit));
        if !(1..=LONGEST_PERIOD_MS).contains(&period_ms) {
            self.add(format!("the period of a {what} is not within 1ms to 24h"));
        }
    }

    fn time(&mut self, what: &str, ms: Option<u64>) {
        let longest = duration::LONGEST.as_millis() as u64;
        if ms.is_some_and(|ms| ms == 0 || ms > longest) {
            self.add(format!("the time of a {what} is not within 1ms to ten years"));
        }
    }

    fn formula(&mut self, text: Option<&String>) {
        if let Some(text) = text
            && let Err(error) = Formula::compile(text)
        {
            self.add(error.to_string());
        }
    }

    fn cancel_on(&mut self, all: &[CancelOn]) {
        if all.len() > MOST_CANCEL_ON {
            self.add(format!("{} kinds of events that cancel it, the most is {MOST_CANCEL_ON}", all.len()));
        }
        for (place, one) in all.iter().enumerate() {
            // The wait for them is known by the run and the event's name.
            if all[..place].iter().any(|other| other.event == one.event) {
                self.add(format!("is cancelled by {} twice; join the conditions to one", one.event));
            }
            self.time("cancel_on", one.within_ms);
            if let Some(expression) = &one.r#if
                && let Err(error) = Expression::compile(expression)
            {
                self.add(error.to_string());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_set_is_not_written() {
        let options = FunctionOptions { concurrency: Some(3), ..FunctionOptions::default() };

        assert_eq!(serde_json::to_string(&options).unwrap(), r#"{"concurrency":3}"#);
        assert!(FunctionOptions::default().is_empty() && !options.is_empty());
    }

    #[test]
    fn what_cannot_work_is_named() {
        let options: FunctionOptions = serde_json::from_value(json!({
            "concurrency": 0,
            "throttle": {"limit": 1, "period_ms": 0, "burst": 1},
            "debounce": {"period_ms": 1},
            "singleton": {"mode": "skip"},
            "batch": {"size": 5000, "timeout_ms": 1},
            "priority": "event.",
        }))
        .unwrap();

        let problems = options.problems();

        assert_eq!(problems.len(), 6, "{problems:?}");
    }

    #[test]
    fn an_event_cancels_runs_whose_field_is_equal() {
        let event = |order| -> EventRecord {
            serde_json::from_value(json!({"id": "a", "name": "x/y", "ts": 1, "data": order})).unwrap()
        };
        let cancel = CancelOn {
            event: EventName::new("order/cancelled").unwrap(),
            matching: Some("data.order".to_owned()),
            r#if: None,
            within_ms: None,
        };

        let condition = cancel.condition(&event(json!({"order": 7}))).unwrap().unwrap();

        assert_eq!(condition, Condition::any().except(event(json!(null)).id).on("order", 7));
        assert_eq!(cancel.condition(&event(json!({}))).unwrap(), None);
    }
}
