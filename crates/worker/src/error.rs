//! What can keep a worker from running.

/// An error of [`Worker`](crate::Worker).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The worker was put together in a way that cannot work; all that is wrong with it.
    #[error("worker cannot start: {}", .0.join("; "))]
    Setup(Vec<String>),
    /// Redis refused a limit that the worker sets as it starts. A Redis that cannot be reached is waited for.
    #[error(transparent)]
    Client(#[from] ergate_client::Error),
    /// The thread for heartbeats could not be started.
    #[error("heartbeat thread cannot be started")]
    Thread(#[source] std::io::Error),
}
