//! Where Redis is: the options every command takes, and the client made of them.

use std::time::Duration;

use clap::Args;
use ergate_client::{Client, ClientBuilder};
use ergate_shared::{Namespace, duration};

use crate::output;

/// Where Redis listens unless told otherwise.
pub(crate) const DEFAULT_URL: &str = "redis://127.0.0.1:6379";
/// Connecting normally takes a millisecond; only who waits longer is told what for.
const PATIENCE: Duration = Duration::from_millis(400);

/// How to reach Redis.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connection {
    /// Address of Redis or Valkey [default: redis://127.0.0.1:6379]
    ///
    /// One server (`redis://user:password@host:6379/0`, `rediss://` over TLS, `unix:///path`), a cluster
    /// (`redis+cluster://host:7000,host:7001`) or Sentinels (`redis+sentinel://host:26379/primary`).
    #[arg(long, value_name = "URL", env = "REDIS_URL", global = true)]
    redis_url: Option<String>,

    /// What every key begins with
    #[arg(long, value_name = "NAME", env = "ERGATE_NAMESPACE", global = true, default_value = "ergate")]
    namespace: Namespace,

    /// Accept a Redis that deletes keys when memory is full, and with them jobs
    #[arg(long, env = "ERGATE_ALLOW_EVICTION", global = true)]
    allow_eviction: bool,

    /// How long to go on trying to connect
    #[arg(
        long,
        value_name = "DURATION",
        env = "ERGATE_CONNECT_TIMEOUT",
        global = true,
        default_value = "5s",
        value_parser = duration::parse
    )]
    connect_timeout: Duration,
}

impl Connection {
    /// The address, if one was given.
    pub(crate) fn given_url(&self) -> Option<String> {
        let given = self.redis_url.clone().or_else(|| std::env::var("ERGATE_REDIS_URL").ok());
        given.filter(|url| !url.is_empty())
    }

    /// The address.
    pub(crate) fn url(&self) -> String {
        self.given_url().unwrap_or_else(|| DEFAULT_URL.to_owned())
    }

    /// What every key begins with.
    pub(crate) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// How long to go on trying.
    pub(crate) fn connect_within(&self) -> Duration {
        self.connect_timeout
    }

    /// The same, elsewhere.
    pub(crate) fn at(&self, url: String) -> Self {
        Self { redis_url: Some(url), ..self.clone() }
    }

    /// The same for a worker in this process.
    pub(crate) fn of_worker(&self) -> ergate_worker::binary::Connection {
        ergate_worker::binary::Connection {
            redis_url: Some(self.url()),
            namespace: self.namespace.to_string(),
            connect_timeout: duration::show(self.connect_timeout),
            allow_eviction: self.allow_eviction,
        }
    }

    /// A client with these options, to be connected.
    pub(crate) fn builder(&self) -> ClientBuilder {
        Client::builder()
            .namespace(self.namespace.clone())
            .allow_eviction(self.allow_eviction)
            .connect_within(self.connect_timeout)
    }

    /// A client.
    pub(crate) async fn client(&self) -> anyhow::Result<Client> {
        self.connect(self.builder()).await
    }

    /// A client with more options.
    pub(crate) async fn connect(&self, builder: ClientBuilder) -> anyhow::Result<Client> {
        let url = self.url();
        let connecting = builder.connect(&url);
        Ok(output::patiently("connecting to Redis", PATIENCE, connecting).await?)
    }
}
