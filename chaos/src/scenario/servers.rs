//! Each fault of a single server alone.

use super::{
    Scale, Scenario,
    single::{everysec, of, on},
};
use crate::{fault::server, stage::Plan};

pub(super) fn all() -> Vec<Scenario> {
    let plain = |plan| plan;
    vec![
        of("redis-killed", "SIGKILL of Redis, append-only file written always", [server::KILL], plain),
        Scenario::new(
            "redis-killed-everysec",
            "the same, append-only file written each second",
            |scale: Scale, seed| on(everysec(), scale.plan(), vec![server::KILL_EVERYSEC], seed),
        ),
        Scenario::new(
            "power-cut-everysec",
            "Redis loses what it acknowledged in the last second, append-only file written each second",
            |scale: Scale, seed| {
                on(everysec(), Plan { strikes: 1, ..scale.plan() }, vec![server::POWER_CUT], seed)
            },
        ),
        Scenario::new("data-lost", "Redis restarts with nothing left", |scale: Scale, seed| {
            on(
                ergate_rig::RedisServer::options(),
                Plan { strikes: 1, ..scale.plan() },
                vec![server::DATA_LOST],
                seed,
            )
        }),
        of("redis-frozen", "SIGSTOP and SIGCONT of Redis", [server::FREEZE], plain),
        of("debug-sleep", "one command takes longer than deadlines, or than a lease", [server::SLEEP], plain),
        of(
            "client-kill",
            "CLIENT KILL of ordinary, blocked and subscribed connections",
            [server::CLIENT_KILL],
            |plan| Plan { strikes: 2 * plan.strikes, leases_hold: true, ..plan },
        ),
        of("script-flush", "SCRIPT FLUSH", [server::SCRIPT_FLUSH], |plan| Plan {
            strikes: 3 * plan.strikes,
            leases_hold: true,
            ..plan
        }),
        of("memory-full", "maxmemory is reached, then raised", [server::FULL], plain),
        of("client-pause", "CLIENT PAUSE of all commands, or of those that write", [server::PAUSE], plain),
    ]
}
