//! What the behaviour tests stand on; see `ergate-rig`.

pub(crate) use ergate_rig::{
    DEADLINE, Process, Proxy, RedisCluster, RedisSentinel, RedisServer, resp, until, until_some,
};
