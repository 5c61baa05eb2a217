//! From an error to an exit code.
