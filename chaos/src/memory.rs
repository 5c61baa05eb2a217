//! What Redis and worker processes use.

use std::collections::HashMap;

use anyhow::Context as _;
use ergate_rig::RedisServer;
use redis::{Value, from_redis_value};

use crate::stage::Member;

/// The group that routers read events as.
const ROUTERS: &str = "router";

/// Bytes Redis uses, as `INFO memory` has it.
///
/// # Errors
/// Errors of the connection.
pub async fn of_redis(server: &RedisServer) -> anyhow::Result<u64> {
    let text: String = server.try_ask(&["INFO", "memory"]).await?;
    let found = text.lines().find_map(|line| line.strip_prefix("used_memory:")?.trim().parse().ok());
    found.context("INFO memory tells no used_memory")
}

/// What the keys of events take, which are kept for days by age and number; estimated from so many entries of each key, or exact and
/// slow if that is 0.
///
/// # Errors
/// Errors of the connection.
pub async fn of_events(server: &RedisServer, samples: u32) -> anyhow::Result<u64> {
    of_keys(server, "ergate:{event*", samples).await
}

async fn of_keys(server: &RedisServer, pattern: &str, samples: u32) -> anyhow::Result<u64> {
    let samples = samples.to_string();
    let keys: Vec<String> = server.try_ask(&["KEYS", pattern]).await?;
    let mut sum = 0;
    for key in keys {
        let usage = ["MEMORY", "USAGE", &key, "SAMPLES", &samples];
        sum += server.try_ask::<Option<u64>>(&usage).await?.unwrap_or(0);
    }
    Ok(sum)
}

/// What keys take that hold for an hour what is not to be done twice: answers of producers' last calls, and ids of runs that were
/// started by others.
///
/// # Errors
/// Errors of the connection.
pub async fn of_the_hour(server: &RedisServer) -> anyhow::Result<u64> {
    Ok(of_keys(server, "ergate:*:producers", 0).await? + of_keys(server, "ergate:*:routed", 0).await?)
}

/// Takes routers off the list of a stream's readers that have read nothing for ten seconds and have nothing in hand, as is done
/// after an hour: `MEMORY USAGE` counts a little more than half of what each takes.
///
/// # Errors
/// Errors of the connection.
pub async fn forget_silent_routers(server: &RedisServer) -> anyhow::Result<()> {
    const SILENT_MS: u64 = 10_000;
    let streams: Vec<String> = server.try_ask(&["KEYS", "ergate:{event*:stream"]).await?;
    for stream in streams {
        let routers: Vec<HashMap<String, Value>> =
            server.try_ask(&["XINFO", "CONSUMERS", &stream, ROUTERS]).await?;
        for router in routers {
            let about = |what| from_redis_value::<u64>(router[what].clone());
            let name: String = from_redis_value(router["name"].clone())?;
            if about("pending")? == 0 && about("idle")? > SILENT_MS {
                let _: u64 = server.try_ask(&["XGROUP", "DELCONSUMER", &stream, ROUTERS, &name]).await?;
            }
        }
    }
    Ok(())
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
