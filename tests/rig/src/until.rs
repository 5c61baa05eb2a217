//! The one way a test waits: for a condition, never for an amount of time.

use std::{pin::pin, time::Duration};

use tokio::time::{Instant, sleep, timeout_at};

/// How long any wait of a test may take. Generous, since it only decides how late a broken test is called broken, and machines whose
/// processors are shared with others may get a third of them.
pub const DEADLINE: Duration = Duration::from_secs(60);

const INTERVAL: Duration = Duration::from_millis(5);

/// Waits until `condition` holds.
///
/// # Panics
/// After [`DEADLINE`], naming `what` was awaited.
#[track_caller]
pub fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) -> impl Future<Output = ()> {
    until_some(what, async move || condition().await.then_some(()))
}

/// Waits until `probe` finds something, and returns it.
///
/// # Panics
/// After [`DEADLINE`], naming `what` was awaited.
#[track_caller]
pub fn until_some<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        let deadline = Instant::now() + DEADLINE;
        let poll = async {
            loop {
                if let Some(found) = probe().await {
                    return found;
                }
                sleep(INTERVAL).await;
            }
        };
        match timeout_at(deadline, pin!(poll)).await {
            Ok(found) => found,
            Err(_) => panic!("after {DEADLINE:?} still waiting at {caller} until {what}"),
        }
    }
}
