//! Order within a queue.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::Error;

/// Order within a queue, 1..=10; a lower number runs sooner. The default is 5.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Priority(u8);

#[allow(non_upper_case_globals, reason = "they read as the variants of an enum")]
impl Priority {
    /// 1: before everything else.
    pub const Highest: Self = Self(1);
    /// 3.
    pub const High: Self = Self(3);
    /// 5, the default; the only one that costs Redis no sorted set.
    pub const Normal: Self = Self(5);
    /// 7.
    pub const Low: Self = Self(7);
    /// 10: when nothing else waits.
    pub const Lowest: Self = Self(10);

    /// Takes a number from 1 (first) to 10 (last).
    ///
    /// # Errors
    /// [`Error::Priority`] outside that range.
    pub const fn new(number: i64) -> Result<Self, Error> {
        match number {
            1..=10 => Ok(Self(number as u8)),
            _ => Err(Error::Priority(number)),
        }
    }

    /// The number, 1..=10.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl Default for Priority {
    fn default() -> Self {
        Self::Normal
    }
}

impl fmt::Debug for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for Priority {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text.parse::<i64>() {
            Ok(number) => Self::new(number),
            Err(_) => Err(Error::Name {
                what: "priority",
                value: text.to_owned(),
                problem: "is not a number from 1 to 10".to_owned(),
            }),
        }
    }
}

impl TryFrom<i64> for Priority {
    type Error = Error;

    fn try_from(number: i64) -> Result<Self, Error> {
        Self::new(number)
    }
}

impl From<Priority> for i64 {
    fn from(priority: Priority) -> Self {
        i64::from(priority.0)
    }
}
