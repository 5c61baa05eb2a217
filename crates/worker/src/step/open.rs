//! An entry of the journal that is open until something from outside, or time, closes it.

use std::sync::Arc;

use ergate_shared::run::Resolution;

use super::{changed, sleep::until};
use crate::run::{Open, Shared, Standing};

/// Has the entry closed when it is due, or before, by what `ask` finds or by what is delivered to the run meanwhile; while
/// nothing does, the run may leave memory here. Returns the entry that says so, and what that is.
pub(super) async fn outlast(
    shared: &Arc<Shared>,
    step: &str,
    number: u32,
    due: u64,
    ask: impl Future<Output = Option<Resolution>>,
) -> (u32, Standing) {
    let open = Open::new(shared, step, number);
    let found = if shared.store.now_ms() >= due {
        None
    } else {
        let _running = shared.running();
        ask.await
    };
    let close = async {
        let resolution = match found {
            Some(resolution) => resolution,
            None => {
                until(shared, due).await;
                Resolution::TimedOut
            }
        };
        shared.resolve(step, number, resolution);
        // Whoever closed it, the journal says so.
        std::future::pending().await
    };
    let newer = tokio::select! {
        biased;
        newer = changed(shared, step, number) => newer,
        never = close => never,
    };
    drop(open);
    newer
}
