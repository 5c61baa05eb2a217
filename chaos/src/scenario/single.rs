//! Plays on a single server.

use ergate_rig::{RedisServer, redis::RedisOptions};

use super::{Scale, Scenario};
use crate::{fault::Fault, play::play, report::Outcome, stage::Plan};

/// A server of which a kill loses nothing it has acknowledged.
pub(super) fn safe() -> RedisOptions {
    RedisServer::options().appendonly_always().config("enable-debug-command", "local")
}

/// A server that writes what it has acknowledged within a second.
pub(super) fn everysec() -> RedisOptions {
    RedisServer::options()
        .config("appendonly", "yes")
        .config("appendfsync", "everysec")
        // One file, so that there is one to cut.
        .config("auto-aof-rewrite-percentage", "0")
}

/// A play.
pub(super) async fn on(
    options: RedisOptions,
    plan: Plan,
    faults: Vec<Fault<RedisServer>>,
    seed: u64,
) -> Outcome {
    play(options.start().await, plan, &faults, seed).await
}

/// A scenario of these faults on a safe server, with the plan of its scale changed by `change`.
pub(super) fn of(
    name: &'static str,
    about: &'static str,
    faults: impl IntoIterator<Item = Fault<RedisServer>>,
    change: fn(Plan) -> Plan,
) -> Scenario {
    let faults: Vec<_> = faults.into_iter().collect();
    Scenario::new(name, about, move |scale: Scale, seed| {
        on(safe(), change(scale.plan()), faults.clone(), seed)
    })
}
