//! Forgets what event names have no use for any more: recent events over their age, waits over their time.
//!
//! Routing and waiting do so on the way; this is for names that nobody sends or waits for any more. Every router does it,
//! nobody is elected: doing it twice changes nothing.

use std::time::Duration;

use ergate_client::{Client, Error};
use ergate_shared::{EventName, script};

use crate::cut_off::cut_off;

const EVERY: Duration = Duration::from_mins(1);
/// Names looked at each time, and the most of each kind worked off under a name.
const AT_ONCE: usize = 50;
const LIMIT: u64 = 200;
/// As `resume` keeps them.
const KEEP_RECENT_MS: u64 = 24 * 60 * 60 * 1000;
/// A name is noted again each hour by those who use it: one that is empty and was not is forgotten.
const FORGOTTEN_AFTER_MS: u64 = 2 * 60 * 60 * 1000;

/// Works for ever; dropped when the router stops.
pub(super) async fn run(client: Client) {
    let mut cursor = 0;
    loop {
        tokio::time::sleep(EVERY).await;
        match clean(&client, cursor).await {
            Ok(next) => cursor = next,
            Err(error) => cut_off!(error, "forgetting old events was cut off; it is done again"),
        }
    }
}

async fn clean(client: &Client, cursor: u64) -> Result<u64, Error> {
    let key = &client.registry_keys().event_names;
    let mut scan = redis::cmd("HSCAN");
    scan.arg(key).arg(cursor).arg("COUNT").arg(AT_ONCE);
    let (next, names): (u64, Vec<(String, u64)>) = client.redis().command("HSCAN", &scan).await?;
    for (name, noted_at) in names {
        let Ok(name) = name.parse::<EventName>() else { continue };
        let call = script::EVENT_CLEAN
            .on_name(&client.name_keys(&name))
            .arg("")
            .number(KEEP_RECENT_MS)
            .number(LIMIT);
        let (now, code): (u64, String) = client.redis().run(&call).await?;
        if code == "empty" && noted_at + FORGOTTEN_AFTER_MS < now {
            let mut forget = redis::cmd("HDEL");
            forget.arg(key).arg(name.as_str());
            client.redis().command::<()>("HDEL", &forget).await?;
        }
    }
    Ok(next)
}
