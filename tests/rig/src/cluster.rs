//! Three masters that share the slots of a cluster, alone or each with a replica.

use super::{redis::RedisServer, sentinel::follows, until::until};

mod slots;

const SLOTS: [(&str, &str); 3] = [("0", "5460"), ("5461", "10922"), ("10923", "16383")];

/// A running cluster. Dropped, its nodes are killed.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts three masters and returns once each of them calls the cluster whole.
    pub async fn start() -> Self {
        let mut nodes = Vec::new();
        for (epoch, (first, last)) in SLOTS.iter().enumerate() {
            let node = start_node().await;
            // Two nodes with one epoch would first have to settle who is newer.
            node.ask::<()>(&["CLUSTER", "SET-CONFIG-EPOCH", &(epoch + 1).to_string()]).await;
            node.ask::<()>(&["CLUSTER", "ADDSLOTSRANGE", first, last]).await;
            nodes.push(node);
        }
        for node in &nodes[1..] {
            meet(&nodes[0], node).await;
        }
        let cluster = Self { nodes };
        cluster.whole().await;
        cluster
    }

    /// Starts three masters and a replica of each, and returns once these are in step.
    pub async fn with_replicas() -> Self {
        let mut cluster = Self::start().await;
        for master in 0..SLOTS.len() {
            let replica = start_node().await;
            meet(&cluster.nodes[0], &replica).await;
            let id = cluster.nodes[master].ask::<String>(&["CLUSTER", "MYID"]).await;
            until("the replica has heard of its master", async || {
                replica.try_ask::<()>(&["CLUSTER", "REPLICATE", &id]).await.is_ok()
            })
            .await;
            until("the replica is in step", async || follows(&replica, &cluster.nodes[master]).await).await;
            cluster.nodes.push(replica);
        }
        cluster.whole().await;
        let count = cluster.nodes.len();
        for node in &cluster.nodes {
            until("all know the replicas", async || {
                let known = node.try_ask::<String>(&["CLUSTER", "NODES"]).await.unwrap_or_default();
                known.lines().count() == count
                    && known.lines().filter(|line| line.contains("slave")).count() == SLOTS.len()
            })
            .await;
        }
        cluster
    }

    /// The addresses of all nodes; any of them is enough for a client to find the others.
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(RedisServer::url).collect()
    }

    /// The nodes: the three that began as masters, in the order of their slots, then their replicas.
    pub fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    /// A node to kill and restart, by its place among them.
    pub fn node(&mut self, index: usize) -> &mut RedisServer {
        &mut self.nodes[index]
    }

    /// The node that served `key` at the start.
    pub async fn node_of(&mut self, key: &str) -> &mut RedisServer {
        let slot: usize = self.nodes[0].ask(&["CLUSTER", "KEYSLOT", key]).await;
        let owner = SLOTS.iter().position(|(_, last)| last.parse().is_ok_and(|last: usize| slot <= last));
        self.node(owner.expect("every slot is served"))
    }

    /// Waits until every node that runs sees all slots served by three masters.
    pub async fn whole(&self) {
        for node in self.nodes.iter().filter(|node| node.is_running()) {
            until("the cluster is whole", async || {
                let info = node.try_ask::<String>(&["CLUSTER", "INFO"]).await.unwrap_or_default();
                info.contains("cluster_state:ok") && info.contains("cluster_size:3")
            })
            .await;
        }
    }
}

async fn start_node() -> RedisServer {
    RedisServer::options()
        .config("cluster-enabled", "yes")
        .config("cluster-node-timeout", "2000")
        .config("cluster-replica-validity-factor", "0")
        .config("repl-diskless-sync-delay", "0")
        .start()
        .await
}

async fn meet(first: &RedisServer, other: &RedisServer) {
    first.ask::<()>(&["CLUSTER", "MEET", "127.0.0.1", &other.port().to_string()]).await;
}
