//! What may happen to a queue.

use proptest::{collection::vec, option, prelude::*, sample::Index};

use super::pace::{KeyLimit, Pace};

/// One thing that happens. Jobs are picked from all that ever were; of two workers and two producers the first or the other.
#[derive(Debug, Clone)]
pub(super) enum Operation {
    /// A batch of plain jobs.
    EnqueuePlain {
        first: bool,
        count: usize,
    },
    /// One job that may be anything but plain, behind a plain one in the same call.
    Enqueue {
        first: bool,
        job: Job,
    },
    /// A worker settles some of what it holds, and leases.
    Turn {
        first: bool,
        ask: usize,
        settle: Vec<(Index, Settling)>,
    },
    /// A worker reads what Redis says it holds.
    Recover(bool),
    /// A worker says something of a job it holds, or held: progress, or a line for its log.
    Note {
        first: bool,
        job: Index,
        progress: bool,
    },
    /// From now on, or no longer, memory is full when something comes that must be heard then.
    Fill(bool),
    /// Time goes by, in ms.
    Pass(u64),
    Heartbeat(bool),
    /// A worker enters the queue once more under its identity.
    JoinAgain(bool),
    /// A worker is gone with all it knew.
    Dies(bool),
    /// Somebody reaps every worker there is; those alive are left alone.
    Reap,
    Leave(bool),
    Cancel(Index),
    Remove(Index),
    Retry(Index),
    /// Some go back, the first after so many ms and then one each so many.
    Redrive {
        jobs: Vec<Index>,
        after: u64,
        spacing: u64,
        dead_only: bool,
    },
    Promote(Index),
    Postpone(Index, u64),
    /// An edit; `stale` if it is made on what the record was before another edit.
    Update {
        job: Index,
        stale: bool,
    },
    Pause,
    Resume,
    /// The queue's concurrency limit.
    Concurrency(Option<u64>),
    /// The queue's rate.
    Rate(Option<Pace>),
    /// The limit of the keys of one of two names.
    LimitKeys(bool, Option<KeyLimit>),
    /// Pauses or resumes the key of one of two names and one of few values.
    PauseKey(bool, u8, bool),
    Sweep,
    /// Somebody looks for what must not exist.
    Reconcile,
    /// The server is killed and started again.
    Restart,
    /// What it sends meets with an accident.
    Cut(Cut, Box<Operation>),
    /// One of the calls that were held up arrives.
    Arrives(Index),
}

/// What may happen to a call.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cut {
    /// It arrives; the reply does not.
    ReplyLost,
    /// It arrives twice; the first reply is lost.
    Twice,
    /// It arrives later, if ever, and who sent it is not told.
    Late,
}

#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) when: When,
    pub(super) priority: i64,
    /// One of few ids, so that they meet.
    pub(super) own_id: Option<u8>,
    pub(super) unique: Option<Unique>,
    pub(super) expiry: Option<u64>,
    /// Values of its two keys; a job with keys never expires, as the model cannot tell when that would be seen.
    pub(super) keys: (Option<u8>, Option<u8>),
    pub(super) tells: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Unique {
    pub(super) scope: u8,
    /// One of few.
    pub(super) key: u8,
    pub(super) window: u64,
    pub(super) on_conflict: &'static str,
}

/// The names of the two keys jobs may have.
pub(super) fn key_name(first: bool) -> &'static str {
    if first { "account" } else { "region" }
}

#[derive(Debug, Clone)]
pub(super) enum When {
    Now,
    In(u64),
    AtStartPlus(u64),
}

/// What a worker says of a job it has held.
#[derive(Debug, Clone)]
pub(super) enum Settling {
    Complete,
    Retry(u64),
    Snooze(u64),
    HandBack,
    Bury,
    Discard,
    Cancel,
}

const CONFLICTS: [&str; 8] =
    ["keep", "replace", "replace", "drop", "cancel", "put_off", "put_off 3000", "put_off newer 3000"];

fn jobs() -> impl Strategy<Value = Job> {
    let when = prop_oneof![
        4 => Just(When::Now),
        2 => (1_u64..4000).prop_map(When::In),
        1 => (0_u64..20_000).prop_map(When::AtStartPlus),
    ];
    let priority = prop_oneof![3 => Just(5_i64), 2 => 1_i64..=10];
    let unique = (0_u8..3, 0_u8..3, 1_u64..8000, prop::sample::select(&CONFLICTS[..])).prop_map(
        |(scope, key, window, on_conflict)| {
            // A debounced job holds its key until it starts.
            let scope = if on_conflict.starts_with("put_off") { 0 } else { scope };
            Unique { scope, key, window, on_conflict }
        },
    );
    let keys = prop_oneof![
        3 => Just((None, None)),
        1 => (0_u8..3).prop_map(|value| (Some(value), None)),
        1 => (0_u8..3, 0_u8..2).prop_map(|(first, second)| (Some(first), Some(second))),
    ];
    let expiry = option::weighted(0.2, 0_u64..5000);
    let own_id = option::weighted(0.2, 0_u8..3);
    (when, priority, own_id, option::weighted(0.35, unique), expiry, keys, prop::bool::weighted(0.2))
        .prop_map(|(when, priority, own_id, unique, expiry, keys, tells)| {
            let expiry = expiry.filter(|_| keys == (None, None));
            Job { when, priority, own_id, unique, expiry, keys, tells }
        })
}

