//! What producers and workers share about an export: the queue's name, the payload, and what comes of it.
//!
//! In a service of several crates this is the part that lives in the shared one.

use std::time::Duration;

use ergate::prelude::*;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The queue of everything that writes files for users.
pub(crate) const EXPORTS: &str = "exports";

/// A user clicked Export: write the audit log of an organization from `start_date` up to, not including, `end_date`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuditLogExport {
    pub(crate) org_id: Uuid,
    pub(crate) user_id: Uuid,
    /// Who gets the link.
    pub(crate) user_email: String,
    pub(crate) start_date: Timestamp,
    pub(crate) end_date: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) filters: Option<Filters>,
}

/// Which rows of the range are meant; what is `None` does not matter.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filters {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) action: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) actor: Option<String>,
}

/// What a finished export says of itself; kept by Ergate as the job's result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Exported {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    /// When the attempt that made it began.
    pub(crate) started_at: Timestamp,
}

impl Job for AuditLogExport {
    const NAME: &str = "audit-log-export";
    const QUEUE: &str = EXPORTS;
    const PRIORITY: Priority = Priority::Normal;
    const RETRIES: u32 = 3;
    const TIMEOUT: Duration = Duration::from_secs(300);

    fn backoff() -> Backoff {
        Backoff::exponential(Duration::from_secs(1))
    }
}
