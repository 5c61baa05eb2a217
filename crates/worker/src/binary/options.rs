//! The flags of `ergate-worker`, each of them an environment variable too, taken as text.
//!
//! They are read by `Settings::check`, so that everything that is wrong with them is said at once.

use std::path::PathBuf;

use clap::{Args, builder::FalseyValueParser};

/// Everything `ergate-worker` can be told.
///
/// A program that knows how to reach Redis by itself takes [`Work`] into its own arguments and makes the rest.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// How to reach Redis.
    #[command(flatten)]
    pub connection: Connection,
    /// What to do there.
    #[command(flatten)]
    pub work: Work,
}

/// How to reach Redis.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connection")]
pub struct Connection {
    /// Address of Redis or Valkey [default: redis://127.0.0.1:6379]
    ///
    /// One server (`redis://user:password@host:6379/0`, `rediss://` over TLS, `unix:///path`), a cluster
    /// (`redis+cluster://host:7000,host:7001`) or Sentinels (`redis+sentinel://host:26379/primary`).
    #[arg(long, value_name = "URL", env = "REDIS_URL", hide_env_values = true)]
    pub redis_url: Option<String>,

    /// What every key begins with
    #[arg(long, value_name = "NAME", env = "ERGATE_NAMESPACE", default_value = "ergate")]
    pub namespace: String,

    /// How long to go on trying to connect at start
    #[arg(long, value_name = "DURATION", env = "ERGATE_CONNECT_TIMEOUT", default_value = "5s")]
    pub connect_timeout: String,

    /// Accept a Redis that deletes keys when memory is full, and with them jobs
    #[arg(long, env = "ERGATE_ALLOW_EVICTION", value_parser = FalseyValueParser::new())]
    pub allow_eviction: bool,
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            redis_url: None,
            namespace: "ergate".to_owned(),
            connect_timeout: "5s".to_owned(),
            allow_eviction: false,
        }
    }
}

/// What a worker does, and what it tells about it.
#[derive(Debug, Clone, Args)]
pub struct Work {
    /// A queue to work on, with how many of its jobs may run at once; repeatable
    #[arg(
        long,
        value_name = "NAME=SLOTS",
        env = "ERGATE_QUEUE",
        value_delimiter = ',',
        num_args = 1..,
        default_values = ["http=50", "email=10"],
        help_heading = "Work"
    )]
    pub queue: Vec<String>,

    /// How long Redis keeps jobs for this worker without a heartbeat: 1s to 1h
    #[arg(long, value_name = "DURATION", env = "ERGATE_LEASE", default_value = "15s", help_heading = "Work")]
    pub lease: String,

    /// How long running jobs may go on after SIGTERM before they are handed back
    #[arg(
        long,
        value_name = "DURATION",
        env = "ERGATE_SHUTDOWN_TIMEOUT",
        default_value = "25s",
        help_heading = "Work"
    )]
    pub shutdown_timeout: String,

    /// How many workers may die under a job before it is a dead letter
    #[arg(
        long,
        value_name = "COUNT",
        env = "ERGATE_CRASH_LIMIT",
        default_value = "3",
        help_heading = "Work"
    )]
    pub crash_limit: String,

    /// Let http.request reach private, loopback and link-local addresses
    #[arg(
        long,
        env = "ERGATE_ALLOW_PRIVATE_HOSTS",
        value_parser = FalseyValueParser::new(),
        help_heading = "http.request"
    )]
    pub allow_private_hosts: bool,

    /// A host http.request may reach, or `.suffix` for all below one; repeatable [default: any public host]
    #[arg(
        long,
        value_name = "HOST",
        env = "ERGATE_ALLOW_HOST",
        value_delimiter = ',',
        num_args = 1..,
        help_heading = "http.request"
    )]
    pub allow_host: Vec<String>,

    /// Secret of the header Ergate-Signature; better in the environment than here
    #[arg(
        long,
        value_name = "SECRET",
        env = "ERGATE_SIGNING_SECRET",
        hide_env_values = true,
        help_heading = "http.request"
    )]
    pub signing_secret: Option<String>,

    /// Mail server of email.send: smtp://user:password@host:587?tls=required, or smtps:// [default: --mail-folder]
    #[arg(
        long,
        value_name = "URL",
        env = "ERGATE_SMTP_URL",
        hide_env_values = true,
        help_heading = "email.send"
    )]
    pub smtp_url: Option<String>,

    /// Who mail is from unless the job says so: name@example.com or `Name <name@example.com>`
    #[arg(long, value_name = "ADDRESS", env = "ERGATE_MAIL_FROM", help_heading = "email.send")]
    pub mail_from: Option<String>,

    /// Where mail is kept as files while there is no mail server
    #[arg(
        long,
        value_name = "FOLDER",
        env = "ERGATE_MAIL_FOLDER",
        default_value = "./mail",
        help_heading = "email.send"
    )]
    pub mail_folder: PathBuf,

    /// Where to answer /metrics, /healthz and /readyz, or `off`
    #[arg(
        long,
        value_name = "ADDR",
        env = "ERGATE_METRICS",
        default_value = "127.0.0.1:9464",
        help_heading = "Watching"
    )]
    pub metrics: String,

    /// /readyz is 503 once the last answer of Redis is older than this [default: 15s, or the lease if longer]
    #[arg(long, value_name = "DURATION", env = "ERGATE_READY_WITHIN", help_heading = "Watching")]
    pub ready_within: Option<String>,

    /// How log lines look: text or json
    #[arg(
        long,
        value_name = "FORMAT",
        env = "ERGATE_LOG_FORMAT",
        default_value = "text",
        help_heading = "Watching"
    )]
    pub log_format: String,

    /// What to log, such as `debug` or `ergate_worker=trace`; ERGATE_LOG and RUST_LOG too [default: info]
    #[arg(long, value_name = "FILTER", env = "ERGATE_LOG_FILTER", help_heading = "Watching")]
    pub log_filter: Option<String>,

    /// Show what is in effect, secrets hidden, and end
    #[arg(long, env = "ERGATE_PRINT_CONFIG", value_parser = FalseyValueParser::new(), help_heading = "Instead of working")]
    pub print_config: bool,

    /// Ask the worker at --metrics whether it is ready, and end with 0 or 1
    #[arg(long, env = "ERGATE_HEALTH_CHECK", value_parser = FalseyValueParser::new(), help_heading = "Instead of working")]
    pub health_check: bool,
}
