//! What the options mean: read once at the start, with all that is wrong with them in one message.

use std::{fmt, str::FromStr, time::Duration};

use ergate_client::{Client, ClientBuilder, Redis};
use ergate_shared::{Namespace, QueueName, duration};

use super::{
    exit::Usage,
    options::{Connection, Options, Work},
};
use crate::{
    stock::{HostRule, HttpRules, MailRules, Mailbox, SmtpServer},
    worker::{LEASES, MOST_SLOTS},
};

/// Where Redis listens unless told otherwise.
const DEFAULT_URL: &str = "redis://127.0.0.1:6379";
/// Ready within this, unless the lease and with it the time between heartbeats is longer.
const READY_WITHIN: Duration = Duration::from_secs(15);

/// Everything the program needs to know.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) url: String,
    pub(super) namespace: Namespace,
    pub(super) connect_timeout: Duration,
    pub(super) allow_eviction: bool,
    pub(super) queues: Vec<(QueueName, usize)>,
    pub(super) lease: Duration,
    pub(super) shutdown_timeout: Duration,
    pub(super) crash_limit: u32,
    pub(super) http: HttpRules,
    pub(super) mail: MailRules,
    /// `host:port`, or nothing to answer nobody.
    pub(super) metrics: Option<String>,
    pub(super) ready_within: Duration,
    pub(super) log_format: LogFormat,
    pub(super) log_filter: String,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum LogFormat {
    #[default]
    Text,
    Json,
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("is text or json"),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

/// Collects what is wrong while reading goes on.
#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn take<T, E: fmt::Display>(&mut self, flag: &str, read: Result<T, E>) -> Option<T> {
        read.inspect_err(|problem| self.0.push(format!("--{flag}: {problem}"))).ok()
    }

    fn add(&mut self, flag: &str, problem: impl fmt::Display) {
        self.0.push(format!("--{flag}: {problem}"));
    }
}

impl Settings {
    /// Reads the options.
    pub(super) fn check(options: Options) -> Result<Self, Usage> {
        let mut problems = Problems::default();
        let settings = Self::read(options, &mut problems);
        match settings {
            Some(settings) if problems.0.is_empty() => Ok(settings),
            _ => Err(Usage(problems.0)),
        }
    }

    fn read(options: Options, problems: &mut Problems) -> Option<Self> {
        let Options { connection, work } = options;
        let url = url(&connection);
        problems.take("redis-url", Redis::open(&url));
        let namespace = problems.take("namespace", Namespace::new(connection.namespace));
        let connect_timeout = problems.take("connect-timeout", duration::parse(&connection.connect_timeout));
        let log_filter = log_filter(&work);
        problems.take("log-filter", tracing_subscriber::EnvFilter::try_new(&log_filter));
        let log_format = problems.take("log-format", work.log_format.parse());
        let queues = queues(&work.queue, problems);
        let lease = problems.take("lease", duration::parse(&work.lease)).filter(|lease| {
            let fits = LEASES.contains(lease);
            if !fits {
                problems.add("lease", format!("{} is not within 1s to 1h", duration::show(*lease)));
            }
            fits
        });
        let ready_within = match &work.ready_within {
            Some(text) => problems.take("ready-within", duration::parse(text)),
            None => Some(lease.map_or(READY_WITHIN, |lease| lease.max(READY_WITHIN))),
        };
        if let (Some(within), Some(lease)) = (ready_within, lease)
            && within <= lease / 3
        {
            let beats = duration::show(lease / 3);
            problems.add(
                "ready-within",
                format!("heartbeats come every {beats}, a third of the lease; give it longer"),
            );
        }
        let shutdown_timeout = problems.take("shutdown-timeout", duration::parse(&work.shutdown_timeout));
        let crash_limit = match work.crash_limit.parse() {
            Ok(limit @ 1..) => Some(limit),
            _ => {
                problems.add("crash-limit", format!("{:?} is not a number of 1 or more", work.crash_limit));
                None
            }
        };
        let hosts = work
            .allow_host
            .iter()
            .filter_map(|host| problems.take("allow-host", HostRule::new(host)))
            .collect();
        let metrics = problems.take("metrics", address(&work.metrics));
        let mail_slots = queues.iter().map(|(_, slots)| *slots).max().unwrap_or(1);
        let smtp = work.smtp_url.as_ref().filter(|url| !url.is_empty());
        let smtp = smtp.and_then(|url| problems.take("smtp-url", SmtpServer::new(url, mail_slots)));
        let from = work.mail_from.as_ref().filter(|from| !from.is_empty());
        let from = from.and_then(|from| problems.take("mail-from", Mailbox::new(from)));
        Some(Self {
            url,
            namespace: namespace?,
            connect_timeout: connect_timeout?,
            allow_eviction: connection.allow_eviction,
            queues,
            lease: lease?,
            shutdown_timeout: shutdown_timeout?,
            crash_limit: crash_limit?,
            http: HttpRules {
                allow_private: work.allow_private_hosts,
                hosts,
                signing_secret: work.signing_secret.filter(|secret| !secret.is_empty()),
            },
            mail: MailRules { smtp, from, folder: work.mail_folder },
            metrics: metrics?,
            ready_within: ready_within?,
            log_format: log_format?,
            log_filter,
        })
    }

