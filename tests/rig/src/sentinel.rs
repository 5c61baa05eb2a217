//! A primary, its replica and one sentinel that decides alone.

use redis::Value;

use super::{
    redis::RedisServer,
    until::{until, until_some},
};

const NAME: &str = "ergate";

/// A running group. Dropped, all three are killed.
#[derive(Debug)]
pub struct RedisSentinel {
    servers: [RedisServer; 2],
    sentinel: RedisServer,
}

impl RedisSentinel {
    /// Starts the group and returns once the sentinel knows a replica that is in step.
    pub async fn start() -> Self {
        let options = || RedisServer::options().config("repl-diskless-sync-delay", "0");
        let primary = options().start().await;
        let port = primary.port().to_string();
        let replica = options().config("replicaof", &format!("127.0.0.1 {port}")).start().await;
        // A sentinel asks its primary for replicas at the start, and then only every ten seconds.
        until("the primary has its replica", async || follows(&replica, &primary).await).await;

        let sentinel = RedisServer::options()
            .sentinel()
            .config("sentinel monitor", &format!("{NAME} 127.0.0.1 {port} 1"))
            .config("sentinel down-after-milliseconds", &format!("{NAME} 500"))
            .config("sentinel failover-timeout", &format!("{NAME} 5000"))
            .start()
            .await;
        let group = Self { servers: [primary, replica], sentinel };
        group.in_step().await;
        group
    }

    /// The sentinel's address.
    pub fn url(&self) -> String {
        self.sentinel.url()
    }

    /// The name under which the sentinel watches the primary.
    pub fn name(&self) -> &'static str {
        NAME
    }

    /// The server that the sentinel calls the primary.
    pub async fn primary(&mut self) -> &mut RedisServer {
        let port = self.primary_port().await;
        let primary = self.servers.iter_mut().find(|server| server.port() == port);
        primary.expect("the sentinel watches one of ours")
    }

    /// Makes the replica the primary, and returns once it is. The sentinel lets the old one follow about eight seconds later;
    /// `in_step` waits for that.
    pub async fn failover(&self) {
        let before = self.primary_port().await;
        until("the sentinel starts a failover", async || {
            self.sentinel.try_ask::<Value>(&["SENTINEL", "FAILOVER", NAME]).await.is_ok()
        })
        .await;
        until("the sentinel names the other server", async || self.primary_port().await != before).await;
    }

    /// Waits until one server is the primary and the other has all its data.
    pub async fn in_step(&self) {
        until("the replica is in step", async || {
            let primary = self.primary_port().await;
            let (first, second) = (&self.servers[0], &self.servers[1]);
            let in_step = if first.port() == primary {
                follows(second, first).await
            } else {
                follows(first, second).await
            };
            let known: Vec<Value> = self.sentinel.ask(&["SENTINEL", "REPLICAS", NAME]).await;
            in_step && !known.is_empty()
        })
        .await;
    }

    /// The port of the server that the sentinel calls the primary; after the primary was killed it changes by itself.
    pub async fn primary_port(&self) -> u16 {
        until_some("the sentinel names a primary", async || {
            let address: Option<(String, u16)> =
                self.sentinel.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME]).await;
            Some(address?.1)
        })
        .await
    }
}

async fn follows(replica: &RedisServer, primary: &RedisServer) -> bool {
    let replica = replica.try_ask::<String>(&["INFO", "replication"]).await.unwrap_or_default();
    let primary = primary.try_ask::<String>(&["INFO", "replication"]).await.unwrap_or_default();
    let offset = field(&primary, "master_repl_offset");
    field(&primary, "role") == Some("master")
        && field(&replica, "master_link_status") == Some("up")
        && field(&replica, "slave_repl_offset") == offset
}

fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}
