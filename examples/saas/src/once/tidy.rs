//! Leaves nothing behind: neither in a Redis that may be yours, nor on the disk.

use std::{fs, path::Path};

use anyhow::Context;
use ergate::Client;

/// Removes all keys of the client's namespace, which nothing works on any more.
pub(crate) async fn forget(client: &Client) -> anyhow::Result<()> {
    let pattern = format!("{}:*", client.namespace());
    let mut cursor = 0_u64;
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(1000);
        let (next, keys): (u64, Vec<String>) = client.redis().command("SCAN", &scan).await?;
        if !keys.is_empty() {
            let mut unlink = redis::cmd("UNLINK");
            unlink.arg(&keys);
            client.redis().command::<u64>("UNLINK", &unlink).await?;
        }
        if next == 0 {
            return Ok(());
        }
        cursor = next;
    }
}

/// Removes the folder of this time.
pub(crate) fn remove(folder: &Path) -> anyhow::Result<()> {
    fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))
}
