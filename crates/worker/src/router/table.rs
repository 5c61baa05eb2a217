//! Which functions an event starts: the registry of functions as it was last read, by event name.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use ergate_shared::{
    EventName, EventPattern, EventRecord, Expression, FunctionName, FunctionSpec, Trigger, expression::Scope,
    function::StartRules,
};

#[derive(Debug, Default)]
pub(super) struct Table {
    /// The version of the registry it was read at.
    version: u64,
    by_name: HashMap<String, Vec<Rule>>,
    patterns: Vec<(EventPattern, Rule)>,
}

#[derive(Debug, Clone)]
struct Rule {
    function: Arc<FunctionSpec>,
    condition: Option<String>,
}

/// What an event starts.
#[derive(Debug, Default)]
pub(super) struct Starts {
    pub(super) functions: BTreeMap<FunctionName, (Arc<FunctionSpec>, StartRules)>,
    /// Conditions that came to neither true nor false, and options that came to nothing, in words.
    pub(super) problems: Vec<String>,
    /// Whether one of them is in a language this build does not know, so that another router has to see to the event.
    pub(super) is_beyond_us: bool,
}

impl Table {
    pub(super) fn new(version: u64, functions: &BTreeMap<FunctionName, FunctionSpec>) -> Self {
        let mut table = Self { version, ..Self::default() };
        let is_newest = |function: &&FunctionSpec| {
            let base = function.name.base();
            functions.values().all(|other| other.name.base() != base || other.version <= function.version)
        };
        for function in functions.values().filter(is_newest).cloned().map(Arc::new) {
            for trigger in &function.triggers {
                let Trigger::Event { event, r#if } = trigger else { continue };
                let rule = Rule { function: Arc::clone(&function), condition: r#if.clone() };
                match event.name() {
                    Some(name) => table.by_name.entry(name.to_owned()).or_default().push(rule),
                    None => table.patterns.push((event.clone(), rule)),
                }
            }
        }
        table
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// The functions an event starts, each once however many of its triggers mean it.
    pub(super) fn starts(&self, event: &EventRecord) -> Starts {
        let mut starts = Starts::default();
        let rules: Vec<&Rule> = self.of(&event.name).collect();
        if rules.is_empty() {
            return starts;
        }
        let value = event.to_value();
        for Rule { function, condition } in rules {
            if starts.functions.contains_key(&function.name) {
                continue;
            }
            let problem = |problem: &dyn std::fmt::Display| format!("function {}: {problem}", function.name);
            let meant = match condition {
                None => true,
                Some(condition) => match Expression::cached(condition) {
                    Err(error) => {
                        starts.is_beyond_us = true;
                        starts.problems.push(problem(&error));
                        false
                    }
                    Ok(condition) => {
                        condition.holds(&Scope { event: &value, other: None }).unwrap_or_else(|error| {
                            starts.problems.push(problem(&error));
                            false
                        })
                    }
                },
            };
            if !meant {
                continue;
            }
            match function.options.rules(event) {
                Ok(rules) => {
                    starts.problems.extend(rules.problems.iter().map(|what| problem(what)));
                    starts.functions.insert(function.name.clone(), (Arc::clone(function), rules));
                }
                Err(error) => {
                    starts.is_beyond_us = true;
                    starts.problems.push(problem(&error));
                }
            }
        }
        starts
    }

    fn of(&self, name: &EventName) -> impl Iterator<Item = &Rule> {
        let named = self.by_name.get(name.as_str()).into_iter().flatten();
        let alike = self.patterns.iter().filter(|(pattern, _)| pattern.matches(name)).map(|(_, rule)| rule);
        named.chain(alike)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A function, and the events that start it with their conditions.
    type Declared<'a> = (&'a str, &'a [(&'a str, Option<&'a str>)]);

    fn table(functions: &[Declared<'_>]) -> Table {
        let functions = functions.iter().map(|(name, triggers)| {
            let name = FunctionName::new((*name).to_owned()).unwrap();
            let mut spec = FunctionSpec::new(name.clone());
            spec.version = name.as_str().split_once('@').map_or(1, |(_, version)| version.parse().unwrap());
            for (event, condition) in *triggers {
                spec = spec.trigger(Trigger::Event {
                    event: event.parse().unwrap(),
                    r#if: condition.map(str::to_owned),
                });
            }
            (name, spec)
        });
        Table::new(1, &functions.collect())
    }

    fn event(name: &str) -> EventRecord {
        serde_json::from_str(&format!(r#"{{"id":"a","name":"{name}","ts":1,"data":{{"plan":"pro"}}}}"#))
            .unwrap()
    }

    fn started(table: &Table, name: &str) -> Vec<String> {
        table.starts(&event(name)).functions.keys().map(ToString::to_string).collect()
    }

    #[test]
    fn an_event_starts_functions_by_name_and_by_beginning() {
        let table = table(&[
            ("one", &[("app/user.created", None)]),
            ("two", &[("app/*", None)]),
            ("three", &[("shop/*", None)]),
        ]);

        assert_eq!(started(&table, "app/user.created"), ["one", "two"]);
        assert_eq!(started(&table, "app/other"), ["two"]);
    }

    #[test]
    fn a_function_with_two_triggers_that_mean_it_starts_once() {
        let table = table(&[("one", &[("app/x", None), ("app/*", None)])]);

        assert_eq!(started(&table, "app/x"), ["one"]);
    }

    #[test]
    fn the_newest_version_is_started() {
        let table =
            table(&[("one", &[("app/x", None)]), ("one@2", &[("app/y", None)]), ("two", &[("app/x", None)])]);

        assert_eq!(
            (started(&table, "app/x"), started(&table, "app/y")),
            (vec!["two".to_owned()], vec!["one@2".to_owned()])
        );
    }

    #[test]
    fn a_condition_decides() {
        let table = table(&[
            ("pro", &[("app/x", Some("event.data.plan == 'pro'"))]),
            ("free", &[("app/x", Some("event.data.plan == 'free'"))]),
        ]);

        assert_eq!(started(&table, "app/x"), ["pro"]);
    }

    #[test]
    fn a_condition_this_build_cannot_read_is_left_to_another() {
        let table = table(&[("one", &[("app/x", Some("this is no expression at all ("))])]);

        let starts = table.starts(&event("app/x"));

        assert!(starts.is_beyond_us && starts.functions.is_empty());
        assert!(starts.problems[0].starts_with("function one: expression"));
    }
}
