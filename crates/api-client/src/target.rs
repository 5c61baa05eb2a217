//! Where Redis is: one server, a cluster, or a primary that Sentinels know; said by the address.
//!
//! | address | means |
//! |---|---|
//! | `redis://user:password@host:6379/0` | one server; `rediss://` over TLS; `unix:///path` |
//! | `redis+cluster://host:7000,host:7001` | a cluster, any of its nodes |
//! | `redis+sentinel://host:26379,host:26379/mymaster` | the primary `mymaster`, asked of any of these Sentinels |
//! | `rediss+cluster://…`, `rediss+sentinel://…` | the same over TLS: to every node; to the Sentinels and to the primary |

use std::time::Duration;

use redis::{
    AsyncConnectionConfig, IntoConnectionInfo, RedisError, RedisResult, Value, io::tcp::TcpSettings,
};

use crate::Error;

/// How long making one connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

#[derive(Clone)]
pub(crate) enum Target {
    Single(Box<redis::ConnectionInfo>),
    #[cfg(feature = "cluster")]
    Cluster(Vec<redis::ConnectionInfo>),
    #[cfg(feature = "sentinel")]
    Sentinel(Vec<redis::ConnectionInfo>, String, Box<redis::ConnectionInfo>),
}

/// A connection that any number of tasks share.
#[derive(Clone)]
pub(crate) enum Link {
    Single(redis::aio::MultiplexedConnection),
    #[cfg(feature = "cluster")]
    Cluster(redis::cluster_async::ClusterConnection),
}

impl Target {
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        let (scheme, rest) = url
            .split_once("://")
            .ok_or_else(|| wrong(url, "has no scheme; write it like redis://localhost:6379"))?;
        match scheme {
            "redis+cluster" | "rediss+cluster" => Self::cluster(url, scheme, rest),
            "redis+sentinel" | "rediss+sentinel" => Self::sentinel(url, scheme, rest),
            _ => Ok(Self::Single(Box::new(single(url, url)?))),
        }
    }

    #[cfg(feature = "cluster")]
    fn cluster(url: &str, scheme: &str, rest: &str) -> Result<Self, Error> {
        let plain = scheme.trim_end_matches("+cluster");
        let (user, hosts) = rest.rsplit_once('@').map_or(("", rest), |(user, hosts)| (user, hosts));
        let at = if user.is_empty() { String::new() } else { format!("{user}@") };
        let hosts = hosts.split(',').map(|host| single(&format!("{plain}://{at}{host}"), url));
        Ok(Self::Cluster(hosts.collect::<Result<_, _>>()?))
    }

    #[cfg(not(feature = "cluster"))]
    fn cluster(url: &str, _: &str, _: &str) -> Result<Self, Error> {
        Err(wrong(url, "names a cluster, and this program was built without the feature `cluster`"))
    }

    #[cfg(feature = "sentinel")]
    fn sentinel(url: &str, scheme: &str, rest: &str) -> Result<Self, Error> {
        let plain = scheme.trim_end_matches("+sentinel");
        let (user, rest) = rest.rsplit_once('@').map_or(("", rest), |(user, rest)| (user, rest));
        let (hosts, name) = rest
            .split_once('/')
            .filter(|(_, name)| !name.is_empty())
            .ok_or_else(|| wrong(url, "names no primary; end it in /mymaster"))?;
        let sentinels = hosts.split(',').map(|host| single(&format!("{plain}://{host}"), url));
        let (name, query) =
            name.split_once('?').map_or((name, String::new()), |(name, query)| (name, format!("?{query}")));
        let at = if user.is_empty() { String::new() } else { format!("{user}@") };
        let node = single(&format!("{plain}://{at}primary/0{query}"), url)?;
        Ok(Self::Sentinel(sentinels.collect::<Result<_, _>>()?, name.to_owned(), Box::new(node)))
    }

    #[cfg(not(feature = "sentinel"))]
    fn sentinel(url: &str, _: &str, _: &str) -> Result<Self, Error> {
        Err(wrong(url, "names Sentinels, and this program was built without the feature `sentinel`"))
    }

    /// The address for people: no user, no password.
    pub(crate) fn address(&self) -> String {
        match self {
            Self::Single(info) => info.addr().to_string(),
            #[cfg(feature = "cluster")]
            Self::Cluster(nodes) => join(nodes),
            #[cfg(feature = "sentinel")]
            Self::Sentinel(sentinels, name, _) => format!("{name} by sentinels {}", join(sentinels)),
        }
    }

    /// Whether keys of different queues may lie on different nodes.
    pub(crate) fn is_cluster(&self) -> bool {
        match self {
            Self::Single(_) => false,
            #[cfg(feature = "cluster")]
            Self::Cluster(_) => true,
            #[cfg(feature = "sentinel")]
            Self::Sentinel(..) => false,
        }
    }

    /// Makes a connection that has no deadlines of its own: callers set theirs for each command.
    pub(crate) async fn connect(&self) -> RedisResult<Link> {
        match self {
            Self::Single(info) => {
                let client = redis::Client::open(info.as_ref().clone())?;
                let connection = client.get_multiplexed_async_connection_with_config(&config()).await?;
                Ok(Link::Single(connection))
            }
            #[cfg(feature = "cluster")]
            Self::Cluster(nodes) => {
                let client = redis::cluster::ClusterClient::builder(nodes.clone())
                    .connection_timeout(CONNECT_WITHIN)
                    .response_timeout(NEVER)
                    .overall_response_timeout(None)
                    .tcp_settings(tcp())
                    // A call that was sent may have been carried out: whether to send it again is the caller's to say.
                    .retries(3)
                    .build()?;
                Ok(Link::Cluster(client.get_async_connection().await?))
            }
            #[cfg(feature = "sentinel")]
            Self::Sentinel(sentinels, name, node) => {
                let mut client = sentinel_client(sentinels, name, node)?;
                Ok(Link::Single(client.get_async_connection_with_config(&config()).await?))
            }
        }
    }
}

