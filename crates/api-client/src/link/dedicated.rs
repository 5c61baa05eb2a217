//! Connections for blocking commands, one user at a time, out of a pool.

use std::{fmt, sync::Arc, time::Duration};

use redis::{Cmd, FromRedisValue, RedisError, aio::ConnectionLike};

use super::outage::Outage;
use crate::{
    Error,
    error::breaks_connection,
    target::{Target, config},
};

/// More than queues and functions of a worker in a cluster, where each has one; one or two are used otherwise.
const MOST: usize = 1024;
/// How long one may take to get: those of the pool are asked whether they live, and may be silent.
const WITHIN: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub(super) enum Pool {
    Single(deadpool_redis::Pool),
    #[cfg(feature = "cluster")]
    Cluster(deadpool_redis::cluster::Pool),
    /// Sentinel connections are made anew each time: one from a pool might lead to what was the primary.
    #[cfg(feature = "sentinel")]
    Sentinel(Target),
}

/// A connection used by one task, with the deadline given for each command.
pub struct Dedicated {
    connection: Option<Kind>,
    address: String,
    outage: Arc<Outage>,
}

enum Kind {
    Single(deadpool_redis::Connection),
    #[cfg(feature = "cluster")]
    Cluster(deadpool_redis::cluster::Connection),
    #[cfg(feature = "sentinel")]
    Unpooled(redis::aio::MultiplexedConnection),
}

impl fmt::Debug for Dedicated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dedicated").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Pool {
    pub(super) fn new(target: &Target) -> Result<Self, Error> {
        let wrong =
            |error: &dyn fmt::Display| Error::Address { url: target.address(), problem: error.to_string() };
        match target {
            Target::Single(info) => {
                let manager = deadpool_redis::Manager::new_with_config(info.as_ref().clone(), config())
                    .map_err(|error| wrong(&error))?;
                let pool = deadpool_redis::Pool::builder(manager)
                    .max_size(MOST)
                    .build()
                    .map_err(|error| wrong(&error))?;
                Ok(Self::Single(pool))
            }
            #[cfg(feature = "cluster")]
            Target::Cluster(nodes) => {
                let manager = deadpool_redis::cluster::Manager::new(nodes.clone(), false)
                    .map_err(|error| wrong(&error))?;
                let pool = deadpool_redis::cluster::Pool::builder(manager)
                    .max_size(MOST)
                    .build()
                    .map_err(|error| wrong(&error))?;
                Ok(Self::Cluster(pool))
            }
            #[cfg(feature = "sentinel")]
            Target::Sentinel(..) => Ok(Self::Sentinel(target.clone())),
        }
    }

    pub(super) async fn get(&self, address: String, outage: Arc<Outage>) -> Result<Dedicated, Error> {
        let connection = tokio::time::timeout(WITHIN, self.connection(&address)).await.unwrap_or_else(|_| {
            let what = "a connection for blocking commands";
            Err(Error::TimedOut { address: address.clone(), what, after: WITHIN })
        });
        outage.heard(&connection, || address.clone());
        Ok(Dedicated { connection: Some(connection?), address, outage })
    }

    async fn connection(&self, address: &str) -> Result<Kind, Error> {
        let unreachable = |source: RedisError| Error::Unreachable {
            address: address.to_owned(),
            tries: 1,
            after: Duration::ZERO,
            source,
        };
        Ok(match self {
            Self::Single(pool) => {
                Kind::Single(pool.get().await.map_err(|error| unreachable(source_of(error)))?)
            }
            #[cfg(feature = "cluster")]
            Self::Cluster(pool) => {
                Kind::Cluster(pool.get().await.map_err(|error| unreachable(source_of(error)))?)
            }
            #[cfg(feature = "sentinel")]
            Self::Sentinel(target) => match target.connect().await.map_err(unreachable)? {
                crate::target::Link::Single(connection) => Kind::Unpooled(connection),
                #[cfg(feature = "cluster")]
                crate::target::Link::Cluster(_) => unreachable!("sentinels know no clusters"),
            },
        })
    }
}

fn source_of(error: deadpool_redis::PoolError) -> RedisError {
    match error {
        deadpool_redis::PoolError::Backend(source) => source,
        other => {
            RedisError::from((redis::ErrorKind::Client, "no connection from the pool", other.to_string()))
        }
    }
}

impl Dedicated {
    /// Runs one command; a deadline missed, a connection broken, or a call that is dropped leaves this handle without a connection:
    /// a reply may still be under way on it.
    ///
    /// # Errors
    /// [`Error::TimedOut`] or [`Error::Redis`]; get another handle then.
    pub async fn command<T: FromRedisValue>(
        &mut self,
        what: &'static str,
        command: &Cmd,
        deadline: Duration,
    ) -> Result<T, Error> {
        let Some(connection) = self.connection.take() else {
            let source = RedisError::from((redis::ErrorKind::Io, "the connection was dropped before"));
            return Err(Error::Redis { what, source });
        };
        let mut busy = Busy(Some(connection));
        let answer = match tokio::time::timeout(deadline, busy.link().req_packed_command(command)).await {
            Err(_) => Err(Error::TimedOut { address: self.address.clone(), what, after: deadline }),
            Ok(Err(source)) if breaks_connection(&source) => Err(Error::Redis { what, source }),
            Ok(reply) => {
                self.connection = busy.0.take();
                reply.and_then(redis::Value::extract_error).map_err(|source| Error::Redis { what, source })
            }
        };
        self.outage.heard(&answer, || self.address.clone());
        super::decode(what, answer?)
    }
}

/// A connection on which a reply is awaited. Dropped before that has come, it does not go back to the pool: a blocked read would
/// go on there, and take what nobody hears of.
struct Busy(Option<Kind>);

impl Busy {
    fn link(&mut self) -> &mut (dyn ConnectionLike + Send) {
        match self.0.as_mut().expect("it is taken out only with its reply") {
            Kind::Single(connection) => connection,
            #[cfg(feature = "cluster")]
            Kind::Cluster(connection) => connection,
            #[cfg(feature = "sentinel")]
            Kind::Unpooled(connection) => connection,
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            connection.discard();
        }
    }
}

impl Kind {
    /// Takes the connection out of the pool for good.
    fn discard(self) {
        match self {
            Self::Single(connection) => drop(deadpool_redis::Connection::take(connection)),
            #[cfg(feature = "cluster")]
            Self::Cluster(connection) => drop(deadpool_redis::cluster::Connection::take(connection)),
            #[cfg(feature = "sentinel")]
            Self::Unpooled(connection) => drop(connection),
        }
    }
}
