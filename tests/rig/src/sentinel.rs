//! A primary, its replicas, and the sentinels that watch them.

use redis::Value;

use super::{
    redis::RedisServer,
    until::{until, until_some},
};

const NAME: &str = "ergate";

/// A server that is silent for so long is taken for dead. Less, and a machine that stands still has sentinels take one server after
/// the other for dead, until one is chosen that has nothing yet.
const DOWN_AFTER_MS: u32 = 3000;

/// A running group. Dropped, all of it is killed.
#[derive(Debug)]
pub struct RedisSentinel {
    servers: Vec<RedisServer>,
    sentinels: Vec<RedisServer>,
}

impl RedisSentinel {
    /// Starts a primary, one replica and one sentinel that decides alone, and returns once it knows a replica that is in step.
    pub async fn start() -> Self {
        Self::of(1, 1).await
    }

    /// Starts a primary, two replicas and three sentinels, two of which have to agree. A primary without replicas refuses writes, so
    /// that one whose place another has taken does not go on alone.
    pub async fn trio() -> Self {
        let group = Self::of(2, 3).await;
        for server in &group.servers {
            server.ask::<()>(&["CONFIG", "SET", "min-replicas-to-write", "1"]).await;
        }
        group
    }

    async fn of(replicas: usize, sentinels: usize) -> Self {
        let options = || RedisServer::options().config("repl-diskless-sync-delay", "0");
        let primary = options().start().await;
        let port = primary.port().to_string();
        let mut servers = vec![primary];
        for _ in 0..replicas {
            let replica = options().config("replicaof", &format!("127.0.0.1 {port}")).start().await;
            // A sentinel asks its primary for replicas at the start, and then only every ten seconds.
            until("the primary has its replica", async || follows(&replica, &servers[0]).await).await;
            servers.push(replica);
        }
        let quorum = sentinels / 2 + 1;
        let mut group = Self { servers, sentinels: Vec::new() };
        for _ in 0..sentinels {
            let sentinel = RedisServer::options()
                .sentinel()
                .config("sentinel monitor", &format!("{NAME} 127.0.0.1 {port} {quorum}"))
                .config("sentinel down-after-milliseconds", &format!("{NAME} {DOWN_AFTER_MS}"))
                .config("sentinel failover-timeout", &format!("{NAME} 5000"))
                .start()
                .await;
            group.sentinels.push(sentinel);
        }
        group.in_step().await;
        for sentinel in &group.sentinels {
            until("the sentinels know each other", async || {
                sentinel
                    .try_ask::<String>(&["SENTINEL", "CKQUORUM", NAME])
                    .await
                    .is_ok_and(|said| said.starts_with("OK"))
            })
            .await;
        }
        group
    }

    /// The address of one sentinel.
    pub fn url(&self) -> String {
        self.sentinels[0].url()
    }

    /// The addresses of all sentinels.
    pub fn urls(&self) -> Vec<String> {
        self.sentinels.iter().map(RedisServer::url).collect()
    }

