//! Pausing functions and letting them go on.

use ergate_client::Client;
use ergate_shared::FunctionName;
use serde_json::json;

use super::versions;
use crate::output::Output;

/// Pauses a function or lets it go on: the version that is named, or all there are.
pub(super) async fn run(
    client: &Client,
    function: &FunctionName,
    pauses: bool,
    output: Output,
) -> anyhow::Result<()> {
    let meant = versions::meant(client, function).await?;
    for version in &meant {
        let queue = client.queue(version.queue().as_str())?;
        match pauses {
            true => queue.pause().await?,
            false => queue.resume().await?,
        }
    }
    let json = json!({"function": function, "versions": meant, "paused": pauses});
    let what = match (meant.len(), pauses) {
        (1, true) => "is paused",
        (1, false) => "goes on",
        (_, true) => "are paused",
        (_, false) => "go on",
    };
    output.either(&json, format!("{} {what}", versions::named(&meant)))
}