    /// A client with these settings, to be connected.
    pub(super) fn client(&self) -> ClientBuilder {
        Client::builder()
            .namespace(self.namespace.clone())
            .allow_eviction(self.allow_eviction)
            .connect_within(self.connect_timeout)
    }

    /// All of it as lines of TOML, secrets hidden.
    pub(super) fn show(&self) -> String {
        let text = |value: &dyn fmt::Display| format!("{:?}", value.to_string());
        let list = |values: Vec<String>| {
            format!("[{}]", values.iter().map(|value| format!("{value:?}")).collect::<Vec<_>>().join(", "))
        };
        let secret = |given: bool| text(if given { &"(hidden)" } else { &"" });
        let span = |span: Duration| text(&duration::show(span));
        let queues = self.queues.iter().map(|(name, slots)| format!("{name}={slots}")).collect();
        let hosts = self.http.hosts.iter().map(ToString::to_string).collect();
        let address = Redis::open(&self.url).map(|redis| redis.address()).unwrap_or_default();
        let lines = [
            ("redis-url", text(&address)),
            ("namespace", text(&self.namespace)),
            ("connect-timeout", span(self.connect_timeout)),
            ("allow-eviction", self.allow_eviction.to_string()),
            ("queue", list(queues)),
            ("lease", span(self.lease)),
            ("shutdown-timeout", span(self.shutdown_timeout)),
            ("crash-limit", self.crash_limit.to_string()),
            ("allow-private-hosts", self.http.allow_private.to_string()),
            ("allow-host", list(hosts)),
            ("signing-secret", secret(self.http.signing_secret.is_some())),
            ("smtp-url", text(&self.mail.smtp.as_ref().map(SmtpServer::address).unwrap_or_default())),
            ("mail-from", text(&self.mail.from.as_ref().map(ToString::to_string).unwrap_or_default())),
            ("mail-folder", text(&self.mail.folder.display())),
            ("metrics", text(&self.metrics.as_deref().unwrap_or("off"))),
            ("ready-within", span(self.ready_within)),
            ("log-format", text(&self.log_format)),
            ("log-filter", text(&self.log_filter)),
        ];
        lines.into_iter().map(|(name, value)| format!("{name} = {value}\n")).collect()
    }
}

fn url(connection: &Connection) -> String {
    let given = connection.redis_url.clone().or_else(|| std::env::var("ERGATE_REDIS_URL").ok());
    given.filter(|url| !url.is_empty()).unwrap_or_else(|| DEFAULT_URL.to_owned())
}

pub(super) fn log_filter(work: &Work) -> String {
    let other = || ["ERGATE_LOG", "RUST_LOG"].into_iter().find_map(|name| std::env::var(name).ok());
    work.log_filter
        .clone()
        .or_else(other)
        .filter(|filter| !filter.is_empty())
        .unwrap_or_else(|| "info".to_owned())
}

fn queues(texts: &[String], problems: &mut Problems) -> Vec<(QueueName, usize)> {
    let mut queues: Vec<(QueueName, usize)> = Vec::new();
    for text in texts.iter().map(|text| text.trim()).filter(|text| !text.is_empty()) {
        let Some((name, slots)) = text.split_once('=') else {
            problems.add("queue", format!("{text:?} has no slots; write it like {text}=10"));
            continue;
        };
        let name = problems.take("queue", name.parse::<QueueName>());
        let slots = slots.parse().ok().filter(|slots| (1..=MOST_SLOTS).contains(slots));
        if slots.is_none() {
            problems.add("queue", format!("{text:?} has no number of slots from 1 to {MOST_SLOTS}"));
        }
        let (Some(name), Some(slots)) = (name, slots) else { continue };
        if queues.iter().any(|(known, _)| *known == name) {
            problems.add("queue", format!("{name} is named twice"));
        }
        queues.push((name, slots));
    }
    if texts.iter().all(|text| text.trim().is_empty()) {
        problems.add("queue", "there is none; write it like mail=10");
    }
    queues
}

