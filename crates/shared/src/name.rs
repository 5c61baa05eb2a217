//! Names people choose: of queues, jobs, events, functions and namespaces. Checked once, where they enter.

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::Error;

/// The longest name, in bytes.
pub const LONGEST_NAME: usize = 128;

/// What comes between the name of a function and its version, if that is not the first: `onboard@2`.
const VERSION_MARK: char = '@';

/// Functions may, and the queues of their runs.
fn may_have_version(what: &str) -> bool {
    matches!(what, "function name" | "queue name")
}

fn check(what: &'static str, value: &str) -> Result<(), Error> {
    let problem = if value.is_empty() {
        Some("is empty".to_owned())
    } else if value.len() > LONGEST_NAME {
        Some(format!("has {} bytes, the most is {LONGEST_NAME}", value.len()))
    } else {
        value
            .chars()
            .find(|c| {
                let is_plain = c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':');
                !(is_plain || *c == VERSION_MARK && may_have_version(what))
            })
            .map(|c| format!("has the character {c:?}; letters, digits and - _ . / : are allowed"))
    };
    match problem {
        None => Ok(()),
        Some(problem) => Err(Error::Name { what, value: value.chars().take(40).collect(), problem }),
    }
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident = $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Cow<'static, str>);

        impl $name {
            /// Checks and takes a name.
            ///
            /// # Errors
            /// [`Error::Name`] if it is empty, over 128 bytes, or has a character other than letters, digits, `-_./:`.
            pub fn new(name: impl Into<Cow<'static, str>>) -> Result<Self, Error> {
                let name = name.into();
                check($what, &name)?;
                Ok(Self(name))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                Self::new(text.to_owned())
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;

            fn try_from(text: String) -> Result<Self, Error> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.into_owned()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }
    )*};
}

names! {
    /// The name of a queue.
    QueueName = "queue name";
    /// The name of a job type, such as `send-welcome`.
    JobName = "job name";
    /// The name of an event, such as `app/user.created`; those that begin with `ergate/` or `inngest/` are Ergate's own.
    EventName = "event name";
    /// The name of a durable function, such as `onboard`; of version 2 of it `onboard@2`.
    FunctionName = "function name";
    /// The name of a key that limits are kept by, such as `account`.
    KeyName = "key name";
    /// The name of a schedule, such as `nightly`.
    ScheduleName = "schedule name";
    /// What every Redis key of one Ergate installation begins with; default `ergate`.
    Namespace = "namespace";
}

impl EventName {
    /// Whether events of this name are made by Ergate itself, so that nobody else may send them.
    pub fn is_reserved(&self) -> bool {
        ["ergate/", "inngest/"].iter().any(|prefix| self.0.starts_with(prefix))
    }
}

impl FunctionName {
    /// The name without a version.
    #[must_use]
    pub fn base(&self) -> Self {
        match self.0.split_once(VERSION_MARK) {
            Some((base, _)) => Self(Cow::Owned(base.to_owned())),
            None => self.clone(),
        }
    }

    /// The name of this version; that of version 1 is the name itself.
    ///
    /// # Errors
    /// [`Error::Name`] if it is longer than a name may be.
    pub fn of_version(&self, version: u32) -> Result<Self, Error> {
        match version {
            1 => Ok(self.base()),
            _ => Self::new(format!("{}{VERSION_MARK}{version}", self.base())),
        }
    }

    /// Whether it names a version other than the first.
    pub fn has_version(&self) -> bool {
        self.0.contains(VERSION_MARK)
    }

    /// The queue whose jobs are the function's runs.
    pub fn queue(&self) -> QueueName {
        QueueName(Cow::Owned(format!("fn/{self}")))
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self(Cow::Borrowed("ergate"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_space_is_refused_and_named() {
        let error = QueueName::new("a b").unwrap_err().to_string();

        assert_eq!(
            error,
            "queue name \"a b\" has the character ' '; letters, digits and - _ . / : are allowed"
        );
    }

    #[test]
    fn a_later_version_of_a_function_has_a_name_and_a_queue_of_its_own() {
        let onboard = FunctionName::new("onboard").unwrap();

        let second = onboard.of_version(2).unwrap();

        assert_eq!((second.as_str(), second.queue().as_str()), ("onboard@2", "fn/onboard@2"));
        assert_eq!((second.base(), second.of_version(1).unwrap()), (onboard.clone(), onboard));
        assert!(EventName::new("a@2").is_err() && KeyName::new("a@2").is_err());
    }

    #[test]
    fn an_empty_or_overlong_name_is_refused() {
        assert!(JobName::new("").unwrap_err().to_string().contains("is empty"));
        assert!(JobName::new("x".repeat(129)).unwrap_err().to_string().contains("has 129 bytes"));
    }

    #[test]
    fn braces_are_refused_since_they_would_move_a_key_to_another_slot() {
        assert!(QueueName::new("a{b}").is_err());
    }
}
