//! The service's own data in SQLite: organizations, their audit logs, and notifications for users.
//!
//! Calls run on the blocking pool, one at a time per process. Several processes may have the same file open.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context;
use ergate::JobId;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, named_params, params, types::Type};
use serde::Serialize;
use uuid::Uuid;

use crate::job::{AuditLogExport, Filters};

pub(crate) mod seed;

/// How long a call waits for another process that writes.
const BUSY: Duration = Duration::from_secs(10);

/// A handle on the database: cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    connection: Arc<Mutex<Connection>>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Organization {
    pub(crate) id: Uuid,
    pub(crate) name: String,
}

/// Which audit logs are meant: of an organization, from a time up to and not including another.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    pub(crate) org_id: Uuid,
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
    pub(crate) filters: Filters,
}

/// One line of an audit log, as it is exported.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct AuditLog {
    pub(crate) id: i64,
    pub(crate) at: Timestamp,
    pub(crate) actor: String,
    pub(crate) action: String,
    pub(crate) target: String,
    pub(crate) ip: String,
}

/// What a user finds when coming back.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Notification {
    pub(crate) export_id: String,
    pub(crate) org_id: Uuid,
    pub(crate) user_id: Uuid,
    pub(crate) title: String,
    pub(crate) rows: u64,
    pub(crate) created_at: Timestamp,
}

// impl Selection

impl From<&AuditLogExport> for Selection {
    fn from(export: &AuditLogExport) -> Self {
        Self {
            org_id: export.org_id,
            from: export.start_date,
            until: export.end_date,
            filters: export.filters.clone().unwrap_or_default(),
        }
    }
}

// impl Database

impl Database {
    /// Opens the file, and makes it and its tables if they are not there.
    pub(crate) async fn open(path: &Path) -> anyhow::Result<Self> {
        let file = path.to_owned();
        tokio::task::spawn_blocking(move || Self::over(Connection::open(file)?))
            .await?
            .with_context(|| format!("database {}", path.display()))
    }

    #[cfg(test)]
    pub(crate) fn in_memory() -> Self {
        Self::over(Connection::open_in_memory().unwrap()).unwrap()
    }

    fn over(connection: Connection) -> anyhow::Result<Self> {
        connection.busy_timeout(BUSY)?;
        // Readers and a writer at once, and no flush per notification: a crash of the program loses nothing.
        connection.execute_batch("pragma journal_mode = wal; pragma synchronous = normal;")?;
        connection.execute_batch(include_str!("schema.sql"))?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)) })
    }

    async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let connection = Arc::clone(&self.connection);
        tokio::task::spawn_blocking(move || {
            work(&mut connection.lock().unwrap_or_else(PoisonError::into_inner))
        })
        .await?
        .context("database call")
    }

    pub(crate) async fn organizations(&self) -> anyhow::Result<Vec<Organization>> {
        self.call(|connection| {
            let mut found = connection.prepare("select id, name from organizations order by name")?;
            found.query_map([], organization)?.collect()
        })
        .await
    }

    pub(crate) async fn organization(&self, id: Uuid) -> anyhow::Result<Option<Organization>> {
        self.call(move |connection| {
            connection
                .query_row("select id, name from organizations where id = ?", [id.to_string()], organization)
                .optional()
        })
        .await
    }

    /// How many rows a selection has.
    pub(crate) async fn count(&self, selection: &Selection) -> anyhow::Result<u64> {
        let selection = selection.clone();
        self.call(move |connection| {
            connection.query_row(
                "select count(*) from audit_logs
                 where org_id = :org and at >= :from and at < :until
                   and (:action is null or action = :action) and (:actor is null or actor = :actor)",
                named_params! {
                    ":org": selection.org_id.to_string(),
                    ":from": selection.from.as_millisecond(),
                    ":until": selection.until.as_millisecond(),
                    ":action": selection.filters.action,
                    ":actor": selection.filters.actor,
                },
                |row| row.get(0).map(|count: i64| count.unsigned_abs()),
            )
        })
        .await
    }

    /// The next rows of a selection in order of time, after the last one of the page before.
    pub(crate) async fn page(
        &self,
        selection: &Selection,
        after: Option<&AuditLog>,
        limit: u32,
    ) -> anyhow::Result<Vec<AuditLog>> {
        let selection = selection.clone();
        let (at, id) = after.map_or((i64::MIN, 0), |last| (last.at.as_millisecond(), last.id));
        self.call(move |connection| {
            let mut found = connection.prepare(
                "select id, at, actor, action, target, ip from audit_logs
                 where org_id = :org and at >= :from and at < :until
                   and (:action is null or action = :action) and (:actor is null or actor = :actor)
                   and (at, id) > (:at, :id)
                 order by at, id limit :limit",
            )?;
            let values = named_params! {
                ":org": selection.org_id.to_string(),
                ":from": selection.from.as_millisecond(),
                ":until": selection.until.as_millisecond(),
                ":action": selection.filters.action,
                ":actor": selection.filters.actor,
                ":at": at,
                ":id": id,
                ":limit": limit,
            };
            found.query_map(values, audit_log)?.collect()
        })
        .await
    }

    /// Tells the user that the export is ready; once, however often it is called.
    pub(crate) async fn notify(
        &self,
        id: &JobId,
        export: &AuditLogExport,
        title: String,
        rows: u64,
    ) -> anyhow::Result<()> {
        let (id, org, user) = (id.to_string(), export.org_id.to_string(), export.user_id.to_string());
        self.call(move |connection| {
            connection.execute(
                "insert into notifications (export_id, org_id, user_id, title, rows, created_at)
                 values (?, ?, ?, ?, ?, ?) on conflict do nothing",
                params![id, org, user, title, rows.cast_signed(), Timestamp::now().as_millisecond()],
            )
        })
        .await
        .map(drop)
    }

    /// The notification of an export, if it is finished.
    pub(crate) async fn notification(&self, export_id: &str) -> anyhow::Result<Option<Notification>> {
        let id = export_id.to_owned();
        self.call(move |connection| {
            connection
                .query_row("select * from notifications where export_id = ?", [id], notification)
                .optional()
        })
        .await
    }

    /// The latest notifications, the newest first.
    pub(crate) async fn notifications(&self, limit: u32) -> anyhow::Result<Vec<Notification>> {
        self.call(move |connection| {
            let mut found =
                connection.prepare("select * from notifications order by created_at desc limit ?")?;
            found.query_map([limit], notification)?.collect()
        })
        .await
    }
}

