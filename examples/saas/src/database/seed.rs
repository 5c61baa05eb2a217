//! What is in the database at first: made up, but always the same.

use jiff::{SignedDuration, Timestamp};

use super::Database;

/// Id, name, whether its integrations are kept up to date.
const ORGANIZATIONS: [(&str, &str, bool); 4] = [
    ("acacia", "Acacia", true),
    ("birch", "Birch", true),
    ("cedar", "Cedar", true),
    ("dogwood", "Dogwood", false),
];
/// Id, organization, name, whether a report is wanted each day, days since the last visit.
const USERS: [(&str, &str, &str, bool, i64); 5] = [
    ("ada", "acacia", "Ada", true, 0),
    ("bob", "acacia", "Bob", false, 10),
    ("cleo", "birch", "Cleo", true, 1),
    ("dan", "birch", "Dan", false, 40),
    ("eve", "cedar", "Eve", false, 2),
];
/// Id, organization, cents a month, state.
const SUBSCRIPTIONS: [(&str, &str, i64, &str); 4] = [
    ("sub-1", "acacia", 4900, "active"),
    ("sub-2", "birch", 9900, "active"),
    ("sub-3", "cedar", 4900, "active"),
    ("sub-4", "dogwood", 9900, "cancelled"),
];
/// Id and amounts, as they were typed; the last cannot be read.
const ENTITIES: [(&str, &str); 2] = [("order-1", "10,20,12"), ("order-2", "10,twenty")];
const ACTIONS: [&str; 3] = ["login", "export", "billing.updated"];

fn days_before(now: Timestamp, days: i64) -> i64 {
    (now - SignedDuration::from_hours(24 * days)).as_millisecond()
}

impl Database {
    /// Fills an empty database; one that has something is left as it is.
    pub(crate) async fn seed(&self, now: Timestamp) -> anyhow::Result<()> {
        if self.count("select count(*) from organizations").await? > 0 {
            return Ok(());
        }
        for (id, name, synced) in ORGANIZATIONS {
            sqlx::query("insert into organizations values (?, ?, ?, ?)")
                .bind(id)
                .bind(name)
                .bind(format!("owner@{id}.example"))
                .bind(synced)
                .execute(&self.pool)
                .await?;
        }
        for (id, organization, name, reports, days) in USERS {
            sqlx::query("insert into users values (?, ?, ?, ?, ?, ?)")
                .bind(id)
                .bind(organization)
                .bind(name)
                .bind(format!("{id}@{organization}.example"))
                .bind(reports)
                .bind(days_before(now, days))
                .execute(&self.pool)
                .await?;
        }
        for (id, organization, cents, state) in SUBSCRIPTIONS {
            sqlx::query("insert into subscriptions values (?, ?, ?, ?)")
                .bind(id)
                .bind(organization)
                .bind(cents)
                .bind(state)
                .execute(&self.pool)
                .await?;
        }
        for (id, amounts) in ENTITIES {
            sqlx::query("insert into entities (id, organization_id, amounts) values (?, 'acacia', ?)")
                .bind(id)
                .bind(amounts)
                .execute(&self.pool)
                .await?;
        }
        self.seed_sessions("first", now).await?;
        self.seed_old(now).await
    }

    /// Four sessions, three of which have expired.
    pub(crate) async fn seed_sessions(&self, prefix: &str, now: Timestamp) -> anyhow::Result<()> {
        for day in 0..4 {
            sqlx::query("insert or ignore into sessions values (?, 'ada', ?)")
                .bind(format!("{prefix}-{day}"))
                .bind((now + SignedDuration::from_hours(12 - 24 * day)).as_millisecond())
                .execute(&self.pool)
                .await?;
        }
        Ok(())
    }

    /// Logs of a hundred days, two trips of which one is long over, three uploads of which two belong to nobody.
    async fn seed_old(&self, now: Timestamp) -> anyhow::Result<()> {
        let mut transaction = self.pool.begin_with("begin immediate").await?;
        for day in 0..100 {
            let at = days_before(now, day) - 1;
            sqlx::query("insert into logs (at, line) values (?, 'started')")
                .bind(at)
                .execute(&mut *transaction)
                .await?;
            for (organization, ..) in ORGANIZATIONS {
                sqlx::query("insert into audit_logs (organization_id, at, action) values (?, ?, ?)")
                    .bind(organization)
                    .bind(at)
                    .bind(ACTIONS[day.unsigned_abs() as usize % ACTIONS.len()])
                    .execute(&mut *transaction)
                    .await?;
            }
        }
        for (id, days) in [("trip-old", 60), ("trip-new", 3)] {
            sqlx::query("insert into trips values (?, 'bob', 'ada', ?)")
                .bind(id)
                .bind(days_before(now, days))
                .execute(&mut *transaction)
                .await?;
        }
        for (name, owner) in [("kept.txt", Some("ada")), ("lost-1.txt", None), ("lost-2.txt", None)] {
            std::fs::write(self.uploads.join(name), name)?;
            let insert = sqlx::query("insert into uploads values (?, ?)");
            insert.bind(name).bind(owner).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}
