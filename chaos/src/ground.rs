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

    /// Bytes that all servers use for data; `None` if that says nothing here.
    fn used_memory(&self) -> impl Future<Output = Option<u64>> {
        async { None }
    }
}

impl Ground for RedisServer {
    fn url(&self) -> String {
        RedisServer::url(self)
    }

    async fn used_memory(&self) -> Option<u64> {
        let info: String = self.try_ask(&["INFO", "memory"]).await.ok()?;
        info.lines().find_map(|line| line.strip_prefix("used_memory:"))?.trim().parse().ok()
    }
}
