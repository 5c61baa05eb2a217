//! What may happen to runs and to the events they wait for.

use proptest::{option, prelude::*, sample::Index};

/// One thing that happens. There are two workers and two routers.
#[derive(Debug, Clone)]
pub(super) enum Operation {
    /// Somebody sends an event with one of few numbers: with an id of its own, or of the future.
    Send {
        number: u8,
        own: Option<u8>,
        ahead: Option<u64>,
        cut: Cut,
    },
    /// A router reads what is new.
    Read(usize),
    /// A router does the next thing of what it has read.
    Route {
        router: usize,
        cut: Cut,
    },
    /// A router reads what is new and does all of it, and some time passes.
    RouteAll(usize),
    RouterDies(usize),
    /// A router looks after the shard, and takes over what others left behind if that is old enough, or has what is its own again.
    Tend {
        router: usize,
        again: bool,
    },
    /// What is over its age is forgotten under the event's name.
    Clean,
    /// A worker leases.
    Lease {
        worker: usize,
        ask: usize,
    },
    /// A run that a worker holds does something.
    Act {
        worker: usize,
        run: Index,
        act: Act,
        cut: Cut,
    },
    WorkerDies(usize),
    /// The outbox is worked off by one entry.
    Tell(Cut),
    Cancel(Index),
    Retry(Index),
    Remove(Index),
    /// A run is started over from one of its steps.
    Fork {
        run: Index,
        step: Index,
        cut: Cut,
    },
    /// A call that was held up arrives.
    Arrives(Index),
    /// From now on, or no longer, memory is full when workers and routers go on with what they have.
    Fill(bool),
    Pass(u64),
    /// Somebody looks at the end of the journals.
    Look,
}

#[derive(Debug, Clone)]
pub(super) enum Act {
    Done,
    /// Waits for an event with this number, so long.
    Wait(u8, u64),
    /// Looks back for the event of a wait, and waits on if there is none.
    Register,
    /// Invokes another run.
    Invoke,
    /// Closes what has waited too long.
    GiveUp,
    Suspend(u64),
    Complete,
    Fail,
    TryAgain(u64),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cut {
    None,
    ReplyLost,
    Twice,
    Late,
}

pub(super) fn operations() -> impl Strategy<Value = Operation> {
    let job = any::<Index>;
    let cut = || prop_oneof![6 => Just(Cut::None), 1 => Just(Cut::ReplyLost), 1 => Just(Cut::Twice), 1 => Just(Cut::Late)];
    let act = prop_oneof![
        5 => Just(Act::Done),
        10 => (0_u8..3, prop::sample::select(&[3000_u64, 60_000, 60_000][..]))
            .prop_map(|(number, within)| Act::Wait(number, within)),
        12 => Just(Act::Register),
        3 => Just(Act::Invoke),
        2 => Just(Act::GiveUp),
        6 => (1_u64..60_000).prop_map(Act::Suspend),
        2 => Just(Act::Complete),
        1 => Just(Act::Fail),
        1 => (0_u64..2000).prop_map(Act::TryAgain),
    ];
    let time = prop_oneof![
        8 => 1_u64..2000,
        2 => Just(9_000_u64),
        2 => Just(11_000_u64),
        1 => Just(70_000_u64),
        1 => Just(90_000_000_u64),
    ];
    prop_oneof![
        10 => (0_u8..3, option::weighted(0.3, 0_u8..3), option::weighted(0.2, 1_u64..4000), cut())
            .prop_map(|(number, own, ahead, cut)| Operation::Send { number, own, ahead, cut }),
        6 => (0_usize..2).prop_map(Operation::Read),
        24 => (0_usize..2, cut()).prop_map(|(router, cut)| Operation::Route { router, cut }),
        10 => (0_usize..2).prop_map(Operation::RouteAll),
        1 => (0_usize..2).prop_map(Operation::RouterDies),
        4 => (0_usize..2, any::<bool>()).prop_map(|(router, again)| Operation::Tend { router, again }),
        1 => Just(Operation::Clean),
        10 => (0_usize..2, 1_usize..4).prop_map(|(worker, ask)| Operation::Lease { worker, ask }),
        40 => (0_usize..2, job(), act, cut())
            .prop_map(|(worker, run, act, cut)| Operation::Act { worker, run, act, cut }),
        1 => (0_usize..2).prop_map(Operation::WorkerDies),
        6 => cut().prop_map(Operation::Tell),
        1 => job().prop_map(Operation::Cancel),
        2 => job().prop_map(Operation::Retry),
        1 => job().prop_map(Operation::Remove),
        3 => (job(), job(), cut()).prop_map(|(run, step, cut)| Operation::Fork { run, step, cut }),
        4 => job().prop_map(Operation::Arrives),
        3 => any::<bool>().prop_map(Operation::Fill),
        7 => time.prop_map(Operation::Pass),
        2 => Just(Operation::Look),
    ]
}
