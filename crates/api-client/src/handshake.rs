//! What is checked when a client connects: that the server can and may be used, and that its data can be read.

use ergate_shared::{FORMAT, key::RegistryKeys};
use redis::Cmd;
use uuid::Uuid;

use crate::{Error, Redis};

/// The oldest version of Redis whose commands the scripts use (`LPOP` with a count).
const OLDEST: (u32, u32) = (6, 2);

/// What the server says it is.
#[derive(Debug, Clone, Default)]
pub struct ServerInfo {
    /// `redis` or `valkey`.
    pub flavour: String,
    /// Its version.
    pub version: String,
    /// What it does when memory is full; empty if it does not say.
    pub eviction: String,
    /// Made up once for this data set; another one means that all data is another.
    pub epoch: String,
}

impl ServerInfo {
    fn read(info: &str) -> Self {
        let field = |name: &str| {
            info.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
                .map(|value| value.trim().to_owned())
        };
        let valkey = field("valkey_version");
        Self {
            flavour: if valkey.is_some() { "valkey" } else { "redis" }.to_owned(),
            version: valkey.or_else(|| field("redis_version")).unwrap_or_default(),
            eviction: field("maxmemory_policy").unwrap_or_default(),
            epoch: String::new(),
        }
    }

    fn is_too_old(&self) -> bool {
        let mut numbers = self.version.split('.').map(|number| number.parse().unwrap_or(0));
        let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        version != (0, 0) && version < OLDEST
    }
}

pub(crate) async fn shake_hands(
    redis: &Redis,
    keys: &RegistryKeys,
    allow_eviction: bool,
) -> Result<ServerInfo, Error> {
    let mut server = match redis.command::<String>("INFO", Cmd::new().arg("INFO")).await {
        Ok(info) => ServerInfo::read(&info),
        // In a cluster every node answers; and a user may have no right to ask.
        Err(error) if error.is_connection() => return Err(error),
        Err(error) => {
            tracing::debug!(%error, "the server does not say what it is");
            ServerInfo::default()
        }
    };
    if server.is_too_old() {
        let (major, minor) = OLDEST;
        return Err(Error::Server(format!(
            "{} {} at {} is too old: Ergate needs {major}.{minor} or later",
            server.flavour,
            server.version,
            redis.address()
        )));
    }
    if server.eviction.starts_with("allkeys-") && !allow_eviction {
        return Err(Error::Server(format!(
            "redis at {} has maxmemory-policy {}, which deletes jobs when memory is full: set it to noeviction, \
             or allow it with allow_eviction (ERGATE_ALLOW_EVICTION)",
            redis.address(),
            server.eviction
        )));
    }
    let (format, epoch) = data_set(redis, keys).await?;
    if format > FORMAT {
        return Err(Error::Server(format!(
            "the data at {} has format {format}, and this release knows formats up to {FORMAT}: use a newer Ergate",
            redis.address()
        )));
    }
    server.epoch = epoch;
    let (seconds, micros): (u64, u64) = redis.command("TIME", Cmd::new().arg("TIME")).await?;
    redis.saw_time(seconds * 1000 + micros / 1000);
    Ok(server)
}

/// Format and epoch of the data, made up if there is none. Written only then: a Redis whose memory is full refuses the
/// write, and must still let workers finish and operators purge.
async fn data_set(redis: &Redis, keys: &RegistryKeys) -> Result<(u32, String), Error> {
    let mut look = redis::pipe();
    look.get(&keys.format).get(&keys.epoch);
    let (format, epoch): (Option<u32>, Option<String>) = redis.pipeline("the handshake", &look).await?;
    if let (Some(format), Some(epoch)) = (format, epoch) {
        return Ok((format, epoch));
    }
    let mut pipeline = redis::pipe();
    pipeline.cmd("SET").arg(&keys.format).arg(FORMAT).arg("NX").ignore();
    pipeline.cmd("SET").arg(&keys.epoch).arg(Uuid::now_v7().to_string()).arg("NX").ignore();
    pipeline.get(&keys.format).get(&keys.epoch);
    redis.pipeline("the handshake", &pipeline).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_before_6_2_are_too_old() {
        let of = |version: &str| ServerInfo { version: version.to_owned(), ..ServerInfo::default() };

        assert!(of("6.0.16").is_too_old());
        assert!(!of("6.2.0").is_too_old());
        assert!(!of("7.0.15").is_too_old());
        assert!(!of("").is_too_old());
    }

    #[test]
    fn valkey_says_its_own_version() {
        let server = ServerInfo::read(
            "redis_version:7.2.4\r\nvalkey_version:9.1.2\r\nmaxmemory_policy:noeviction\r\n",
        );

        assert_eq!((server.flavour.as_str(), server.version.as_str()), ("valkey", "9.1.2"));
    }
}