fn settlings() -> impl Strategy<Value = Settling> {
    prop_oneof![
        4 => Just(Settling::Complete),
        2 => (0_u64..5000).prop_map(Settling::Retry),
        1 => (0_u64..5000).prop_map(Settling::Snooze),
        2 => Just(Settling::HandBack),
        2 => Just(Settling::Bury),
        1 => Just(Settling::Discard),
        1 => Just(Settling::Cancel),
    ]
}

fn paces() -> impl Strategy<Value = Pace> {
    (prop::sample::select(&[200_u64, 500, 1000, 3000][..]), 1_u64..4)
        .prop_map(|(interval, burst)| Pace { interval, burst })
}

fn limits() -> impl Strategy<Value = KeyLimit> {
    let concurrency = option::weighted(0.6, 1_u64..3);
    let spacing = option::weighted(0.3, prop::sample::select(&[100_u64, 700, 2000][..]));
    (concurrency, option::weighted(0.5, paces()), spacing)
        .prop_map(|(concurrency, rate, spacing)| KeyLimit { concurrency, rate, spacing })
        .prop_filter("a limit limits", |limit| *limit != KeyLimit::default())
}

/// All but what happens to calls on their way.
fn whole() -> impl Strategy<Value = Operation> {
    let job = any::<Index>;
    let time = prop_oneof![
        6 => 1_u64..3000,
        2 => prop::sample::select(&[100_u64, 200, 500, 1000, 2000][..]),
        2 => Just(10_000_u64),
        2 => Just(15_000_u64),
        1 => Just(2 * 3_600_000_u64),
    ];
    prop_oneof![
        6 => (any::<bool>(), 0_usize..4).prop_map(|(first, count)| Operation::EnqueuePlain { first, count }),
        12 => (any::<bool>(), jobs()).prop_map(|(first, job)| Operation::Enqueue { first, job }),
        18 => (any::<bool>(), 0_usize..4, vec((job(), settlings()), 0..3))
            .prop_map(|(first, ask, settle)| Operation::Turn { first, ask, settle }),
        2 => any::<bool>().prop_map(Operation::Recover),
        4 => (any::<bool>(), job(), any::<bool>())
            .prop_map(|(first, job, progress)| Operation::Note { first, job, progress }),
        3 => any::<bool>().prop_map(Operation::Fill),
        7 => time.prop_map(Operation::Pass),
        5 => any::<bool>().prop_map(Operation::Heartbeat),
        1 => any::<bool>().prop_map(Operation::JoinAgain),
        1 => any::<bool>().prop_map(Operation::Dies),
        3 => Just(Operation::Reap),
        2 => any::<bool>().prop_map(Operation::Leave),
        4 => job().prop_map(Operation::Cancel),
        3 => job().prop_map(Operation::Remove),
        3 => job().prop_map(Operation::Retry),
        2 => (vec(job(), 1..4), prop::sample::select(&[0_u64, 0, 700][..]), 0_u64..900, any::<bool>()).prop_map(
            |(jobs, after, spacing, dead_only)| Operation::Redrive { jobs, after, spacing, dead_only }
        ),
        4 => job().prop_map(Operation::Promote),
        4 => (job(), 1_u64..5000).prop_map(|(job, ms)| Operation::Postpone(job, ms)),
        2 => (job(), any::<bool>()).prop_map(|(job, stale)| Operation::Update { job, stale }),
        1 => Just(Operation::Pause),
        2 => Just(Operation::Resume),
        1 => option::of(1_u64..4).prop_map(Operation::Concurrency),
        1 => option::of(paces()).prop_map(Operation::Rate),
        4 => (any::<bool>(), option::weighted(0.7, limits()))
            .prop_map(|(name, limit)| Operation::LimitKeys(name, limit)),
        2 => (any::<bool>(), 0_u8..3, any::<bool>())
            .prop_map(|(name, value, pauses)| Operation::PauseKey(name, value, pauses)),
        3 => Just(Operation::Sweep),
        1 => Just(Operation::Reconcile),
    ]
}

/// Anything that may happen. Restarts are rare: they take as long as hundreds of other things.
pub(super) fn operations() -> impl Strategy<Value = Operation> {
    let cuts = prop_oneof![
        3 => Just(Cut::ReplyLost),
        2 => Just(Cut::Twice),
        3 => Just(Cut::Late),
    ];
    prop_oneof![
        800 => whole(),
        200 => (cuts, whole()).prop_map(|(cut, operation)| Operation::Cut(cut, Box::new(operation))),
        80 => any::<Index>().prop_map(Operation::Arrives),
        1 => Just(Operation::Restart),
    ]
}
