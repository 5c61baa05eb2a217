//! Several servers: a primary that sentinels know, and a cluster.

use ergate_rig::{RedisCluster, RedisSentinel};

use super::Ground;

impl Ground for RedisSentinel {
    fn url(&self) -> String {
        format!("redis+sentinel://{}/{}", hosts(&self.urls()), self.name())
    }
}

impl Ground for RedisCluster {
    fn url(&self) -> String {
        format!("redis+cluster://{}", hosts(&self.urls()))
    }
}

fn hosts(urls: &[String]) -> String {
    let hosts: Vec<_> =
        urls.iter().map(|url| url.trim_start_matches("redis://").trim_end_matches('/')).collect();
    hosts.join(",")
}
