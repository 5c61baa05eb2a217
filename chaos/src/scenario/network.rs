//! Scenarios of networks that fail.

use ergate_rig::RedisServer;

use super::{Scale, Scenario};
use crate::{
    fault::{Fault, network, worker},
    ground::wired::Wired,
    play::play,
    report::Outcome,
    stage::Plan,
};

pub(super) fn all() -> Vec<Scenario> {
    let one = |name, about, fault: Fault<Wired>| {
        Scenario::new(name, about, move |scale: Scale, seed| wired(scale.plan(), vec![fault], seed))
    };
    vec![
        one(
            "worker-parted",
            "nothing passes between a worker and Redis for longer than a lease",
            network::PARTITION,
        ),
        one(
            "one-way-silent",
            "only requests pass, or only answers, for longer than a lease",
            network::SILENCE,
        ),
        one("half-close", "one way of a process's connections is closed", network::HALF_CLOSE),
        one("connections-reset", "all connections of a process are closed", network::RESET),
        one("slow-wire", "a process has a wire that carries some kB a second", network::SLOW),
        one("reply-cut-short", "a reply ends after some bytes, and the connection with it", network::CUT),
        one(
            "replies-lost",
            "replies to scripts are lost after Redis has carried them out",
            network::LOSE_REPLY,
        ),
        one("requests-lost", "scripts are lost on their way", network::LOSE_REQUEST),
        Scenario::new(
            "network-mixture",
            "all of these by chance, and workers killed",
            |scale: Scale, seed| {
                let mut faults = network::ALL.to_vec();
                faults.push(worker::kill());
                let plan = scale.plan();
                wired(Plan { mixed: true, strikes: 2 * plan.strikes, ..plan }, faults, seed)
            },
        ),
    ]
}

/// A play on a single server to which each process has a wire of its own.
pub(super) async fn wired(plan: Plan, faults: Vec<Fault<Wired>>, seed: u64) -> Outcome {
    play(Wired::to(RedisServer::start().await), plan, &faults, seed).await
}
