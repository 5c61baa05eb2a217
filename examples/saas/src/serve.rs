//! Everything in one process, for somebody who wants to play with it.

use std::io::Write;

use ergate::shutdown_signal;
use jiff::Timestamp;

use crate::{
    app::Places,
    partners::Server,
    worker::{self, WorkerOptions},
};

/// How it is served.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ServeOptions {
    #[command(flatten)]
    worker: WorkerOptions,
}

pub(crate) async fn serve(places: &Places, options: &ServeOptions) -> anyhow::Result<()> {
    let client = places.client().await?;
    let partners = Server::start().await?;
    let app = places.open(&partners.url, options.worker.pace()).await?;
    app.database.seed(Timestamp::now()).await?;
    greet(places, &partners)?;
    worker::worker(client, app, &options.worker).run_until(shutdown_signal()).await?;
    Ok(())
}

/// What to do next, for the person at the terminal.
fn greet(places: &Places, partners: &Server) -> anyhow::Result<()> {
    writeln!(
        std::io::stdout(),
        "\n  All functions are up. In another terminal:

  first     export REDIS_URL={redis}
  send      target/debug/saas send trip/confirmed '{{ \"tripId\": \"t1\", \"driverId\": \"bob\",
              \"passengerId\": \"ada\", \"destination\": \"Delft\" }}'         prints the event's id
            target/debug/saas send trip/confirmed '{{}}'           is refused, and says what is missing
  look      target/debug/ergate event show <id>                  the run it started
            target/debug/ergate run show trip-confirmed <run>    its steps, and until when it sleeps
  times     target/debug/ergate schedule list
            target/debug/ergate schedule run health-check
  trouble   curl -X POST {partners}/payments/down                and run health-check again: a mail
  mail      {mail}

  Ctrl-C stops it in order. Runs that sleep go on the next time.\n",
        redis = places.redis_url,
        partners = partners.url,
        mail = places.mail().display(),
    )?;
    Ok(())
}
