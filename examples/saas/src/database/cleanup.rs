//! Deleting what is old, and saying how much that was.

use anyhow::Context;
use jiff::Timestamp;
use sqlx::SqliteConnection;

use super::Database;

impl Database {
    /// Sessions that have expired by then.
    pub(crate) async fn delete_sessions(&self, key: &str, now: Timestamp) -> anyhow::Result<u64> {
        self.delete(key, "delete from sessions where expires_at < ?", now).await
    }

    /// Audit logs from before then.
    pub(crate) async fn delete_audit_logs(&self, key: &str, before: Timestamp) -> anyhow::Result<u64> {
        self.delete(key, "delete from audit_logs where at < ?", before).await
    }

    /// Logs of the program from before then.
    pub(crate) async fn delete_logs(&self, key: &str, before: Timestamp) -> anyhow::Result<u64> {
        self.delete(key, "delete from logs where at < ?", before).await
    }

    /// Trips that were completed before then.
    pub(crate) async fn delete_trips(&self, key: &str, before: Timestamp) -> anyhow::Result<u64> {
        self.delete(key, "delete from trips where completed_at < ?", before).await
    }

    /// Uploads that belong to nobody, with their files.
    pub(crate) async fn delete_orphans(&self, key: &str) -> anyhow::Result<u64> {
        let orphans: Vec<(String,)> =
            sqlx::query_as("select name from uploads where owner_id is null").fetch_all(&self.pool).await?;
        for (name,) in &orphans {
            // Files first: as long as the row is there, whoever takes over finds what is left.
            match tokio::fs::remove_file(self.uploads.join(name)).await {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("upload {name}"));
                }
                _ => {}
            }
        }
        let mut transaction = self.pool.begin_with("begin immediate").await?;
        if let Some(rows) = known(&mut transaction, key).await? {
            return Ok(rows);
        }
        let mut rows = 0;
        // These and no others: an upload that lost its owner meanwhile still has its file.
        for (name,) in &orphans {
            let gone = sqlx::query("delete from uploads where name = ?").bind(name);
            rows += gone.execute(&mut *transaction).await?.rows_affected();
        }
        note(&mut transaction, key, rows).await?;
        transaction.commit().await?;
        Ok(rows)
    }

    /// Deletes once for a key: rows and their number are written in one transaction, so that whoever asks again with the
    /// same key, since nobody heard the answer, is told the same number.
    async fn delete(&self, key: &str, statement: &'static str, before: Timestamp) -> anyhow::Result<u64> {
        // It takes the right to write at once: two that wanted it later would fail.
        let mut transaction = self.pool.begin_with("begin immediate").await?;
        if let Some(rows) = known(&mut transaction, key).await? {
            return Ok(rows);
        }
        let gone = sqlx::query(statement).bind(before.as_millisecond()).execute(&mut *transaction).await?;
        note(&mut transaction, key, gone.rows_affected()).await?;
        transaction.commit().await?;
        Ok(gone.rows_affected())
    }
}

/// How many rows were deleted under this key, if that was done before.
async fn known(connection: &mut SqliteConnection, key: &str) -> anyhow::Result<Option<u64>> {
    let known: Option<(i64,)> = sqlx::query_as("select rows from deletions where key = ?")
        .bind(key)
        .fetch_optional(connection)
        .await?;
    Ok(known.map(|(rows,)| rows.unsigned_abs()))
}

/// Writes down how many were deleted.
async fn note(connection: &mut SqliteConnection, key: &str, rows: u64) -> anyhow::Result<()> {
    sqlx::query("insert into deletions (key, rows) values (?, ?)")
        .bind(key)
        .bind(rows.cast_signed())
        .execute(connection)
        .await?;
    Ok(())
}
