//! Clusters and sentinels.

use super::*;

#[tokio::test]
async fn a_cluster_serves_every_slot_and_survives_the_return_of_a_node() {
    let mut cluster = RedisCluster::start().await;
    let owner = cluster.node_of("key").await;
    owner.ask::<()>(&["SET", "key", "here"]).await;
    let port = owner.port();

    cluster.node_of("key").await.restart().await;
    cluster.whole().await;

    assert_eq!(cluster.urls().len(), 3);
    assert_eq!(cluster.node_of("key").await.port(), port);
    assert_eq!(cluster.node_of("key").await.ask::<Option<String>>(&["GET", "key"]).await, None);
}

#[tokio::test]
async fn a_failover_keeps_the_data_and_moves_the_primary() {
    let mut group = RedisSentinel::start().await;
    let before = group.primary().await;
    before.ask::<()>(&["SET", "key", "kept"]).await;
    let before = before.port();
    group.in_step().await;

    group.failover().await;

    let after = group.primary().await;
    assert_ne!(after.port(), before);
    assert_eq!(after.ask::<String>(&["GET", "key"]).await, "kept");
    assert!(group.url().starts_with("redis://") && group.name() == "ergate");
}

#[tokio::test]
async fn a_trio_of_sentinels_agrees_on_another_primary_when_theirs_is_killed() {
    let mut group = RedisSentinel::trio().await;
    let before = group.primary().await;
    before.ask::<()>(&["SET", "key", "kept"]).await;
    let port = before.port();
    group.in_step().await;

    group.server(port).kill();
    group.primary_is_another(port).await;
    group.comes_back(port).await;

    assert_eq!((group.servers().len(), group.urls().len()), (3, 3));
    assert_eq!(group.primary().await.ask::<String>(&["GET", "key"]).await, "kept");
    assert_eq!(
        group.server(port).ask::<u64>(&["DBSIZE"]).await,
        1,
        "the old primary has the data of the new one"
    );
}

#[tokio::test]
async fn a_replica_takes_over_from_a_master_that_was_killed_and_slots_move_with_their_keys() {
    let mut cluster = RedisCluster::with_replicas().await;
    let place = cluster.serves("key").await;
    cluster.nodes()[place].ask::<()>(&["SET", "key", "kept"]).await;
    cluster.in_step().await;

    cluster.node(place).kill();
    cluster.taken_over(place).await;
    cluster.comes_back(place).await;
    let new = cluster.serves("key").await;
    let others = cluster.masters().await;
    let other = *others.iter().find(|master| **master != new).unwrap();
    cluster.migrate("key", other).await;
    cluster.in_step().await;

    assert!(new != place && !others.contains(&place));
    assert_eq!(cluster.serves("key").await, other);
    assert_eq!(cluster.nodes()[other].ask::<String>(&["GET", "key"]).await, "kept");
}
