//! Taking functions off that no worker has any more.

use ergate_client::Client;
use ergate_shared::FunctionName;
use serde_json::json;

use super::versions;
use crate::output::{self, Output};

/// Takes a function off: the version that is named, or all there are.
pub(super) async fn run(client: &Client, function: &FunctionName, output: Output) -> anyhow::Result<()> {
    let meant = versions::meant(client, function).await?;
    let (mut removed, mut runs) = (Vec::new(), 0);
    for version in meant {
        if client.remove_function(&version).await? {
            let stats = client.queue(version.queue().as_str())?.stats().await?;
            runs += stats.ready + stats.scheduled + stats.leased;
            removed.push(version);
        }
    }
    let json = json!({"function": function, "removed": removed, "runs": runs});
    if removed.is_empty() {
        return output.either(&json, format!("function {function} is not declared: no event starts it"));
    }
    if runs > 0 {
        let of = removed.iter().map(|version| format!("`ergate run list {version}`")).collect::<Vec<_>>();
        output::note(format!("{} of it stay; {} shows them", output::counted(runs, "run"), of.join(", ")));
    }
    output.either(&json, format!("events start {} no longer", versions::named(&removed)))
}
