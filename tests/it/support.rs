//! What the behaviour tests stand on; see `ergate-rig`.

pub(crate) use ergate_rig::{
    DEADLINE, Direction, Lost, Process, Proxy, RedisCluster, RedisSentinel, RedisServer, resp, until,
    until_some,
};
