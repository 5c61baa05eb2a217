//! An entry of the journal that is open until something from outside, or time, closes it.

use std::sync::Arc;

use ergate_shared::run::Resolution;

use super::changed;
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
    let resolution = if shared.store.now_ms() >= due {
        Some(Resolution::TimedOut)
    } else {
        let _running = shared.running();
        ask.await
    };
    let pending = resolution.is_none().then(|| shared.pending(due));
    if let Some(resolution) = resolution {
        shared.resolve(step, number, resolution);
    }
    let newer = changed(shared, step, number).await;
    drop((pending, open));
    newer
}
