//! Ids of jobs and workers: a UUIDv7 written as 26 characters of Crockford's base 32, as ULIDs are.
//!
//! The text sorts by time of creation, and at under 31 bytes it costs Redis the same memory as the 16 raw bytes.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Error;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const LENGTH: usize = 26;
/// The longest id a caller may choose, in bytes.
pub const LONGEST_ID: usize = 128;

/// Writes a UUID as 26 characters, most significant first (Crockford's base 32, as the ULID specification has it).
fn to_text(uuid: Uuid) -> String {
    ulid_text(uuid.as_u128())
}

/// The same for any 128 bits.
pub(crate) fn ulid_text(bits: u128) -> String {
    let mut rest = bits;
    let mut text = [0_u8; LENGTH];
    for place in text.iter_mut().rev() {
        *place = ALPHABET[(rest & 31) as usize];
        rest >>= 5;
    }
    text.iter().map(|byte| char::from(*byte)).collect()
}

/// The time in the first ten characters of such a text, in ms; `None` if it is none.
pub(crate) fn ulid_ms(text: &str) -> Option<u64> {
    if text.len() != LENGTH || text.as_bytes()[0] > b'7' {
        return None;
    }
    let mut bits = 0_u128;
    for byte in text.bytes() {
        let digit = ALPHABET.iter().position(|known| *known == byte)?;
        bits = bits << 5 | digit as u128;
    }
    Some((bits >> 80) as u64)
}

/// Checks an id of the caller's own.
pub(crate) fn check_own(what: &'static str, id: &str) -> Result<(), Error> {
    let problem = if id.is_empty() {
        "is empty".to_owned()
    } else if id.len() > LONGEST_ID {
        format!("has {} bytes, the most is {LONGEST_ID}", id.len())
    } else if id.chars().any(|c| c.is_whitespace() || c.is_control()) {
        "has white space or a control character".to_owned()
    } else {
        return Ok(());
    };
    Err(Error::Name { what, value: id.chars().take(40).collect(), problem })
}

/// An own id made of what somebody else named: the text itself, or, where that may be none, as one with white space or over 128
/// bytes, `#` and its SHA-1 in hexadecimal.
pub fn own_id(text: String) -> String {
    match check_own("id", &text) {
        Ok(()) => text,
        Err(_) => format!("#{}", sha1_smol::Sha1::from(text).digest()),
    }
}

/// Identifies a job within its queue: generated, or chosen by the caller.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobId(Arc<str>);

impl JobId {
    /// Makes a new id that sorts after those made before on this machine.
    pub fn generate() -> Self {
        Self(to_text(Uuid::now_v7()).into())
    }

    /// Takes an id of the caller's own.
    ///
    /// # Errors
    /// [`Error::Name`] if it is empty, over 128 bytes, or has white space or control characters.
    pub fn new(id: impl AsRef<str>) -> Result<Self, Error> {
        let id = id.as_ref();
        check_own("job id", id)?;
        Ok(Self(id.into()))
    }

    /// Takes an id as Redis has it, even one that [`new`](Self::new) would refuse: it is there, and must be dealt with.
    pub fn stored(id: impl AsRef<str>) -> Self {
        Self(id.as_ref().into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// So that maps by id can be asked with text.
impl std::borrow::Borrow<str> for JobId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for JobId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::new(text)
    }
}

impl TryFrom<String> for JobId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        Self::new(text)
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> Self {
        id.0.as_ref().to_owned()
    }
}

/// Identifies one worker's stay in one queue; never used again once its lease has run out.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId(Arc<str>);

impl WorkerId {
    /// Makes a new id.
    pub fn generate() -> Self {
        Self(to_text(Uuid::now_v7()).into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The token for everything leased by this worker's call number `call`: what fences off late settles.
    ///
    /// It has 65 bytes: with a value of more than 64, Redis keeps a hash as a table from the first entry on, and not as a list
    /// that every look-up walks through. `leased` is a small hash that is looked up in three times per job.
    pub fn token(&self, call: u64) -> String {
        format!("{}.{call:038}", self.0)
    }

    /// Whose token this is.
    pub fn of_token(token: &str) -> Self {
        Self(token.split('.').next().unwrap_or(token).into())
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_ids_sort_in_the_order_they_were_made() {
        let ids: Vec<_> = (0..1000).map(|_| JobId::generate()).collect();

        assert!(ids.is_sorted());
        assert!(ids.iter().all(|id| id.as_str().len() == LENGTH));
    }

    #[test]
    fn text_is_the_ulid_form_of_the_same_bits() {
        let uuid = Uuid::from_u128(u128::MAX);

        assert_eq!(to_text(uuid), "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
        assert_eq!(to_text(Uuid::nil()), "0".repeat(26));
    }

    #[test]
    fn a_token_tells_whose_it_is() {
        let worker = WorkerId::generate();

        assert_eq!(WorkerId::of_token(&worker.token(42)), worker);
        assert_eq!(worker.token(42).len(), 65);
    }

    #[test]
    fn what_somebody_else_named_is_an_id_as_it_is_or_by_its_hash() {
        assert_eq!(own_id("run/step".to_owned()), "run/step");
        for text in ["run/a step", "", &"x".repeat(129)] {
            let id = own_id(text.to_owned());
            assert!(JobId::new(&id).is_ok() && id.len() == 41, "{id}");
        }
        assert_ne!(own_id("a b".to_owned()), own_id("a c".to_owned()));
    }
}
