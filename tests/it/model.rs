//! The scripts against a model of a queue in plain Rust: random operations, a clock that is set, and after each of them
//! every job, key and count compared.
//!
//! `ERGATE_MODEL_CASES` sets how many sequences are tried.

use proptest::{
    collection::vec,
    option,
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};

use crate::story::Story;

mod operation;
mod queue;
mod rehearsal;

use operation::{Job, Operation, Settling, When};
use rehearsal::Rehearsal;

/// Sequences tried unless the environment says otherwise: about ten seconds.
const CASES: u32 = 150;
const LONGEST: usize = 60;

fn jobs() -> impl Strategy<Value = Job> {
    let when = prop_oneof![
        4 => Just(When::Now),
        2 => (1_u64..4000).prop_map(When::In),
        1 => (0_u64..20_000).prop_map(When::AtStartPlus),
    ];
    let priority = prop_oneof![3 => Just(5_i64), 2 => 1_i64..=10];
    let unique = option::weighted(0.3, (0_u8..3, 0_u8..3, 1_u64..8000, any::<bool>()));
    let keys = prop_oneof![
        3 => Just((None, None)),
        1 => (0_u8..3).prop_map(|value| (Some(value), None)),
        1 => (0_u8..3, 0_u8..2).prop_map(|(first, second)| (Some(first), Some(second))),
    ];
    (when, priority, option::weighted(0.2, 0_u8..3), unique, option::weighted(0.2, 0_u64..5000), keys)
        .prop_map(|(when, priority, own_id, unique, expiry, keys)| {
            let expiry = expiry.filter(|_| keys == (None, None));
            Job { when, priority, own_id, unique, expiry, keys }
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

fn operations() -> impl Strategy<Value = Operation> {
    let job = any::<prop::sample::Index>;
    let time = prop_oneof![
        6 => 1_u64..3000,
        2 => Just(10_000_u64),
        2 => Just(15_000_u64),
        1 => Just(2 * 3_600_000_u64),
    ];
    prop_oneof![
        6 => (0_usize..4, any::<bool>()).prop_map(|(count, twice)| Operation::EnqueuePlain { count, twice }),
        10 => (jobs(), any::<bool>()).prop_map(|(job, twice)| Operation::Enqueue { job, twice }),
        14 => (any::<bool>(), 0_usize..4, vec((job(), settlings()), 0..3))
            .prop_map(|(first, ask, settle)| Operation::Turn { first, ask, settle }),
        5 => time.prop_map(Operation::Pass),
        2 => any::<bool>().prop_map(Operation::Heartbeat),
        3 => Just(Operation::Reap),
        1 => any::<bool>().prop_map(Operation::Leave),
        4 => job().prop_map(Operation::Cancel),
        3 => job().prop_map(Operation::Remove),
        4 => job().prop_map(Operation::Retry),
        4 => job().prop_map(Operation::Promote),
        4 => (job(), 1_u64..5000).prop_map(|(job, ms)| Operation::Postpone(job, ms)),
        2 => (job(), any::<bool>()).prop_map(|(job, stale)| Operation::Update { job, stale }),
        1 => Just(Operation::Pause),
        2 => Just(Operation::Resume),
        1 => option::of(1_u64..4).prop_map(Operation::Limit),
        2 => (any::<bool>(), option::of(1_u64..3)).prop_map(|(name, most)| Operation::LimitKeys(name, most)),
        2 => (any::<bool>(), 0_u8..3, any::<bool>())
            .prop_map(|(name, value, pauses)| Operation::PauseKey(name, value, pauses)),
        3 => Just(Operation::Sweep),
    ]
}

#[test]
fn the_scripts_do_what_a_plain_model_of_a_queue_does() {
    let cases = std::env::var("ERGATE_MODEL_CASES").map_or(CASES, |cases| cases.parse().unwrap());
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 4096, ..Config::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let story = runtime.block_on(Story::begin());
    let played = std::cell::Cell::new(0);

    let outcome = TestRunner::new(config).run(&vec(operations(), 1..LONGEST), |operations| {
        played.set(played.get() + 1);
        let name = format!("model-{}", played.get());
        runtime.block_on(async {
            let queue = story.client.queue(&name).unwrap();
            let mut rehearsal = Rehearsal::of(queue);
            for (step, operation) in operations.iter().enumerate() {
                let done = rehearsal.play(operation).await;
                done.map_err(|problem| {
                    TestCaseError::fail(format!("step {step}, {operation:?}: {problem}"))
                })?;
            }
            rehearsal
                .clear_away()
                .await
                .map_err(|problem| TestCaseError::fail(format!("at the end: {problem}")))
        })
    });

    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
