//! What Redis and worker processes use.

use anyhow::Context as _;
use ergate_rig::RedisServer;

use crate::stage::Member;

const EVENTS: &str = "ergate:{event*";

/// Bytes Redis uses, as `INFO memory` has it.
///
/// # Errors
/// Errors of the connection.
pub async fn of_redis(server: &RedisServer) -> anyhow::Result<u64> {
    told(server, "used_memory").await
}

/// Bytes of that which are buffers of connections: some 20 KiB for each that was used within two seconds.
///
/// # Errors
/// Errors of the connection.
pub async fn of_clients(server: &RedisServer) -> anyhow::Result<u64> {
    told(server, "mem_clients_normal").await
}

async fn told(server: &RedisServer, field: &str) -> anyhow::Result<u64> {
    let text: String = server.try_ask(&["INFO", "memory"]).await?;
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    let found = fields.find(|(name, _)| *name == field).and_then(|(_, bytes)| bytes.trim().parse().ok());
    found.with_context(|| format!("INFO memory tells no {field}"))
}

/// What the keys of events take, which are kept for days by age and number; estimated.
///
/// # Errors
/// Errors of the connection.
pub async fn of_events(server: &RedisServer) -> anyhow::Result<u64> {
    let keys: Vec<String> = server.try_ask(&["KEYS", EVENTS]).await?;
    let mut sum = 0;
    for key in keys {
        let usage = ["MEMORY", "USAGE", &key, "SAMPLES", "50"];
        sum += server.try_ask::<Option<u64>>(&usage).await?.unwrap_or(0);
    }
    Ok(sum)
}

/// Bytes Redis uses for what it keeps for a time by promise: events for days; for an hour answers of producers' last calls, and
/// ids of runs that were started by others. It is by how much Redis grows with a copy of these keys, as `MEMORY USAGE` leaves out
/// much of what tables and readers of streams take. Nothing else may be going on.
///
/// # Errors
/// Errors of the connection.
pub async fn of_the_kept(server: &RedisServer) -> anyhow::Result<u64> {
    const COPY: &str = "for _, pattern in ipairs(ARGV) do for _, key in ipairs(redis.call('KEYS', pattern)) do \
        redis.call('COPY', key, key, 'DB', 1) end end";
    let before = of_redis(server).await?;
    let () = server.try_ask(&["EVAL", COPY, "0", EVENTS, "ergate:*:producers", "ergate:*:routed"]).await?;
    let with_copies = of_redis(server).await?;
    let () = server.try_ask(&["EVAL", "redis.call('SELECT', 1) redis.call('FLUSHDB')", "0"]).await?;
    Ok(with_copies.saturating_sub(before))
}

/// Bytes of memory of the largest of these processes, as the system counts them.
pub fn of_largest(members: &[Member]) -> u64 {
    members.iter().filter_map(|member| resident(member.process.id())).max().unwrap_or(0)
}

fn resident(process: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok()? * 1024)
}
