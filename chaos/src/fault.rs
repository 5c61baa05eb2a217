//! Faults: what is done to a stage. A fault is data; when it strikes and whom follows from the seed.

use std::pin::Pin;

use fastrand::Rng;

use crate::stage::Stage;

pub(crate) mod extra;
pub mod failover;
pub mod handler;
pub mod needed;
pub mod network;
pub mod producer;
pub mod server;
mod survivors;
pub mod worker;

/// What a strike comes to.
pub type Strike<'a> = Pin<Box<dyn Future<Output = anyhow::Result<()>> + 'a>>;

/// Something that is done to a stage. It notes in the stage's diary what it did, and returns once it is over and mended:
/// whatever follows then is the product's to do.
pub struct Fault<G> {
    /// Its name.
    pub name: &'static str,
    /// Does it.
    pub strike: for<'a> fn(&'a mut Stage<G>, &'a mut Rng) -> Strike<'a>,
}

impl<G> Clone for Fault<G> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<G> Copy for Fault<G> {}

impl<G> std::fmt::Debug for Fault<G> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fault").field("name", &self.name).finish_non_exhaustive()
    }
}
