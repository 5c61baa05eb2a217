//! Whether what the service stands on is there.

use ergate::Client;
use serde::{Deserialize, Serialize};

use crate::app::App;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checks {
    pub(crate) database: bool,
    pub(crate) redis: bool,
    pub(crate) payments: bool,
}

impl Checks {
    /// The names of those that failed.
    pub(crate) fn failed(&self) -> Vec<&'static str> {
        let all = [("database", self.database), ("redis", self.redis), ("payments", self.payments)];
        all.into_iter().filter(|(_, well)| !well).map(|(name, _)| name).collect()
    }
}

/// Looks at all of them at once. What does not answer is a finding, not a failure of the look.
pub(crate) async fn run(app: &App, client: &Client) -> anyhow::Result<Checks> {
    let ping = redis::cmd("PING");
    let (database, redis, payments) = tokio::join!(
        app.database.check(),
        client.redis().command::<String>("PING", &ping),
        app.partners.payments()
    );
    Ok(Checks { database: database.is_ok(), redis: redis.is_ok(), payments: payments.is_ok() })
}
