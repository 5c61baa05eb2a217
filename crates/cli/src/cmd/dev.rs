//! `ergate dev`: a Redis that keeps its data beside the project, and a worker on it, until Ctrl-C.
//!
//! Redis is a child of this process and outlives the worker, so that what still runs can be handed back. It is shut
//! down by command, never killed while it writes; what was enqueued is there again at the next start.

mod server;

use std::{net::TcpListener, path::PathBuf, pin::pin, time::Duration};

use clap::Args;
use ergate_client::ServerInfo;
use ergate_worker::{
    binary::{self, Options, Work},
    shutdown_signal,
};
use serde_json::json;
use tokio::sync::oneshot;

use super::worker::with_log;
use crate::{
    connection::{Connection, DEFAULT_URL},
    exit::Refusal,
    output::{self, BOLD, CYAN, DIM, GREEN, Output},
};

use server::Server;

/// Where the worker answers `/metrics` unless told otherwise.
const DEFAULT_METRICS: &str = "127.0.0.1:9464";
/// Where the worker keeps mail unless told otherwise.
const DEFAULT_MAIL_FOLDER: &str = "./mail";

/// `ergate dev`.
#[derive(Debug, Args)]
#[command(after_help = "\
With --redis-url or REDIS_URL the worker runs on that Redis, and none is started.")]
pub(crate) struct Dev {
    /// The server to start [default: redis-server or valkey-server on the PATH]
    #[arg(long, value_name = "PATH", help_heading = "Redis")]
    server: Option<PathBuf>,
    /// The port it listens on, on this machine only [default: the one of last time, 6379, or any that is free]
    #[arg(long, help_heading = "Redis", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Where it keeps its data
    #[arg(long, value_name = "DIR", default_value = ".ergate", help_heading = "Redis")]
    dir: PathBuf,
    #[command(flatten)]
    work: Work,
}

impl Dev {
    pub(crate) async fn run(
        self,
        connection: &Connection,
        output: Output,
        log: Option<String>,
    ) -> anyhow::Result<()> {
        let Self { server, port, dir, work } = self;
        if connection.given_url().is_some() && (server.is_some() || port.is_some()) {
            return Err(Refusal::usage(
                "--server and --port start a Redis, and --redis-url or REDIS_URL names another",
            )
            .hint("leave one of them out: `env -u REDIS_URL ergate dev --port 7000`")
            .into());
        }
        let mut work = with_log(work, log);
        let brings_redis = connection.given_url().is_none();
        if brings_redis {
            // Webhooks of what is being developed are on this machine.
            work.allow_private_hosts = true;
            if work.mail_folder.as_os_str() == DEFAULT_MAIL_FOLDER {
                work.mail_folder = dir.join("mail");
            }
        }
        binary::start_logging(&work);
        if work.print_config || work.health_check {
            let options = Options { connection: connection.of_worker(), work };
            return binary::run(options, shutdown_signal()).await;
        }
        free_metrics(&mut work);
        if !brings_redis {
            return work_on(None, connection, work, output).await;
        }

        let mut server = Server::start(server, port, &dir).await?;
        let connection = connection.at(server.url());
        let worked = work_on(Some(&mut server), &connection, work, output).await;
        let stopped = server.stop().await;
        worked?;
        stopped?;
        let dir = dir.display();
        output.line(format!(
            "{GREEN}✓{GREEN:#} stopped; what is enqueued is kept in {dir} {DIM}(start again to go on){DIM:#}"
        ))
    }
}

