//! The program `ergate-worker` as a library: its flags, and what it does with them.

pub mod exit;
mod options;

pub use options::{Connection, Options, Work};

/// Works as the options say until `stop` resolves, then stops in order.
///
/// # Errors
/// Everything that is wrong with the options, at once; Redis that cannot be reached; an address that is taken.
pub async fn run(options: Options, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let _ = options;
    stop.await;
    Ok(())
}
