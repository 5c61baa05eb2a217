//! Which events a trigger means: one name, or all names that begin alike.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Error, EventName};

/// The name of an event, or its beginning and a star: `app/user.created`, `app/user.*`, `app/*`, `*`.
///
/// A star alone does not mean Ergate's own events: a function started by the end of any function would start itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventPattern {
    text: String,
}

impl EventPattern {
    /// Checks and takes a pattern.
    ///
    /// # Errors
    /// [`Error::Name`] if it is no event name, or has a star elsewhere than at its end behind `/` or `.`.
    pub fn new(text: impl Into<String>) -> Result<Self, Error> {
        let text = text.into();
        if let Some(start) = text.strip_suffix('*') {
            if !start.is_empty() {
                if !start.ends_with(['/', '.']) {
                    let problem = "has a star that does not follow / or .".to_owned();
                    return Err(Error::Name { what: "event pattern", value: text, problem });
                }
                EventName::new(start.to_owned())?;
            }
        } else {
            EventName::new(text.clone())?;
        }
        Ok(Self { text })
    }

    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The one name it means; `None` if it means several.
    pub fn name(&self) -> Option<&str> {
        (!self.text.ends_with('*')).then_some(&self.text)
    }

    /// Whether it means events of this name.
    pub fn matches(&self, name: &EventName) -> bool {
        match self.text.strip_suffix('*') {
            None => self.text == name.as_str(),
            Some("") => !name.is_reserved(),
            Some(start) => name.as_str().starts_with(start),
        }
    }
}

impl fmt::Display for EventPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for EventPattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::new(text)
    }
}

impl TryFrom<String> for EventPattern {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        Self::new(text)
    }
}

impl From<EventName> for EventPattern {
    fn from(name: EventName) -> Self {
        Self { text: name.into() }
    }
}

impl From<EventPattern> for String {
    fn from(pattern: EventPattern) -> Self {
        pattern.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        EventPattern::new(pattern).unwrap().matches(&EventName::new(name.to_owned()).unwrap())
    }

    #[test]
    fn a_pattern_means_names_that_begin_as_it_does() {
        for (pattern, name, meant) in [
            ("app/user.created", "app/user.created", true),
            ("app/user.created", "app/user.created.twice", false),
            ("app/user.*", "app/user.created", true),
            ("app/user.*", "app/users", false),
            ("app/*", "app/user.created", true),
            ("*", "app/user.created", true),
            ("*", "ergate/function.finished", false),
            ("ergate/*", "ergate/function.finished", true),
        ] {
            assert_eq!(matches(pattern, name), meant, "{pattern} {name}");
        }
    }

    #[test]
    fn a_star_elsewhere_is_refused() {
        for pattern in ["app*", "*/user", "a/*/b", "app/us*", ""] {
            assert!(EventPattern::new(pattern).is_err(), "{pattern}");
        }
    }
}
