//! The worker: which queues it works on, and the line that registers each handler.

use std::time::Duration;

use ergate::{Client, Worker};

use crate::{app::App, handler::export_audit_log, job::EXPORTS};

/// How a worker of this service is set up.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct WorkerOptions {
    /// Exports that run at once in this process.
    #[arg(long, env = "AUDIT_LOG_SLOTS", default_value_t = 4)]
    pub(crate) slots: usize,

    /// How long Redis keeps jobs for this worker without a sign of life.
    #[arg(long, env = "ERGATE_LEASE", default_value = "15s", value_parser = ergate::duration::parse)]
    pub(crate) lease: Duration,
}

/// A worker with every handler of this service.
pub(crate) fn worker(client: Client, app: App, options: WorkerOptions) -> Worker<App> {
    Worker::new(client, app)
        .queue(EXPORTS, options.slots)
        .lease(options.lease)
        .on_dead(|dead| tracing::error!(job.id = %dead.id, reason = %dead.failure.message, "export is a dead letter"))
        .job(export_audit_log)
}
