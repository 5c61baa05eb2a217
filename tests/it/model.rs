//! The scripts against models in plain Rust: random operations, calls that are lost, doubled and held up on their way, a clock
//! that is set, and after each of them both compared.
//!
//! `ERGATE_MODEL_CASES` sets how many sequences each model plays, `ERGATE_MODEL_SEED` which; the seed is printed. One that fails is
//! made shorter in at most `ERGATE_MODEL_SHRINK` tries.

use std::{collections::BTreeSet, fmt::Debug, io::Write as _};

use proptest::{
    strategy::Strategy,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner},
};

mod jobs;
mod registry;
mod runs;
mod schedules;
mod transitions;

/// Scripts, and what they answered or did.
type Met = BTreeSet<(&'static str, String)>;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

/// Plays so many sequences, unless the environment says otherwise; one that fails is made as short as it can be.
fn sequences<S: Strategy>(cases: u32, strategy: S, play: impl Fn(S::Value) -> Result<(), String>)
where
    S::Value: Debug,
{
    let seed = setting("ERGATE_MODEL_SEED").unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    let cases = setting("ERGATE_MODEL_CASES").map_or(cases, |cases| cases as u32);
    let _ = writeln!(std::io::stdout(), "{cases} sequences of ERGATE_MODEL_SEED={seed}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let max_shrink_iters = setting("ERGATE_MODEL_SHRINK").map_or(4096, |tries| tries as u32);
    let config = Config { cases, failure_persistence: None, max_shrink_iters, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    if let Err(failure) = runner.run(&strategy, |value| play(value).map_err(TestCaseError::fail)) {
        panic!("{failure}");
    }
}
