//! Who serves which slots now: after failovers and migrations that is not as it was at the start.

use super::RedisCluster;
use crate::{sentinel::follows, until::until};

impl RedisCluster {
    /// The places of the nodes that are masters now, as the first node that runs tells it.
    pub async fn masters(&self) -> Vec<usize> {
        let nodes = self.table().await;
        let is_master = |flags: &str| flags.contains("master") && !flags.contains("fail");
        let ports = nodes.iter().filter(|(_, flags, _)| is_master(flags)).map(|(port, ..)| *port);
        ports.filter_map(|port| self.nodes.iter().position(|node| node.port() == port)).collect()
    }

    /// The place of the node that serves `key` now.
    pub async fn serves(&self, key: &str) -> usize {
        let mut found = 0;
        until("somebody serves the key", async || {
            for master in self.masters().await {
                let owned = self.nodes[master].try_ask::<Option<String>>(&["GET", key]).await;
                // A key of another type is served there too.
                if owned.map_or_else(|error| error.code() == Some("WRONGTYPE"), |_| true) {
                    found = master;
                    return true;
                }
            }
            false
        })
        .await;
        found
    }

    /// Waits until a replica has taken the place of the master at `place`, which is gone, and all slots are served.
    pub async fn taken_over(&self, place: usize) {
        let gone = self.nodes[place].port();
        until("a replica has taken over", async || {
            let masters = self.masters().await;
            masters.len() == 3 && masters.iter().all(|master| self.nodes[*master].port() != gone)
        })
        .await;
        self.whole().await;
    }

    /// Waits until every replica that runs has all the data of its master.
    pub async fn in_step(&self) {
        for (at, replica) in self.nodes.iter().enumerate().filter(|(_, node)| node.is_running()) {
            until("the replica is in step", async || {
                let masters = self.masters().await;
                if masters.contains(&at) {
                    return true;
                }
                for master in masters {
                    if follows_this(replica, &self.nodes[master]).await {
                        return true;
                    }
                }
                false
            })
            .await;
        }
    }

    /// Moves the slot of `key` to another master, as operators do it under load, and returns once everybody knows.
    pub async fn migrate(&self, key: &str, to: usize) {
        let from = self.serves(key).await;
        if from == to {
            return;
        }
        let (source, target) = (&self.nodes[from], &self.nodes[to]);
        let slot: u16 = source.ask(&["CLUSTER", "KEYSLOT", key]).await;
        let (slot, port) = (slot.to_string(), target.port().to_string());
        let source_id: String = source.ask(&["CLUSTER", "MYID"]).await;
        let target_id: String = target.ask(&["CLUSTER", "MYID"]).await;
        target.ask::<()>(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source_id]).await;
        source.ask::<()>(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target_id]).await;
        loop {
            let keys: Vec<String> = source.ask(&["CLUSTER", "GETKEYSINSLOT", &slot, "10"]).await;
            if keys.is_empty() {
                break;
            }
            let mut migrate = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "REPLACE", "KEYS"];
            migrate.extend(keys.iter().map(String::as_str));
            source.ask::<redis::Value>(&migrate).await;
        }
        for node in [target, source].into_iter().chain(&self.nodes).filter(|node| node.is_running()) {
            // A replica takes it from its master.
            let _ = node.try_ask::<()>(&["CLUSTER", "SETSLOT", &slot, "NODE", &target_id]).await;
        }
        until("the slot is served by the other", async || self.serves(key).await == to).await;
    }

    /// Port, flags and id of every node, as one that runs has them.
    async fn table(&self) -> Vec<(u16, String, String)> {
        let mut table = Vec::new();
        until("a node tells who is who", async || {
            for node in self.nodes.iter().filter(|node| node.is_running()) {
                let Ok(text) = node.try_ask::<String>(&["CLUSTER", "NODES"]).await else { continue };
                table = text.lines().filter_map(line).collect();
                return !table.is_empty();
            }
            false
        })
        .await;
        table
    }
}

fn line(line: &str) -> Option<(u16, String, String)> {
    let mut words = line.split(' ');
    let (id, address, flags) = (words.next()?, words.next()?, words.next()?);
    let port = address.split('@').next()?.rsplit(':').next()?.parse().ok()?;
    Some((port, flags.to_owned(), id.to_owned()))
}

async fn follows_this(replica: &crate::RedisServer, master: &crate::RedisServer) -> bool {
    let info = replica.try_ask::<String>(&["INFO", "replication"]).await.unwrap_or_default();
    info.contains(&format!("master_port:{}\r", master.port())) && follows(replica, master).await
}