/// Runs the worker until Ctrl-C, or until Redis is gone.
async fn work_on(
    mut server: Option<&mut Server>,
    connection: &Connection,
    work: Work,
    output: Output,
) -> anyhow::Result<()> {
    let client = connection.client().await?;
    let place = server.as_ref().map(|server| server.place()).unwrap_or_default();
    let about = Welcome {
        server: client.server().clone(),
        url: without_secrets(&connection.url()),
        place,
        work: work.clone(),
    };
    drop(client);
    let options = Options { connection: connection.of_worker(), work };
    let (stop, stopped) = oneshot::channel::<()>();
    let mut worker = pin!(binary::run(options, async move {
        let _ = stopped.await;
    }));
    // A worker that cannot start says why within this time, and must not be praised first.
    tokio::select! {
        worked = &mut worker => return worked,
        () = tokio::time::sleep(Duration::from_millis(300)) => about.say(output)?,
    }
    let gone = async {
        match &mut server {
            Some(server) => server.gone().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        worked = &mut worker => return worked,
        // Without Redis it has nothing to hand back to, and must not wait for it either.
        gone = gone => return Err(gone),
        () = shutdown_signal() => {}
    }
    output::note("stopping: running jobs may finish; press Ctrl-C again not to wait for them");
    let _ = stop.send(());
    tokio::select! {
        worked = worker => worked,
        () = shutdown_signal() => Ok(()),
    }
}

/// Takes another port if the usual one is somebody else's: nobody who tries Ergate shall have to choose one.
fn free_metrics(work: &mut Work) {
    if work.metrics == DEFAULT_METRICS && TcpListener::bind(DEFAULT_METRICS).is_err() {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        work.metrics = free.map_or_else(|_| "off".to_owned(), |address| address.to_string());
    }
}

/// An address of whatever kind without user and password.
fn without_secrets(url: &str) -> String {
    let (place, _) = url.split_once('?').unwrap_or((url, ""));
    match place.split_once("://") {
        Some((scheme, rest)) => {
            format!("{scheme}://{}", rest.rsplit_once('@').map_or(rest, |(_, hosts)| hosts))
        }
        None => place.to_owned(),
    }
}

/// What runs, and what to try next.
struct Welcome {
    server: ServerInfo,
    /// Without user and password.
    url: String,
    /// Empty for a server that was there before.
    place: String,
    work: Work,
}

impl Welcome {
    fn say(&self, output: Output) -> anyhow::Result<()> {
        let Self { server, url, place, work } = self;
        if output.is_json() {
            return output.json(&json!({"redis_url": url, "metrics": work.metrics, "queues": work.queue}));
        }
        let mut facts = vec![
            (
                "redis",
                format!("{CYAN}{url}{CYAN:#}  {DIM}{} {}{place}{DIM:#}", server.flavour, server.version),
            ),
            ("worker", format!("queues and slots {}", work.queue.join(", "))),
        ];
        if work.metrics != "off" {
            facts.push(("metrics", format!("{CYAN}http://{}/metrics{CYAN:#}", work.metrics)));
        }
        if work.smtp_url.is_none() {
            facts.push(("mail", format!("kept as files in {}", work.mail_folder.display())));
        }
        output.line(format!("\n  {BOLD}ergate dev{BOLD:#}\n"))?;
        for (what, fact) in facts {
            output.line(format!("  {DIM}{what:<8}{DIM:#} {fact}"))?;
        }
        output.line(format!("\n  {BOLD}Try, in another terminal{BOLD:#}"))?;
        if !place.is_empty() && url != DEFAULT_URL {
            output.line(format!("  export REDIS_URL={url}"))?;
        }
        TRY.iter().try_for_each(|line| output.line(format!("  {line}")))?;
        output.line(format!("\n  {DIM}Ctrl-C stops it. Jobs are kept.{DIM:#}\n"))
    }
}

const TRY: [&str; 3] = [
    r#"ergate enqueue http http.request '{"url": "https://example.com", "method": "GET"}' --wait 10s"#,
    r#"ergate enqueue email email.send '{"to": ["you@example.com"], "subject": "It works"}'"#,
    "ergate queue list",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_as_the_kind_it_is_and_without_secrets() {
        for (given, shown) in [
            ("redis://127.0.0.1:6379", "redis://127.0.0.1:6379"),
            ("rediss://user:p%40ss@host:6380/1", "rediss://host:6380/1"),
            ("redis+sentinel://:secret@a:26379,b:26379/primary", "redis+sentinel://a:26379,b:26379/primary"),
            ("unix:///run/redis.sock?pass=se@cret", "unix:///run/redis.sock"),
        ] {
            assert_eq!(without_secrets(given), shown);
        }
    }
}
