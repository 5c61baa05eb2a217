//! Locks of what several threads share, named here so that `tests/interleave` can put others in their stead, which try many orders.

pub(crate) use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
