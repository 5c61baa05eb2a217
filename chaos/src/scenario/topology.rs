//! Scenarios of a Sentinel trio and a cluster of six.

use ergate_rig::{RedisCluster, RedisSentinel};

use super::{Scale, Scenario};
use crate::{
    fault::{Fault, failover, worker},
    play::play,
    report::Outcome,
    stage::Plan,
};

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "sentinel-quiet-failover",
            "a Sentinel trio: the primary is killed when its replicas have everything, and nothing may be lost",
            |scale, seed| trio(scale, vec![failover::SENTINEL_QUIET], seed),
        ),
        Scenario::new(
            "sentinel-primary-killed",
            "a Sentinel trio: the primary is killed under load; what no replica had is counted",
            |scale, seed| trio(scale, vec![failover::SENTINEL_KILL], seed),
        )
        .only_in_full(),
        Scenario::new(
            "sentinel-failover",
            "a Sentinel trio: SENTINEL FAILOVER under load; what the old primary was still told is counted",
            |scale, seed| trio(scale, vec![failover::SENTINEL_ORDERED], seed),
        )
        .only_in_full(),
        Scenario::new(
            "cluster-quiet-failover",
            "a cluster of six: a master is killed when its replica has everything, and nothing may be lost",
            |scale, seed| six(scale, vec![failover::CLUSTER_QUIET], seed),
        ),
        Scenario::new(
            "cluster-master-killed",
            "a cluster of six: a master is killed under load; what its replica had not is counted",
            |scale, seed| six(scale, vec![failover::CLUSTER_KILL], seed),
        )
        .only_in_full(),
        Scenario::new(
            "slot-migration",
            "a cluster of six: slots of queues move to other masters under load",
            |scale, seed| six(scale, vec![failover::CLUSTER_MIGRATE], seed),
        ),
        Scenario::new(
            "cluster-mixture",
            "a cluster of six: slots move, masters and workers are killed",
            |scale, seed| {
                six(scale, vec![failover::CLUSTER_MIGRATE, worker::kill(), failover::CLUSTER_QUIET], seed)
            },
        )
        .only_in_full(),
    ]
}

/// A failover takes seconds, and the next must not begin before the old primary follows: so there are few.
fn few(scale: Scale) -> Plan {
    let plan = scale.plan();
    Plan { strikes: plan.strikes.div_ceil(4), ..plan }
}

async fn trio(scale: Scale, faults: Vec<Fault<RedisSentinel>>, seed: u64) -> Outcome {
    play(RedisSentinel::trio().await, few(scale), &faults, seed).await
}

async fn six(scale: Scale, faults: Vec<Fault<RedisCluster>>, seed: u64) -> Outcome {
    play(RedisCluster::with_replicas().await, few(scale), &faults, seed).await
}
