//! Who serves which slots now: after failovers and migrations that is not as it was at the start.

use std::collections::BTreeSet;

use super::RedisCluster;
use crate::{
    redis::RedisServer,
    sentinel::follows,
    until::{until, until_some},
};

impl RedisCluster {
    /// The places of the nodes that serve slots now, once all that run agree on them: one that was away calls itself the master of
    /// what another has taken over until it hears of it.
    pub async fn masters(&self) -> Vec<usize> {
        let ports = until_some("the nodes agree on their masters", async || {
            let mut agreed = None;
            for node in self.nodes.iter().filter(|node| node.is_running()) {
                let seen = masters_seen_by(node).await?;
                if *agreed.get_or_insert_with(|| seen.clone()) != seen {
                    return None;
                }
            }
            agreed
        })
        .await;
        ports.iter().filter_map(|port| self.nodes.iter().position(|node| node.port() == *port)).collect()
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

    /// Starts the node at `place` again, whose place another has taken, with nothing, and returns once it has everything. Until then it
    /// cannot take the place of its master, which would make the cluster forget.
    pub async fn comes_back(&mut self, place: usize) {
        self.nodes[place].restart_with(&["--cluster-replica-no-failover", "yes"]).await;
        self.in_step().await;
        self.nodes[place].ask::<()>(&["CONFIG", "SET", "cluster-replica-no-failover", "no"]).await;
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
}

/// The ports of those that serve slots and are not called failing.
async fn masters_seen_by(node: &RedisServer) -> Option<BTreeSet<u16>> {
    let text = node.try_ask::<String>(&["CLUSTER", "NODES"]).await.ok()?;
    Some(text.lines().filter_map(master).collect())
}

/// The port in a line of `CLUSTER NODES`, `<id> <ip:port@cport> <flags> <master> <ping> <pong> <epoch> <link> <slot>…`, of a master.
fn master(line: &str) -> Option<u16> {
    let mut words = line.split(' ').skip(1);
    let (address, flags, slots) = (words.next()?, words.next()?, words.nth(5));
    let serves = flags.contains("master") && !flags.contains("fail") && slots.is_some();
    serves.then(|| address.split('@').next()?.rsplit(':').next()?.parse().ok())?
}

async fn follows_this(replica: &RedisServer, master: &RedisServer) -> bool {
    let info = replica.try_ask::<String>(&["INFO", "replication"]).await.unwrap_or_default();
    info.contains(&format!("master_port:{}\r", master.port())) && follows(replica, master).await
}
