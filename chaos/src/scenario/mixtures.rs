//! Mixtures: the seed says which fault comes when.

use std::time::Duration;

use super::{
    Scale, Scenario,
    single::{everysec, of, on},
};
use crate::{
    fault::{handler, producer, server, worker},
    stage::Plan,
};

const HOUR_MS: i64 = 60 * 60 * 1000;

fn mixed(plan: Plan) -> Plan {
    Plan { strikes: 3 * plan.strikes, over: plan.over + Duration::from_secs(2), mixed: true, ..plan }
}

pub(super) fn all() -> Vec<Scenario> {
    let workers = [
        worker::kill(),
        worker::freeze(),
        worker::stop(),
        handler::panic(),
        handler::block(),
        producer::kill(),
    ];
    let servers = [
        server::KILL,
        server::FREEZE,
        server::SLEEP,
        server::CLIENT_KILL,
        server::SCRIPT_FLUSH,
        server::FULL,
        server::PAUSE,
    ];
    let both = [&workers[..], &servers[..]].concat();
    let releases = [&both[..], &[worker::deploy(); 6]].concat();
    vec![
        of("workers-mixture", "all faults of workers, producers and handlers", workers, mixed),
        of("redis-mixture", "all faults of Redis that lose nothing", servers, mixed),
        of("mixture", "all of both, clocks of workers wrong", both, |plan| Plan {
            clocks_ms: vec![0, HOUR_MS, -HOUR_MS],
            ..mixed(plan)
        }),
        of("mixture-and-deploys", "all of both, and deploys of two releases in turn", releases, mixed),
        Scenario::new(
            "mixture-with-losses",
            "power cuts that lose a second, and killed workers",
            |scale: Scale, seed| {
                let faults = vec![server::POWER_CUT, worker::kill(), worker::stop()];
                on(everysec(), mixed(scale.plan()), faults, seed)
            },
        ),
    ]
}
