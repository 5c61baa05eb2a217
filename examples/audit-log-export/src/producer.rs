//! The typed producer method: what the rest of the service calls instead of naming queues and jobs.

use ergate::{Client, Enqueue, Unique};

use crate::job::AuditLogExport;

/// Enqueues this service's jobs.
#[derive(Debug, Clone)]
pub(crate) struct Producer {
    client: Client,
}

impl Producer {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Asks for an export. While the same one is under way, asking again gives the receipt of that one: a double click
    /// makes one file.
    pub(crate) fn audit_log_export(&self, export: AuditLogExport) -> Enqueue {
        let same = Unique::until_finished(key(&export)).ignore();
        self.client.enqueue(export).unique(same)
    }
}

/// Short enough for a unique key, however long the filters are.
fn key(export: &AuditLogExport) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    serde_json::to_string(export).unwrap_or_default().hash(&mut hasher);
    format!("audit-log-export:{}:{:016x}", export.org_id, hasher.finish())
}