impl Link {
    pub(crate) async fn send(&mut self, command: &redis::Cmd) -> RedisResult<Value> {
        match self {
            Self::Single(connection) => connection.send_packed_command(command).await,
            #[cfg(feature = "cluster")]
            Self::Cluster(connection) => {
                redis::aio::ConnectionLike::req_packed_command(connection, command).await
            }
        }
        .and_then(Value::extract_error)
    }

    pub(crate) async fn send_all(&mut self, pipeline: &redis::Pipeline) -> RedisResult<Vec<Value>> {
        match self {
            Self::Single(connection) => pipeline.query_async(connection).await,
            #[cfg(feature = "cluster")]
            Self::Cluster(connection) => pipeline.query_async(connection).await,
        }
    }
}

/// Longer than any block: blocking calls end by their own deadline.
#[cfg(feature = "cluster")]
const NEVER: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(feature = "sentinel")]
pub(crate) fn sentinel_client(
    sentinels: &[redis::ConnectionInfo],
    name: &str,
    node: &redis::ConnectionInfo,
) -> RedisResult<redis::sentinel::SentinelClient> {
    use redis::sentinel::{SentinelClient, SentinelServerType};
    // Owned, since the parameter is a `String` without TLS and anything like one with it.
    let name = name.to_owned();
    SentinelClient::build(sentinels.to_vec(), name, Some(node_info(node)), SentinelServerType::Master)
}

/// How to connect to what the Sentinels name: they tell where it is, and not whether it speaks TLS.
#[cfg(feature = "sentinel")]
fn node_info(node: &redis::ConnectionInfo) -> redis::sentinel::SentinelNodeConnectionInfo {
    let info = redis::sentinel::SentinelNodeConnectionInfo::default()
        .set_redis_connection_info(node.redis_settings().clone())
        .set_tcp_settings(tcp());
    match node.addr() {
        redis::ConnectionAddr::TcpTls { .. } => info.set_tls_mode(redis::TlsMode::Secure),
        _ => info,
    }
}

/// No response time-out: the client library's default of 500 ms would end every blocking call.
pub(crate) fn config() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT_WITHIN)).set_response_timeout(None)
}

/// Without this, Nagle's algorithm doubles the median latency of a shared connection.
fn tcp() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

fn single(part: &str, url: &str) -> Result<redis::ConnectionInfo, Error> {
    let info = part
        .into_connection_info()
        .map_err(|error: RedisError| wrong(url, &format!("cannot be read: {error}")))?;
    let settings = info.redis_settings().clone().set_skip_set_lib_name();
    Ok(info.set_tcp_settings(tcp()).set_redis_settings(settings))
}

fn wrong(url: &str, problem: &str) -> Error {
    Error::Address { url: without_secrets(url), problem: problem.to_owned() }
}

/// An address, well formed or not, without what may be a password: that stands before the `@`, for a Unix socket behind the `?`.
fn without_secrets(url: &str) -> String {
    let (scheme, rest) =
        url.split_once("://").map_or(("", url), |(scheme, rest)| (&url[..scheme.len() + 3], rest));
    match rest.rsplit_once('@') {
        // Which of the two begins the password cannot be told.
        Some((before, _)) if before.contains('?') => format!("{scheme}…"),
        Some((_, host)) => format!("{scheme}…@{}", without_query(host)),
        None => format!("{scheme}{}", without_query(rest)),
    }
}

fn without_query(part: &str) -> &str {
    part.split_once('?').map_or(part, |(part, _)| part)
}

#[cfg(any(feature = "cluster", feature = "sentinel"))]
fn join(nodes: &[redis::ConnectionInfo]) -> String {
    nodes.iter().map(|node| node.addr().to_string()).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_scheme_says_how_to_write_one() {
        let error = Target::parse("localhost:6379").err().unwrap().to_string();

        assert_eq!(error, "redis url \"localhost:6379\" has no scheme; write it like redis://localhost:6379");
    }

    #[test]
    fn errors_never_show_the_password() {
        for (url, shown) in [
            ("nonsense://user:secret@host", "nonsense://…@host"),
            ("user:secret@host:6379", "…@host:6379"),
            ("unix:///run/redis.sock?db=x&pass=secret", "unix:///run/redis.sock"),
            ("unix:///run/redis.sock?db=x&pass=to@secret", "unix://…"),
            ("redis://user:to?@secret@host/x", "redis://…"),
            ("redis://user:secret@host/x?protocol=resp3", "redis://…@host/x"),
        ] {
            let error = Target::parse(url).err().unwrap().to_string();

            assert!(!error.contains("secret"), "{error}");
            assert!(error.starts_with(&format!("redis url {shown:?} ")), "{error}");
        }
    }

    #[cfg(all(feature = "sentinel", feature = "tls"))]
    #[test]
    fn what_sentinels_name_is_spoken_to_over_tls_if_they_are() {
        for (url, tls) in [
            ("rediss+sentinel://:secret@host:26379/mymaster", "tls_mode: Some(Secure)"),
            ("redis+sentinel://:secret@host:26379/mymaster", "tls_mode: None"),
        ] {
            let Ok(Target::Sentinel(_, _, node)) = Target::parse(url) else {
                panic!("{url} names Sentinels")
            };

            let info = format!("{:?}", node_info(&node));

            assert!(info.contains(tls), "{info}");
        }
    }
}
