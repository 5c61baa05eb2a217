//! What a stage stands on: the servers, and the ways to them.

use ergate_rig::RedisServer;

mod several;
pub mod wired;

/// Servers that a stage's workers and producers use.
///
/// A scenario with another topology, or with a network that fails, implements this for what it starts.
pub trait Ground: 'static {
    /// Where the stage's own client finds Redis, by a way that never fails by itself.
    fn url(&self) -> String;

    /// Where the process `member` finds it; each is asked once, when the process starts.
    fn url_for(&mut self, member: &str) -> String {
        let _ = member;
        self.url()
    }
}

impl Ground for RedisServer {
    fn url(&self) -> String {
        RedisServer::url(self)
    }
}
