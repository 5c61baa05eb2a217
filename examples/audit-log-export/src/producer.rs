//! The typed producer method: what the rest of the service calls instead of naming queues and jobs.

use ergate::{Client, Enqueue, Unique};
use serde_json::json;

use crate::job::{AuditLogExport, Filters};

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

/// Whoever asks, of whatever release, makes the same key for the same export.
fn key(export: &AuditLogExport) -> String {
    let AuditLogExport { org_id, user_id, start_date, end_date, .. } = export;
    let Filters { action, actor } = export.filters.clone().unwrap_or_default();
    // Hashed, since filters may be longer than a unique key, which has 255 bytes at most.
    let filters = fnv1a(json!([action, actor]).to_string().as_bytes());
    format!("audit-log-export:{org_id}:{user_id}:{start_date}:{end_date}:{filters:016x}")
}

/// The hash FNV-1a. Those of the standard library may change with every release of Rust.
fn fnv1a(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn export(filters: Option<Filters>) -> AuditLogExport {
        AuditLogExport {
            org_id: Uuid::nil(),
            user_id: Uuid::max(),
            user_email: "ada@acacia.example".to_owned(),
            start_date: "2026-04-01T00:00:00.123456789Z".parse().unwrap(),
            end_date: "2026-06-01T00:00:00.123456789Z".parse().unwrap(),
            filters,
        }
    }

    fn by(action: &str) -> Option<Filters> {
        Some(Filters { action: Some(action.to_owned()), actor: None })
    }

    #[test]
    fn the_same_export_has_the_same_key_and_another_has_another() {
        assert_eq!(key(&export(by("login"))), key(&export(by("login"))));
        assert_eq!(key(&export(None)), key(&export(Some(Filters::default()))));
        assert_ne!(key(&export(by("login"))), key(&export(by("export"))));
        let actor = Filters { action: None, actor: Some("login".to_owned()) };
        assert_ne!(key(&export(by("login"))), key(&export(Some(actor))));
    }

    #[test]
    fn a_key_is_never_too_long() {
        assert!(key(&export(by(&"x".repeat(10_000)))).len() <= 255);
    }

    #[test]
    fn the_hash_is_the_one_it_is_named_for() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
