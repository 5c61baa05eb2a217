//! API and worker in one process, stopped together.

use std::{io::Write, net::Ipv4Addr};

use anyhow::Context;
use ergate::shutdown_signal;
use jiff::{SignedDuration, Timestamp, Unit};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    api,
    app::{App, Places},
    producer::Producer,
    worker,
};

/// Ports tried one after the other if none was named.
const PORTS: std::ops::Range<u16> = 8080..8100;

/// How the API is served.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ServeOptions {
    /// The port of the API on 127.0.0.1. Default: 8080, or the next that is free.
    #[arg(long, env = "PORT")]
    port: Option<u16>,

    #[command(flatten)]
    worker: worker::WorkerOptions,

    /// Made-up audit logs that an empty database is filled with, spread over 20 organizations.
    #[arg(long, default_value_t = 100_000)]
    rows: u32,
}

pub(crate) async fn serve(places: &Places, options: &ServeOptions) -> anyhow::Result<()> {
    let client = places.client().await?;
    let listener = listen(options.port).await?;
    let address = format!("http://{}", listener.local_addr()?);
    let app = places.open(&address).await?;
    app.database.seed(20, options.rows / 20, Timestamp::now()).await?;
    greet(places, &app, &address).await?;

    let stop = CancellationToken::new();
    let routes = api::routes(app.clone(), client.clone(), Producer::new(client.clone()));
    let api = axum::serve(listener, routes).with_graceful_shutdown(stop.clone().cancelled_owned());
    let worker = worker::worker(client, app, options.worker).run_until(stop.clone().cancelled_owned());
    let signal = async {
        shutdown_signal().await;
        tracing::info!("stopping: requests and exports that run are finished first");
        stop.cancel();
    };
    let api = async { api.await.context("API") };
    let worker = async { worker.await.context("worker") };
    tokio::try_join!(api, worker, async {
        signal.await;
        Ok(())
    })?;
    Ok(())
}

async fn listen(port: Option<u16>) -> anyhow::Result<TcpListener> {
    let ports = port.map_or(PORTS, |port| port..port.saturating_add(1));
    let mut refused = None;
    for port in ports {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            Ok(listener) => return Ok(listener),
            Err(error) => refused = Some((port, error)),
        }
    }
    let (port, error) = refused.context("no port to listen on")?;
    Err(error).with_context(|| format!("port {port} on 127.0.0.1"))
}

/// What to do next, for the person at the terminal.
async fn greet(places: &Places, app: &App, address: &str) -> anyhow::Result<()> {
    let organizations = app.database.organizations().await?;
    let example = organizations.first().context("no organizations in the database")?;
    let now = Timestamp::now().round(Unit::Hour)?;
    let (files, mail) = (places.files(), places.mail());
    let files = places.storage_url.clone().unwrap_or_else(|| files.display().to_string());
    let mail = if places.smtp_url.is_some() { "sent by SMTP".to_owned() } else { mail.display().to_string() };
    writeln!(
        std::io::stdout(),
        "\n  The export service is up, with a worker in the same process.

  click     {address}
  or ask    curl -s {address}/exports -H 'content-type: application/json' -d '{{
              \"orgId\": \"{org}\", \"userId\": \"00000000-0000-0000-0000-000000000001\",
              \"userEmail\": \"ada@example.com\", \"startDate\": \"{start}\", \"endDate\": \"{end}\" }}'
  then      curl -s {address}/exports            what there is, and how far it is
            curl -s {address}/notifications      what users were told
  files     {files}
  mail      {mail}

  Ctrl-C stops it in order: exports that run are finished first.\n",
        org = example.id,
        start = now - SignedDuration::from_hours(30 * 24),
        end = now,
    )?;
    Ok(())
}
