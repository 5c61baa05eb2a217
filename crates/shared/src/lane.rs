//! Keys of a job, which limits are kept by, and its lane: the combination of them all.
//!
//! Written as scripts read them, see `lua/lib/lane.lua`: a key as `name=value`, a lane as its keys in order of their names,
//! joined by newlines. A key is decided once, when the job is enqueued.

use std::{fmt, str::FromStr};

use serde::Serialize;

use crate::{Error, KeyName};

/// The most keys of a job.
pub const MOST_KEYS: usize = 2;
/// The most keys that options of a function give a run: two of concurrency, one each of throttle and singleton.
const MOST_OPTION_KEYS: usize = 4;
/// The longest lane, in bytes: names and values of all keys of a job, and one byte more for each.
pub const LONGEST_LANE: usize = 255;

/// What some jobs have in common, such as the account they are for: limits count by it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub struct Key {
    name: KeyName,
    value: String,
}

/// All keys of one job. Jobs with the same keys wait in one lane, in the order of their priority and time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lane(String);

impl Key {
    /// A key by name and value: `account`, `acme`.
    ///
    /// # Errors
    /// [`Error::Name`] for a name that is none, and for a value that is empty, has a control character, or is too long for a
    /// [lane](LONGEST_LANE).
    pub fn new(name: &str, value: impl Into<String>) -> Result<Self, Error> {
        let (name, value) = (name.parse::<KeyName>()?, value.into());
        let length = name.as_str().len() + 1 + value.len();
        let problem = if value.is_empty() {
            "has an empty value".to_owned()
        } else if value.chars().any(char::is_control) {
            "has a value with a control character".to_owned()
        } else if length > LONGEST_LANE {
            format!("has {length} bytes with its value, the most is {LONGEST_LANE}")
        } else {
            return Ok(Self { name, value });
        };
        Err(Error::Name { what: "key", value: name.to_string(), problem })
    }

    /// Its name, which limits are set by.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// Its value.
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.to_string()
    }
}

impl FromStr for Key {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text.split_once('=') {
            Some((name, value)) => Self::new(name, value),
            None => Err(Error::Name {
                what: "key",
                value: text.chars().take(40).collect(),
                problem: "has no value; write it like account=acme".to_owned(),
            }),
        }
    }
}

impl Lane {
    /// The lane of a job with these keys; `None` without any.
    ///
    /// # Errors
    /// [`Error::Name`] if there are more than [`MOST_KEYS`], two of one name, or all together are longer than
    /// [`LONGEST_LANE`].
    pub fn of(keys: Vec<Key>) -> Result<Option<Self>, Error> {
        Self::of_at_most(MOST_KEYS, keys)
    }

    /// The lane of a run whose function's options give it these keys, besides up to [`MOST_KEYS`] of its own.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub fn of_run(keys: Vec<Key>) -> Result<Option<Self>, Error> {
        Self::of_at_most(MOST_KEYS + MOST_OPTION_KEYS, keys)
    }

    fn of_at_most(most: usize, mut keys: Vec<Key>) -> Result<Option<Self>, Error> {
        keys.sort();
        let lane = keys.iter().map(Key::to_string).collect::<Vec<_>>().join("\n");
        let wrong = |problem| Err(Error::Name { what: "keys", value: lane.replace('\n', ", "), problem });
        if keys.len() > most {
            return wrong(format!("are {}, the most is {most}", keys.len()));
        }
        if keys.windows(2).any(|pair| pair[0].name == pair[1].name) {
            return wrong("have the same name".to_owned());
        }
        if lane.len() > LONGEST_LANE {
            return wrong(format!("have {} bytes together, the most is {LONGEST_LANE}", lane.len()));
        }
        Ok((!lane.is_empty()).then_some(Self(lane)))
    }

    /// Takes a lane as Redis has it.
    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }

    /// The lane as scripts know it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its keys, in order of their names. What no release wrote is left out.
    pub fn keys(&self) -> impl Iterator<Item = Key> {
        keys_of(&self.0)
    }
}

/// The keys of a lane as Redis has it.
pub fn keys_of(lane: &str) -> impl Iterator<Item = Key> {
    lane.split('\n').filter_map(|key| key.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, value: &str) -> Key {
        Key::new(name, value).unwrap()
    }

    #[test]
    fn the_same_keys_are_one_lane_in_whatever_order_they_are_named() {
        let one = Lane::of(vec![key("region", "eu"), key("account", "a=b")]).unwrap().unwrap();
        let other = Lane::of(vec![key("account", "a=b"), key("region", "eu")]).unwrap().unwrap();

        assert_eq!(one, other);
        assert_eq!(one.as_str(), "account=a=b\nregion=eu");
        assert_eq!(one.keys().collect::<Vec<_>>(), [key("account", "a=b"), key("region", "eu")]);
    }

    #[test]
    fn a_job_without_keys_has_no_lane() {
        assert_eq!(Lane::of(Vec::new()).unwrap(), None);
    }

    #[test]
    fn keys_that_no_lane_could_be_told_by_are_refused() {
        let problems = [
            Key::new("account", ""),
            Key::new("account", "a\nregion=eu"),
            Key::new("", "acme"),
            Key::new("a=b", "acme"),
            Key::new("account", "x".repeat(250)),
            "acme".parse(),
        ];

        assert!(problems.iter().all(Result::is_err), "{problems:?}");
    }

    #[test]
    fn a_third_key_and_a_second_of_one_name_are_refused() {
        let three = ["a", "b", "c"].map(|name| key(name, "1")).to_vec();

        assert!(Lane::of(three).unwrap_err().to_string().contains("are 3, the most is 2"));
        assert!(Lane::of(vec![key("a", "1"), key("a", "2")]).unwrap_err().to_string().contains("same name"));
    }
}
