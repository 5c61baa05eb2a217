//! A single server, and to each process a wire of its own that fails when told to.

use std::collections::BTreeMap;

use ergate_rig::{Proxy, RedisServer};

use super::Ground;

/// See the module.
#[derive(Debug)]
pub struct Wired {
    server: RedisServer,
    wires: BTreeMap<String, Proxy>,
}

impl Wired {
    /// Without any process yet.
    pub fn to(server: RedisServer) -> Self {
        Self { server, wires: BTreeMap::new() }
    }

    /// The wire of a process.
    pub fn wire(&self, member: &str) -> &Proxy {
        &self.wires[member]
    }
}

impl Ground for Wired {
    fn url(&self) -> String {
        self.server.url()
    }

    fn url_for(&mut self, member: &str) -> String {
        let wire = Proxy::to(&self.server);
        let url = wire.url().to_owned();
        self.wires.insert(member.to_owned(), wire);
        url
    }
}
