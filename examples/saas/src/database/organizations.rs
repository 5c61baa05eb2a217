//! Organizations: what they pay for, what is known of their customers, what their people do.

use std::collections::HashMap;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::Database;
use crate::partners::Contact;

/// Something an organization pays for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Subscription {
    pub(crate) id: String,
    pub(crate) organization: String,
    pub(crate) cents: i64,
}

impl Database {
    /// Name of an organization, and where its owner is reached.
    pub(crate) async fn organization(&self, id: &str) -> anyhow::Result<Option<(String, String)>> {
        let found = sqlx::query_as("select name, owner_email from organizations where id = ?");
        Ok(found.bind(id).fetch_optional(&self.pool).await?)
    }

    /// Those whose integrations are kept up to date.
    pub(crate) async fn synced_organizations(&self) -> anyhow::Result<Vec<String>> {
        let ids: Vec<(String,)> =
            sqlx::query_as("select id from organizations where sync_enabled order by id")
                .fetch_all(&self.pool)
                .await?;
        Ok(ids.into_iter().map(|(id,)| id).collect())
    }

    /// Replaces what is known of some contacts.
    pub(crate) async fn keep_contacts(&self, organization: &str, contacts: &[Contact]) -> anyhow::Result<()> {
        for contact in contacts {
            sqlx::query("insert or replace into contacts (organization_id, id, name) values (?, ?, ?)")
                .bind(organization)
                .bind(&contact.id)
                .bind(&contact.name)
                .execute(&self.pool)
                .await?;
        }
        Ok(())
    }

    pub(crate) async fn active_subscriptions(&self) -> anyhow::Result<Vec<Subscription>> {
        let rows: Vec<(String, String, i64)> = sqlx::query_as(
            "select id, organization_id, cents from subscriptions where state = 'active' order by id",
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|(id, organization, cents)| Subscription { id, organization, cents })
            .collect())
    }

    /// Takes over what the payment provider says, and returns how many of its subscriptions are known here.
    pub(crate) async fn set_subscriptions(&self, states: &HashMap<String, String>) -> anyhow::Result<u64> {
        let mut known = 0;
        for (id, state) in states {
            let changed = sqlx::query("update subscriptions set state = ? where id = ?");
            known += changed.bind(state).bind(id).execute(&self.pool).await?.rows_affected();
        }
        Ok(known)
    }

    /// Writes an invoice, once for a subscription and period.
    pub(crate) async fn invoice(&self, subscription: &Subscription, period: &str) -> anyhow::Result<()> {
        sqlx::query("insert or ignore into invoices (subscription_id, period, cents) values (?, ?, ?)")
            .bind(&subscription.id)
            .bind(period)
            .bind(subscription.cents)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Subscription and period of each invoice, for the audit of the demonstration.
    pub(crate) async fn invoices(&self) -> anyhow::Result<Vec<(String, String)>> {
        let all = sqlx::query_as("select subscription_id, period from invoices");
        Ok(all.fetch_all(&self.pool).await?)
    }

    /// Counts anew what was done in each organization, and returns how many counts there are.
    pub(crate) async fn count_activity(&self) -> anyhow::Result<u64> {
        let counted = sqlx::query(
            "insert or replace into activity (organization_id, action, count) \
             select organization_id, action, count(*) from audit_logs group by organization_id, action",
        );
        Ok(counted.execute(&self.pool).await?.rows_affected())
    }

    /// Writes the search index anew, and returns how many entries it has.
    pub(crate) async fn index(&self) -> anyhow::Result<u64> {
        let mut transaction = self.pool.begin_with("begin immediate").await.context("search index")?;
        sqlx::query("delete from search").execute(&mut *transaction).await?;
        let written = sqlx::query(
            "insert into search (kind, id, text) select 'organization', id, name from organizations \
             union all select 'user', id, name || ' ' || email from users",
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(written.rows_affected())
    }
}
