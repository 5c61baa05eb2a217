//! unique