fn organization(row: &Row<'_>) -> rusqlite::Result<Organization> {
    Ok(Organization { id: id(row, "id")?, name: row.get("name")? })
}

fn audit_log(row: &Row<'_>) -> rusqlite::Result<AuditLog> {
    Ok(AuditLog {
        id: row.get("id")?,
        at: time(row, "at")?,
        actor: row.get("actor")?,
        action: row.get("action")?,
        target: row.get("target")?,
        ip: row.get("ip")?,
    })
}

fn notification(row: &Row<'_>) -> rusqlite::Result<Notification> {
    Ok(Notification {
        export_id: row.get("export_id")?,
        org_id: id(row, "org_id")?,
        user_id: id(row, "user_id")?,
        title: row.get("title")?,
        rows: row.get::<_, i64>("rows")?.unsigned_abs(),
        created_at: time(row, "created_at")?,
    })
}

fn id(row: &Row<'_>, column: &str) -> rusqlite::Result<Uuid> {
    row.get::<_, String>(column)?.parse().map_err(|error| malformed(Type::Text, error))
}

fn time(row: &Row<'_>, column: &str) -> rusqlite::Result<Timestamp> {
    Timestamp::from_millisecond(row.get(column)?).map_err(|error| malformed(Type::Integer, error))
}

fn malformed(kind: Type, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, kind, Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pages_together_are_the_selection_in_order_and_without_doubles() {
        let database = Database::in_memory();
        let until = "2026-06-01T00:00:00Z".parse().unwrap();
        database.seed(2, 500, until).await.unwrap();
        let org_id = database.organizations().await.unwrap()[0].id;
        let filters = Filters { action: Some("member.invited".to_owned()), actor: None };
        let selection = Selection { org_id, from: Timestamp::UNIX_EPOCH, until, filters };

        let mut read: Vec<AuditLog> = Vec::new();
        loop {
            let page = database.page(&selection, read.last(), 7).await.unwrap();
            if page.is_empty() {
                break;
            }
            read.extend(page);
        }

        assert!(read.len() > 7);
        assert_eq!(read.len() as u64, database.count(&selection).await.unwrap());
        assert!(read.is_sorted_by_key(|row| (row.at, row.id)));
        assert!(read.iter().all(|row| row.action == "member.invited"));
    }
}
