//! Sets the limits per key that code declares for queues: at the start, and where a new connection leads to data without them.

use std::time::Duration;

use ergate_client::{Client, Error, Limit};

use crate::cut_off::cut_off;

/// How soon limits that Redis could not take are set again.
const AGAIN: Duration = Duration::from_millis(500);
/// How often it is looked whether there was a new connection.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Sets all, however long Redis is away: a job that started without them could not be undone. Returns the connection on which
/// it was done.
pub(crate) async fn set(client: &Client, limits: &[(String, Limit)]) -> Result<u64, Error> {
    let generation = client.redis().generation();
    for (queue, limit) in limits {
        let queue = client.queue(queue)?;
        while let Err(error) = queue.set_limit(limit).await {
            if !error.is_temporary() {
                return Err(error);
            }
            cut_off!(error, queue = %queue.name(), "limits are not set yet; trying again");
            tokio::time::sleep(AGAIN).await;
        }
    }
    // The first call makes the connection.
    Ok(generation.max(1))
}

/// After every new connection, which may lead to new data, sets those that are not there. Others are left as they are: somebody
/// may have changed them by hand since, or a newer release of the code.
pub(crate) async fn keep(client: Client, limits: Vec<(String, Limit)>, mut generation: u64) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = client.redis().generation();
        if now == generation {
            continue;
        }
        match set_missing(&client, &limits).await {
            Ok(()) => generation = now,
            Err(error) => tracing::debug!(%error, "limits are looked at again soon"),
        }
    }
}

async fn set_missing(client: &Client, limits: &[(String, Limit)]) -> Result<(), Error> {
    for (name, limit) in limits {
        let queue = client.queue(name)?;
        if queue.limits().await?.iter().all(|known| known.name.as_str() != limit.name()) {
            tracing::warn!(queue = %queue.name(), limit = limit.name(), "limit was gone and is set again");
            queue.set_limit(limit).await?;
        }
    }
    Ok(())
}
