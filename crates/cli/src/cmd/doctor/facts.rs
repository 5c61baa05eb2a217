//! What the server says of itself: `INFO`, and `CONFIG GET` where that is allowed.

use std::collections::HashMap;

use ergate_client::{Error, Redis};

/// Settings that findings ask for.
const SETTINGS: [&str; 6] =
    ["maxmemory", "maxmemory-policy", "appendonly", "appendfsync", "save", "min-replicas-to-write"];

/// What the server says of itself.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) address: String,
    pub(super) is_cluster: bool,
    info: HashMap<String, String>,
    config: HashMap<String, String>,
    /// Whether it tells its settings; managed services often do not.
    pub(super) tells_config: bool,
}

impl Facts {
    pub(super) async fn gather(redis: &Redis) -> Result<Self, Error> {
        let mut facts = Self { address: redis.address(), is_cluster: redis.is_cluster(), ..Self::default() };
        // Every node of a cluster would answer for itself.
        if facts.is_cluster {
            return Ok(facts);
        }
        match redis.command::<String>("INFO", redis::cmd("INFO").arg("default")).await {
            Ok(text) => facts.info = parse(&text),
            Err(error) if error.is_connection() => return Err(error),
            Err(_) => {}
        }
        for name in SETTINGS {
            match redis
                .command::<HashMap<String, String>>("CONFIG GET", redis::cmd("CONFIG").arg("GET").arg(name))
                .await
            {
                Ok(setting) => {
                    facts.tells_config = true;
                    facts.config.extend(setting);
                }
                Err(error) if error.is_connection() => return Err(error),
                Err(_) => break,
            }
        }
        Ok(facts)
    }

    #[cfg(test)]
    pub(super) fn of(info: &str, config: &[(&str, &str)]) -> Self {
        Self {
            address: "127.0.0.1:6379".to_owned(),
            is_cluster: false,
            info: parse(info),
            config: config.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            tells_config: !config.is_empty(),
        }
    }

    /// Whether anything is known.
    pub(super) fn is_silent(&self) -> bool {
        self.info.is_empty()
    }

    /// A line of `INFO`.
    pub(super) fn info(&self, name: &str) -> Option<&str> {
        self.info.get(name).map(String::as_str)
    }

    /// A number in `INFO`.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.info(name)?.parse().ok()
    }

    /// A setting; `None` if the server does not tell.
    pub(super) fn setting(&self, name: &str) -> Option<&str> {
        self.config.get(name).map(String::as_str)
    }
}

fn parse(info: &str) -> HashMap<String, String> {
    info.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}
