//! The service's own data, in SQLite through sqlx. Several processes have the same file open.
//!
//! Every change may be made twice with the same outcome, as steps are done again by whoever takes over from a worker that
//! died: rows are replaced under keys of their own, and what is counted is counted under the key of the step.

use std::{path::Path, time::Duration};

use anyhow::Context;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

mod cleanup;
mod entities;
mod organizations;
pub(crate) mod seed;

pub(crate) use organizations::Subscription;

/// How long a call waits for another process that writes.
const BUSY: Duration = Duration::from_secs(10);
/// Each is a thread.
const CONNECTIONS: u32 = 2;

/// A handle on the database: cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    pool: SqlitePool,
    /// Where uploads lie.
    uploads: std::path::PathBuf,
}

/// Somebody with an account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) email: String,
}

impl Database {
    /// Opens the file in this folder, and makes it and its tables if they are not there.
    pub(crate) async fn open(folder: &Path) -> anyhow::Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(folder.join("saas.db"))
            .create_if_missing(true)
            .busy_timeout(BUSY)
            .journal_mode(SqliteJournalMode::Wal)
            // No flush per change: a crash of the program loses nothing.
            .synchronous(SqliteSynchronous::Normal);
        let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS).connect_with(options).await;
        let pool = pool.with_context(|| format!("database in {}", folder.display()))?;
        sqlx::raw_sql(include_str!("database/schema.sql")).execute(&pool).await?;
        let uploads = folder.join("uploads");
        std::fs::create_dir_all(&uploads)?;
        Ok(Self { pool, uploads })
    }

    /// Whether it answers.
    pub(crate) async fn check(&self) -> anyhow::Result<()> {
        sqlx::query("select 1").execute(&self.pool).await?;
        Ok(())
    }

    pub(crate) async fn user(&self, id: &str) -> anyhow::Result<User> {
        let found: Option<(String, String)> = sqlx::query_as("select name, email from users where id = ?")
            .bind(id)
            .fetch_optional(&self.pool)
            .await?;
        let (name, email) = found.with_context(|| format!("there is no user {id}"))?;
        Ok(User { id: id.to_owned(), name, email })
    }

    /// Whether somebody did something since then.
    pub(crate) async fn was_active(&self, user: &str, since: Timestamp) -> anyhow::Result<bool> {
        let at: Option<(i64,)> = sqlx::query_as("select active_at from users where id = ?")
            .bind(user)
            .fetch_optional(&self.pool)
            .await?;
        Ok(at.is_some_and(|(at,)| at >= since.as_millisecond()))
    }

    /// Those who want a report each day.
    pub(crate) async fn users_with_reports(&self) -> anyhow::Result<Vec<User>> {
        let rows: Vec<(String, String, String)> =
            sqlx::query_as("select id, name, email from users where reports_enabled order by id")
                .fetch_all(&self.pool)
                .await?;
        Ok(rows.into_iter().map(|(id, name, email)| User { id, name, email }).collect())
    }

    /// Leaves word for somebody, once for a key.
    pub(crate) async fn notify(&self, key: &str, user: &str, text: &str) -> anyhow::Result<()> {
        sqlx::query("insert or replace into notifications (key, user_id, text) values (?, ?, ?)")
            .bind(key)
            .bind(user)
            .bind(text)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// How often each thing was done in an organization, from one moment up to another.
    pub(crate) async fn actions(
        &self,
        organization: &str,
        from: Timestamp,
        until: Timestamp,
    ) -> anyhow::Result<Vec<(String, u64)>> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "select action, count(*) from audit_logs where organization_id = ? and at >= ? and at < ? \
             group by action order by action",
        )
        .bind(organization)
        .bind(from.as_millisecond())
        .bind(until.as_millisecond())
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|(action, count)| (action, count.unsigned_abs())).collect())
    }

    /// One number, for tests and the audit of the demonstration.
    pub(crate) async fn count(&self, query: &'static str) -> anyhow::Result<u64> {
        let (count,): (i64,) = sqlx::query_as(query).fetch_one(&self.pool).await.context(query)?;
        Ok(count.unsigned_abs())
    }
}
