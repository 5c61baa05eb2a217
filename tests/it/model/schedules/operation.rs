//! What may happen to schedules.

use std::time::Duration;

use ergate_shared::{
    ScheduleName,
    schedule::{CatchUp, Origin, Overlap, Schedule, ScheduleSpec},
};
use proptest::prelude::*;

/// One thing that happens. There are three who act: two tickers and somebody at a terminal; and three schedules.
#[derive(Debug, Clone)]
pub(super) enum Operation {
    /// Asks for what is due.
    Tick {
        ticker: usize,
        declares: bool,
        retires: bool,
    },
    /// Reads a schedule to change it.
    Begin {
        name: usize,
        change: Change,
    },
    /// The next thing that one of them does of what it has begun.
    Step {
        actor: usize,
        busy: bool,
        cut: Cut,
    },
    Dies(usize),
    Remove(usize),
    /// Time goes by, in ms.
    Pass(u64),
    /// The jobs that were started end and are forgotten.
    Forget,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cut {
    None,
    ReplyLost,
    Twice,
}

#[derive(Debug, Clone)]
pub(super) enum Change {
    Set(Plain),
    Pause,
    Resume,
}

/// What a schedule is set to.
#[derive(Debug, Clone)]
pub(super) struct Plain {
    every: u64,
    catch_up: CatchUp,
    overlap: Overlap,
    pub(super) by_code: bool,
}

pub(super) const NAMES: [&str; 3] = ["one", "two", "three"];

impl Plain {
    pub(super) fn spec(&self, name: usize, queue: &str) -> (ScheduleName, ScheduleSpec) {
        let origin = if self.by_code { Origin::Code } else { Origin::Hand };
        Schedule::every(NAMES[name], Duration::from_millis(self.every))
            .raw_job(queue.parse().expect("it is a name"), "tick".parse().expect("it is a name"), "{}")
            .catch_up(self.catch_up)
            .overlap(self.overlap)
            .build(origin)
            .expect("it is a schedule")
    }
}

fn plain() -> impl Strategy<Value = Plain> {
    let catch_up =
        prop_oneof![4 => Just(CatchUp::All(1000)), 1 => Just(CatchUp::Latest), 1 => Just(CatchUp::All(2))];
    let overlap = prop_oneof![
        4 => Just(Overlap::Allow),
        1 => Just(Overlap::Skip),
        1 => Just(Overlap::QueueOne),
        1 => Just(Overlap::CancelRunning),
    ];
    (prop::sample::select(&[1000_u64, 1500, 5000][..]), catch_up, overlap, any::<bool>())
        .prop_map(|(every, catch_up, overlap, by_code)| Plain { every, catch_up, overlap, by_code })
}

pub(super) fn operations() -> impl Strategy<Value = Operation> {
    let cut = prop_oneof![6 => Just(Cut::None), 1 => Just(Cut::ReplyLost), 2 => Just(Cut::Twice)];
    let change = prop_oneof![
        4 => plain().prop_map(Change::Set),
        1 => Just(Change::Pause),
        2 => Just(Change::Resume),
    ];
    let time = prop_oneof![
        6 => 1_u64..3000,
        2 => Just(2000_u64),
        1 => Just(30_000_u64),
        1 => Just(130_000_u64),
        1 => Just(400_000_u64),
    ];
    prop_oneof![
        10 => (0_usize..2, any::<bool>(), prop::bool::weighted(0.3))
            .prop_map(|(ticker, declares, retires)| Operation::Tick { ticker, declares, retires }),
        8 => (0_usize..3, change).prop_map(|(name, change)| Operation::Begin { name, change }),
        40 => (0_usize..3, prop::bool::weighted(0.3), cut)
            .prop_map(|(actor, busy, cut)| Operation::Step { actor, busy, cut }),
        2 => (0_usize..3).prop_map(Operation::Dies),
        1 => (0_usize..3).prop_map(Operation::Remove),
        12 => time.prop_map(Operation::Pass),
        3 => Just(Operation::Forget),
    ]
}
