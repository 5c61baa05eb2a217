//! Sends an event by hand, as another part of the service would.

use std::io::Write;

use anyhow::Context;
use serde_json::Value;

use crate::app::Places;

/// Which event.
#[derive(Debug, clap::Args)]
pub(crate) struct SendOptions {
    /// Its name, such as trip/confirmed.
    event: String,
    /// Its data.
    #[arg(default_value = "{}")]
    json: String,
}

pub(crate) async fn send(places: &Places, options: &SendOptions) -> anyhow::Result<()> {
    let data: Value = serde_json::from_str(&options.json).context("the data is no JSON")?;
    let receipt = places.client().await?.send_raw(&options.event, data).await?;
    writeln!(std::io::stdout(), "{}", receipt.id)?;
    Ok(())
}
