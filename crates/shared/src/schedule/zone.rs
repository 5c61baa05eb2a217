//! Time zones, by the names of the IANA database.

use std::fmt;

use jiff::tz::{self, TimeZone};
use serde::{Deserialize, Serialize};

use crate::Error;

/// A time zone such as `Europe/Berlin`; default `UTC`.
///
/// The name is what is kept. What it means is read from the database of the machine that looks, so that new rules of a
/// country hold as soon as the machine has them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone {
    name: String,
    zone: TimeZone,
}

impl Zone {
    /// Takes a zone by its name; capitals do not matter.
    ///
    /// # Errors
    /// [`Error::Zone`] for a name the database does not have.
    pub fn new(name: &str) -> Result<Self, Error> {
        match tz::db().get(name) {
            Ok(zone) => {
                let name = zone.iana_name().unwrap_or(name).to_owned();
                Ok(Self { name, zone })
            }
            Err(_) => Err(Error::Zone { name: name.to_owned(), problem: problem(name) }),
        }
    }

    /// Coordinated universal time.
    pub fn utc() -> Self {
        Self { name: "UTC".to_owned(), zone: TimeZone::UTC }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// Its rules.
    pub fn rules(&self) -> &TimeZone {
        &self.zone
    }
}

/// What to say of a name that is not known; names a place that only lacks its area.
fn problem(name: &str) -> String {
    if tz::db().is_definitively_empty() {
        return "cannot be looked up: this machine has no time zone database; install tzdata, or build with the feature \
                `bundled-zones`"
            .to_owned();
    }
    let place = format!("/{}", name.replace(' ', "_").to_ascii_lowercase());
    let meant = tz::db().available().find(|known| known.as_str().to_ascii_lowercase().ends_with(&place));
    match meant {
        Some(meant) => format!("is not known; {meant} is"),
        None => "is not known; write it like Europe/Berlin or UTC".to_owned(),
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self::utc()
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl std::str::FromStr for Zone {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::new(name)
    }
}

impl TryFrom<String> for Zone {
    type Error = Error;

    fn try_from(name: String) -> Result<Self, Error> {
        Self::new(&name)
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_found_whatever_its_capitals() {
        assert_eq!(Zone::new("europe/berlin").unwrap().as_str(), "Europe/Berlin");
        assert_eq!(Zone::new("UTC").unwrap(), Zone::utc());
    }

    #[test]
    fn a_place_without_its_area_is_refused_with_the_whole_name() {
        assert_eq!(
            Zone::new("Berlin").unwrap_err().to_string(),
            "time zone \"Berlin\" is not known; Europe/Berlin is"
        );
        assert!(
            Zone::new("Middle-earth/Shire").unwrap_err().to_string().contains("write it like Europe/Berlin")
        );
    }
}
