//! Scenarios that hold because of one safety: see `safety.rs`.

use ergate_rig::RedisServer;

use super::{Scale, Scenario, network::wired, single::on};
use crate::{fault::needed, stage::Plan};

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "lease-reply-lost",
            "replies to calls that lease jobs are lost: the worker finds out what it holds",
            |scale: Scale, seed| wired(scale.plan(), vec![needed::LOSE_LEASE], seed),
        ),
        Scenario::new(
            "enqueue-reply-lost",
            "replies to enqueues are lost: they are sent again, and applied once",
            |scale: Scale, seed| wired(scale.plan(), vec![needed::LOSE_ENQUEUE], seed),
        ),
        Scenario::new(
            "lease-outlived",
            "what a worker says of the ends of its jobs is held up on the wire until others run them",
            |scale: Scale, seed| wired(scale.plan(), vec![needed::OUTLIVE], seed),
        ),
        Scenario::new(
            "killed-at-work",
            "workers are killed while they run jobs: others take these over",
            |scale: Scale, seed| on(RedisServer::options(), scale.plan(), vec![needed::KILL_AT_WORK], seed),
        ),
        Scenario::new(
            "state-damaged",
            "ready jobs are taken out of their list behind Ergate's back: they are found and put back",
            |scale: Scale, seed| {
                let plan = Plan { repairs: true, strikes: 1, ..scale.plan() };
                on(RedisServer::options(), plan, vec![needed::DAMAGE], seed)
            },
        ),
        Scenario::new(
            "data-replaced",
            "Redis comes back with another data set: every worker says so, and goes on with what is sent then",
            |scale: Scale, seed| {
                let plan = Plan { strikes: 1, ..scale.plan() };
                on(RedisServer::options(), plan, vec![needed::REPLACE], seed)
            },
        ),
        Scenario::new(
            "event-ahead",
            "events come before, after and just when runs begin to wait for them",
            |scale: Scale, seed| on(RedisServer::options(), scale.plan(), vec![], seed),
        ),
    ]
}
