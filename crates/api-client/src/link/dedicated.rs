//! Connections for blocking commands, one user at a time, out of a pool.

use std::{fmt, time::Duration};

use redis::{Cmd, FromRedisValue, RedisError, aio::ConnectionLike};

use crate::{
    Error,
    error::breaks_connection,
    target::{Target, config},
};

/// Enough for every queue of a worker in a cluster; one is used otherwise.
const MOST: usize = 64;

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

    pub(super) async fn get(&self, address: &str) -> Result<Dedicated, Error> {
        let unreachable = |source: RedisError| Error::Unreachable {
            address: address.to_owned(),
            tries: 1,
            after: Duration::ZERO,
            source,
        };
        let kind = match self {
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
        };
        Ok(Dedicated { connection: Some(kind), address: address.to_owned() })
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
    /// Runs one command; a deadline missed or a connection broken leaves this handle without a connection.
    ///
    /// # Errors
    /// [`Error::TimedOut`] or [`Error::Redis`]; get another handle then.
    pub async fn command<T: FromRedisValue>(
        &mut self,
        what: &'static str,
        command: &Cmd,
        deadline: Duration,
    ) -> Result<T, Error> {
        let Some(mut connection) = self.connection.take() else {
            let source = RedisError::from((redis::ErrorKind::Io, "the connection was dropped before"));
            return Err(Error::Redis { what, source });
        };
        #[cfg_attr(
            not(any(feature = "cluster", feature = "sentinel")),
            allow(clippy::infallible_destructuring_match, reason = "a build of few features has one kind")
        )]
        let link: &mut (dyn ConnectionLike + Send) = match &mut connection {
            Kind::Single(connection) => connection,
            #[cfg(feature = "cluster")]
            Kind::Cluster(connection) => connection,
            #[cfg(feature = "sentinel")]
            Kind::Unpooled(connection) => connection,
        };
        let reply = tokio::time::timeout(deadline, link.req_packed_command(command)).await;
        match reply {
            Err(_) => {
                connection.discard();
                Err(Error::TimedOut { address: self.address.clone(), what, after: deadline })
            }
            Ok(Err(source)) if breaks_connection(&source) => {
                connection.discard();
                Err(Error::Redis { what, source })
            }
            Ok(reply) => {
                self.connection = Some(connection);
                let value = reply
                    .and_then(redis::Value::extract_error)
                    .map_err(|source| Error::Redis { what, source })?;
                super::decode(what, value)
            }
        }
    }
}

impl Kind {
    /// Takes the connection out of the pool for good: a reply may still be under way on it.
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
