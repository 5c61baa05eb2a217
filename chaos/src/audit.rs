//! Whether everything in a namespace fits together: a reader of all keys, which knows what each must say about the others.

use std::fmt;

/// One thing that does not fit, in words for people; it names the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding(pub String);

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
