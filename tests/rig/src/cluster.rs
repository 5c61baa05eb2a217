//! Three masters that share the slots of a cluster.

use super::{redis::RedisServer, until::until};

const SLOTS: [(&str, &str); 3] = [("0", "5460"), ("5461", "10922"), ("10923", "16383")];

/// A running cluster. Dropped, its nodes are killed.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts the nodes and returns once each of them calls the cluster whole.
    pub async fn start() -> Self {
        let mut nodes = Vec::new();
        for (epoch, (first, last)) in SLOTS.iter().enumerate() {
            let options = RedisServer::options()
                .config("cluster-enabled", "yes")
                .config("cluster-node-timeout", "2000");
            let node = options.start().await;
            // Two nodes with one epoch would first have to settle who is newer.
            node.ask::<()>(&["CLUSTER", "SET-CONFIG-EPOCH", &(epoch + 1).to_string()]).await;
            node.ask::<()>(&["CLUSTER", "ADDSLOTSRANGE", first, last]).await;
            nodes.push(node);
        }
        for node in &nodes[1..] {
            nodes[0].ask::<()>(&["CLUSTER", "MEET", "127.0.0.1", &node.port().to_string()]).await;
        }
        let cluster = Self { nodes };
        cluster.whole().await;
        cluster
    }

    /// The addresses of all nodes; any of them is enough for a client to find the others.
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(RedisServer::url).collect()
    }

    /// The three nodes, in the order of their slots.
    pub fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    /// A node to kill and restart; the slots are in order, a third on each.
    pub fn node(&mut self, index: usize) -> &mut RedisServer {
        &mut self.nodes[index]
    }

    /// The node that serves `key`.
    pub async fn node_of(&mut self, key: &str) -> &mut RedisServer {
        let slot: usize = self.nodes[0].ask(&["CLUSTER", "KEYSLOT", key]).await;
        let owner = SLOTS.iter().position(|(_, last)| last.parse().is_ok_and(|last: usize| slot <= last));
        self.node(owner.expect("every slot is served"))
    }

    /// Waits until every node sees all three and all slots served.
    pub async fn whole(&self) {
        for node in &self.nodes {
            until("the cluster is whole", async || {
                let info = node.try_ask::<String>(&["CLUSTER", "INFO"]).await.unwrap_or_default();
                info.contains("cluster_state:ok") && info.contains("cluster_size:3")
            })
            .await;
        }
    }
}
