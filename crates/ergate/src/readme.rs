//! The snippets of README.md and of the guides, compiled as documentation tests.
#![doc = include_str!("../../../README.md")]
#![doc = include_str!("../../../docs/functions.md")]
