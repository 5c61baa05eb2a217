//! What is used is given back.

use std::time::Duration;

use super::{Scale, Scenario, single::safe};
use crate::{
    fault::{handler, server, worker},
    rounds::rounds,
    stage::Plan,
};

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "same-work-again",
            "the same work several times, workers and connections killed: memory comes back to what it was",
            |scale: Scale, seed| async move {
                let (times, plan) = match scale {
                    Scale::Quick => (2, scale.plan()),
                    Scale::Full => (5, Plan { jobs: 1000, over: Duration::from_secs(15), ..scale.plan() }),
                };
                let plan = Plan { event_ids: false, mixed: true, spared: 1, ..plan };
                let faults = [worker::kill(), worker::stop(), handler::panic(), server::CLIENT_KILL];
                // What a stream sets aside for its next entries is not in the copies that are taken off.
                let server = safe().config("stream-node-max-bytes", "256").start().await;
                rounds(server, plan, &faults, times, seed).await
            },
        )
        .only_in_full(),
    ]
}
