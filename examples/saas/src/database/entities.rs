//! Entities, with the status the service keeps of them: pending, processing, then completed or failed.

use super::Database;

impl Database {
    /// The amounts of an entity, as they were typed; `None` if there is no such entity in the organization.
    pub(crate) async fn amounts(&self, organization: &str, entity: &str) -> anyhow::Result<Option<String>> {
        let found: Option<(String,)> =
            sqlx::query_as("select amounts from entities where id = ? and organization_id = ?")
                .bind(entity)
                .bind(organization)
                .fetch_optional(&self.pool)
                .await?;
        Ok(found.map(|(amounts,)| amounts))
    }

    pub(crate) async fn entity_is_processing(&self, entity: &str) -> anyhow::Result<()> {
        sqlx::query("update entities set status = 'processing' where id = ?")
            .bind(entity)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    pub(crate) async fn entity_is_completed(&self, entity: &str, total: i64) -> anyhow::Result<()> {
        sqlx::query("update entities set status = 'completed', result = ?, error = null where id = ?")
            .bind(total.to_string())
            .bind(entity)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    pub(crate) async fn entity_is_failed(&self, entity: &str, error: &str) -> anyhow::Result<()> {
        sqlx::query("update entities set status = 'failed', error = ? where id = ?")
            .bind(error)
            .bind(entity)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Status, result and error of an entity.
    #[cfg(test)]
    pub(crate) async fn entity(
        &self,
        entity: &str,
    ) -> anyhow::Result<Option<(String, Option<String>, Option<String>)>> {
        let found = sqlx::query_as("select status, result, error from entities where id = ?");
        Ok(found.bind(entity).fetch_optional(&self.pool).await?)
    }
}
