//! When to stop.

/// Resolves at SIGTERM or SIGINT (Ctrl-C), for [`Worker::run_until`](crate::Worker::run_until).
///
/// # Panics
/// If the process may not listen for signals.
pub async fn shutdown_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).expect("a process may listen for SIGTERM");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
