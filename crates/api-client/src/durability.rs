//! How safe a job is before its enqueue returns.

use std::time::Duration;

use ergate_shared::{QueueName, key::QueueKey};

use crate::{Client, Error};

/// How safe a job must be before its enqueue returns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// Redis has it in memory, and on disk as its own settings say. The default.
    #[default]
    Fast,
    /// Redis has written its append-only file to disk (`WAITAOF`, Redis 7.2 or later).
    Fsync,
    /// This many replicas have it in memory (`WAIT`). It lowers the odds of a loss at fail-over and does not end them.
    Replicated(u32),
}

/// How safe it is, as far as Redis could say within two seconds; `Fast` too if the connection broke then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// In Redis' memory.
    Fast,
    /// On Redis' disk.
    Fsync,
    /// In the memory of this many replicas.
    Replicated(u32),
}

const WITHIN: Duration = Duration::from_secs(2);

impl Durability {
    /// What could be reached for a job that is enqueued: an error of the connection leaves open more than that.
    pub(crate) async fn reach(self, client: &Client, queue: &QueueName) -> Reached {
        self.try_to_reach(client, queue).await.unwrap_or_else(|error| {
            tracing::warn!(%queue, %error, "a job is enqueued, and nothing is known of its durability");
            Reached::Fast
        })
    }

    /// Waits on a connection of its own, since `WAIT` holds up everything behind it: a write made there after the
    /// enqueue has the later offset, so that what is true for it is true for the enqueue.
    async fn try_to_reach(self, client: &Client, queue: &QueueName) -> Result<Reached, Error> {
        let wait = match self {
            Self::Fast => return Ok(Reached::Fast),
            // `WAIT` names no key, so that a cluster client cannot send it to the right node.
            _ if client.redis().is_cluster() => return Ok(Reached::Fast),
            Self::Fsync => redis::cmd("WAITAOF").arg(1).arg(0).arg(WITHIN.as_millis() as u64).to_owned(),
            Self::Replicated(replicas) => {
                redis::cmd("WAIT").arg(replicas).arg(WITHIN.as_millis() as u64).to_owned()
            }
        };
        let mut connection = client.redis().dedicated().await?;
        let deadline = WITHIN + Duration::from_secs(3);
        let mut mark = redis::cmd("HSET");
        mark.arg(client.keys(queue).get(QueueKey::meta)).arg("synced_at").arg(client.redis().now_ms());
        connection.command::<()>("HSET", &mark, deadline).await?;
        match self {
            Self::Fsync => match connection.command::<(u32, u32)>("WAITAOF", &wait, deadline).await {
                Ok((1.., _)) => Ok(Reached::Fsync),
                Ok(_) => Ok(Reached::Fast),
                // Before 7.2, or with the append-only file off, it cannot be reached.
                Err(Error::Redis { .. }) => Ok(Reached::Fast),
                Err(error) => Err(error),
            },
            _ => match connection.command::<u32>("WAIT", &wait, deadline).await? {
                0 => Ok(Reached::Fast),
                replicas => Ok(Reached::Replicated(replicas)),
            },
        }
    }
}