/// Reads `host:port`, `:port` for all addresses of this machine, or `off`.
fn address(text: &str) -> Result<Option<String>, String> {
    if text == "off" || text.is_empty() {
        return Ok(None);
    }
    let wrong = || format!("{text:?} is no address; write it like 127.0.0.1:9464, :9464 or off");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    port.parse::<u16>().map_err(|_| wrong())?;
    Ok(Some(if host.is_empty() { format!("0.0.0.0:{port}") } else { text.to_owned() }))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        options: Options,
    }

    fn check(arguments: &[&str]) -> Result<Settings, Usage> {
        let arguments = std::iter::once("ergate-worker").chain(arguments.iter().copied());
        Settings::check(Command::try_parse_from(arguments).unwrap().options)
    }

    fn problems(arguments: &[&str]) -> Vec<String> {
        check(arguments).unwrap_err().0
    }

    #[test]
    fn without_flags_there_are_the_stock_queues() {
        let settings = check(&["--log-filter", "info"]).unwrap();

        insta::assert_snapshot!(settings.show());
    }

    #[test]
    fn queues_are_given_one_by_one_or_in_a_list() {
        let name = |name: &'static str| QueueName::new(name).unwrap();
        let expected = [(name("mail"), 5), (name("http"), 20), (name("x"), 1)];

        assert_eq!(
            check(&["--queue", "mail=5", "--queue", "http=20", "--queue", "x=1"]).unwrap().queues,
            expected
        );
        assert_eq!(check(&["--queue", "mail=5,http=20,x=1"]).unwrap().queues, expected);
        assert_eq!(check(&["--queue", "mail=5", "http=20", "x=1"]).unwrap().queues, expected);
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let told = problems(&[
            "--redis-url",
            "localhost",
            "--namespace",
            "a b",
            "--queue",
            "mail,x=0,y=1,y=2",
            "--lease",
            "soon",
            "--shutdown-timeout=-1s",
            "--crash-limit",
            "0",
            "--metrics",
            "9464",
            "--allow-host",
            "http://x",
            "--smtp-url",
            "mail.example.com",
            "--mail-from",
            "nobody",
            "--log-format",
            "xml",
            "--log-filter",
            "a=b=c",
        ]);

        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn a_lease_out_of_range_is_refused() {
        assert_eq!(problems(&["--lease", "500ms"]), ["--lease: 500ms is not within 1s to 1h"]);
        assert_eq!(problems(&["--lease", "2h"]), ["--lease: 2h is not within 1s to 1h"]);
    }

    #[test]
    fn a_worker_is_ready_for_longer_than_its_heartbeats_are_apart() {
        assert_eq!(check(&[]).unwrap().ready_within, Duration::from_secs(15));
        assert_eq!(check(&["--lease", "5m"]).unwrap().ready_within, Duration::from_mins(5));
        assert_eq!(problems(&["--lease", "1m", "--ready-within", "15s"]).len(), 1);
    }

    #[test]
    fn secrets_are_not_shown() {
        let settings = check(&[
            "--redis-url",
            "redis://user:secret@10.0.0.1:6380/2",
            "--signing-secret",
            "secret",
            "--smtp-url",
            "smtp://user:secret@mail.example.com",
            "--allow-host",
            "api.example.com,.hooks.example",
            "--metrics",
            "off",
        ])
        .unwrap();

        let shown = settings.show();

        assert!(!shown.contains("secret\"") && !shown.contains(":secret"), "{shown}");
        for line in [
            "redis-url = \"10.0.0.1:6380\"",
            "signing-secret = \"(hidden)\"",
            "smtp-url = \"smtp://user:(hidden)@mail.example.com\"",
            "allow-host = [\"api.example.com\", \".hooks.example\"]",
            "metrics = \"off\"",
        ] {
            assert!(shown.contains(line), "{line} is not in {shown}");
        }
        assert!(!format!("{settings:?}").contains("secret\""), "{settings:?}");
    }

    #[test]
    fn metrics_are_answered_at_an_address_at_all_or_nowhere() {
        let metrics = |text: &str| check(&["--metrics", text]).unwrap().metrics;

        assert_eq!(metrics("[::]:80").as_deref(), Some("[::]:80"));
        assert_eq!(metrics(":9464").as_deref(), Some("0.0.0.0:9464"));
        assert_eq!(metrics("off"), None);
    }
}
