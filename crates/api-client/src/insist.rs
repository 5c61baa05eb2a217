//! What the engine itself sends is sent until Redis has taken it, however long it is away or full.

use std::time::Duration;

use crate::Error;

/// How soon the engine tries again.
const AGAIN: Duration = Duration::from_millis(500);

/// Waits before a call that Redis has not answered, or had no memory for, is made again; any other error is handed on.
pub(crate) async fn insist_after(error: Error) -> Result<(), Error> {
    if !error.is_temporary() {
        return Err(error);
    }
    // That Redis cannot be reached is told once for all calls.
    if error.is_connection() {
        tracing::debug!(%error, "redis has not taken it yet; it is tried again");
    } else {
        tracing::warn!(%error, "redis has not taken it yet; it is tried again");
    }
    tokio::time::sleep(AGAIN).await;
    Ok(())
}