    /// The name under which the sentinels watch the primary.
    pub fn name(&self) -> &'static str {
        NAME
    }

    /// All servers, in no order.
    pub fn servers(&self) -> &[RedisServer] {
        &self.servers
    }

    /// The server that the sentinels call the primary.
    pub async fn primary(&mut self) -> &mut RedisServer {
        let port = self.primary_port().await;
        self.server(port)
    }

    /// The server that listens there.
    pub fn server(&mut self, port: u16) -> &mut RedisServer {
        let server = self.servers.iter_mut().find(|server| server.port() == port);
        server.expect("the sentinels watch ours")
    }

    /// Makes a replica the primary, and returns once it takes writes. The sentinel lets the old one follow about eight seconds later;
    /// `in_step` waits for that.
    pub async fn failover(&self) {
        let before = self.primary_port().await;
        // Ordered again if the sentinel gave up, as when no replica had answered it for a while; while it is at it, it says so.
        until("the sentinel has failed over", async || {
            let done = self.primary_port().await != before;
            if !done {
                let _ = self.sentinels[0].try_ask::<Value>(&["SENTINEL", "FAILOVER", NAME]).await;
            }
            done
        })
        .await;
        self.primary_is_another(before).await;
    }

    /// Waits until all sentinels name another primary than the one that listened there, and it takes writes: it may have been told to
    /// refuse them until a replica follows it.
    pub async fn primary_is_another(&self, than: u16) {
        for sentinel in &self.sentinels {
            until("the sentinels name another server", async || {
                named_by(sentinel).await.is_some_and(|port| port != than)
            })
            .await;
        }
        let port = self.primary_port().await;
        let primary = self.servers.iter().find(|server| server.port() == port);
        let primary = primary.expect("the sentinels watch ours");
        until("it takes writes", async || primary.try_ask::<u64>(&["DEL", "no such key"]).await.is_ok())
            .await;
    }

    /// Starts the server that was killed again, with nothing, as a replica of who took its place, and returns once it has everything.
    ///
    /// As an operator would have it: a server without data must not come back as the primary that its replicas still follow, which
    /// would empty them, and must not be chosen before it has everything.
    pub async fn comes_back(&mut self, port: u16) {
        self.in_step().await;
        let primary = self.primary_port().await.to_string();
        let server = self.server(port);
        server.restart_with(&["--replicaof", "127.0.0.1", &primary, "--replica-priority", "0"]).await;
        self.in_step().await;
        let settings = ["replica-priority", "100", "min-replicas-to-write", "1"];
        self.server(port).ask::<()>(&[&["CONFIG", "SET"], &settings[..]].concat()).await;
    }

    /// Waits until no sentinel is in the middle of a failover. One that has made a replica the primary goes on for some seconds, to have
    /// the others follow it; if the new primary dies meanwhile, it waits for it for ever.
    pub async fn settled(&self) {
        for sentinel in &self.sentinels {
            until("the sentinel has done with its failover", async || {
                let about: Vec<String> =
                    sentinel.try_ask(&["SENTINEL", "MASTER", NAME]).await.unwrap_or_default();
                let flags = about.iter().position(|field| field == "flags").and_then(|at| about.get(at + 1));
                flags.is_some_and(|flags| flags == "master")
            })
            .await;
        }
    }

    /// Waits until the server has no replica left.
    pub async fn is_alone(&self, port: u16) {
        let server = self.servers.iter().find(|server| server.port() == port).expect("it is one of ours");
        until("its replicas have left it", async || {
            let info = server.try_ask::<String>(&["INFO", "replication"]).await.unwrap_or_default();
            field(&info, "connected_slaves") == Some("0")
        })
        .await;
    }

    /// Waits until one server is the primary and all others that run have all its data.
    pub async fn in_step(&self) {
        until("the replicas are in step", async || {
            let primary = self.primary_port().await;
            let Some(first) = self.servers.iter().find(|server| server.port() == primary) else {
                return false;
            };
            let others = self.servers.iter().filter(|server| server.port() != primary);
            for other in others.filter(|server| server.is_running()) {
                if !follows(other, first).await {
                    return false;
                }
            }
            let known: Vec<Value> = self.sentinels[0].ask(&["SENTINEL", "REPLICAS", NAME]).await;
            known.len() + 1 >= self.servers.len()
        })
        .await;
    }

    /// The port of the server that the first sentinel calls the primary; after the primary was killed it changes by itself.
    pub async fn primary_port(&self) -> u16 {
        until_some("the sentinel names a primary", async || named_by(&self.sentinels[0]).await).await
    }
}

async fn named_by(sentinel: &RedisServer) -> Option<u16> {
    let address: Option<(String, u16)> =
        sentinel.try_ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME]).await.ok()?;
    Some(address?.1)
}

/// Whether the one is a replica of the other, and has all the data that it had when this began.
pub(crate) async fn follows(replica: &RedisServer, primary: &RedisServer) -> bool {
    let primary = primary.try_ask::<String>(&["INFO", "replication"]).await.unwrap_or_default();
    let replica = replica.try_ask::<String>(&["INFO", "replication"]).await.unwrap_or_default();
    let number = |info: &str, name| field(info, name).and_then(|offset| offset.parse::<u64>().ok());
    let (has, is) = (number(&replica, "slave_repl_offset"), number(&primary, "master_repl_offset"));
    field(&primary, "role") == Some("master")
        && field(&replica, "master_link_status") == Some("up")
        && is.is_some()
        && has >= is
}

fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}
