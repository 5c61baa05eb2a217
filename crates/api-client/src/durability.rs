//! How safe a job is before its enqueue returns.

use std::time::Duration;

use ergate_shared::key::QueueKey;

use crate::{
    Error,
    batch::{Enqueues, Made},
    link::Dedicated,
};

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

/// How safe it is, as far as Redis could say within two seconds; `Fast` too if the connection broke then, or led to another server
/// than the one that took the job, and that is not known to have it.
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
/// How long a command may take: Redis answers one that waits after `WITHIN`.
const DEADLINE: Duration = Duration::from_secs(5);

impl Durability {
    /// What could be reached for the jobs of a call that was answered: an error of the connection leaves open more than that.
    pub(crate) async fn reach(self, enqueues: &Enqueues, call: Made) -> Reached {
        self.try_to_reach(enqueues, call).await.unwrap_or_else(|error| {
            let queue = &enqueues.queue;
            tracing::warn!(%queue, %error, "a job is enqueued, and nothing is known of its durability");
            Reached::Fast
        })
    }

    /// Waits on a connection of its own, since `WAIT` holds up everything behind it: a write made there after the
    /// enqueue has the later offset, so that what is true for it is true for the enqueue.
    async fn try_to_reach(self, enqueues: &Enqueues, call: Made) -> Result<Reached, Error> {
        let wait = match self {
            Self::Fast => return Ok(Reached::Fast),
            // `WAIT` names no key, so that a cluster client cannot send it to the right node.
            _ if enqueues.redis.is_cluster() => return Ok(Reached::Fast),
            Self::Fsync => redis::cmd("WAITAOF").arg(1).arg(0).arg(WITHIN.as_millis() as u64).to_owned(),
            Self::Replicated(replicas) => {
                redis::cmd("WAIT").arg(replicas).arg(WITHIN.as_millis() as u64).to_owned()
            }
        };
        let mut connection = enqueues.redis.dedicated().await?;
        if !is_there(&mut connection, enqueues, call).await? {
            let queue = &enqueues.queue;
            tracing::warn!(%queue, "another server than the one that took a job is the primary, and may not have it");
            return Ok(Reached::Fast);
        }
        let mut mark = redis::cmd("HSET");
        mark.arg(enqueues.keys.get(QueueKey::meta)).arg("synced_at").arg(enqueues.redis.now_ms());
        connection.command::<()>("HSET", &mark, DEADLINE).await?;
        match self {
            Self::Fsync => match connection.command::<(u32, u32)>("WAITAOF", &wait, DEADLINE).await {
                Ok((1.., _)) => Ok(Reached::Fsync),
                Ok(_) => Ok(Reached::Fast),
                // Before 7.2, or with the append-only file off, it cannot be reached.
                Err(Error::Redis { .. }) => Ok(Reached::Fast),
                Err(error) => Err(error),
            },
            _ => match connection.command::<u32>("WAIT", &wait, DEADLINE).await? {
                0 => Ok(Reached::Fast),
                replicas => Ok(Reached::Replicated(replicas)),
            },
        }
    }
}

/// Whether the server at the other end has what the call put in. The place of the one that answered it may have been taken by
/// another meanwhile, which need not have had everything.
async fn is_there(connection: &mut Dedicated, enqueues: &Enqueues, call: Made) -> Result<bool, Error> {
    let mut read = redis::cmd("HGET");
    read.arg(enqueues.keys.get(QueueKey::producers)).arg(&enqueues.producer);
    let last: Option<String> = connection.command("HGET", &read, DEADLINE).await?;
    let last = last.and_then(|last| last.split(' ').next()?.parse::<u64>().ok());
    Ok(last.is_some_and(|last| {
        // A later call proves the ones before it if one server took all of them: no connection was made since.
        last == call.number || (last > call.number && enqueues.redis.generation() == call.over)
    }))
}
