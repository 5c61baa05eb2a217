//! What Redis tells about itself.

use std::{collections::HashMap, time::Duration};

use anyhow::Context;
use redis::{AsyncConnectionConfig, Client, aio::MultiplexedConnection};
use tokio::time::sleep;

/// A server counts as quiet when it runs fewer commands than this in [`QUIET_FOR`]; pollers never stop altogether.
const QUIET_COMMANDS: u64 = 100;
const QUIET_FOR: Duration = Duration::from_millis(100);
const QUIET_PATIENCE: u32 = 100;

/// A connection that only asks `INFO`.
pub(crate) struct Probe {
    connection: MultiplexedConnection,
}

/// Counters at one moment; differences between two are what the figures are made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    /// User and system time of the server process, in microseconds.
    pub(crate) cpu_us: f64,
    /// Commands run, those called by scripts included, `INFO` excluded.
    pub(crate) commands: u64,
    /// Allocated memory without the append-only buffer. Clients are in it: compare moments when only this probe is
    /// connected.
    pub(crate) bytes: f64,
}

impl Probe {
    pub(crate) async fn connect(url: &str) -> anyhow::Result<Self> {
        // A server that trims or flushes a million keys answers late, which is no error here.
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(60)));
        let client = Client::open(url)?;
        let connection =
            client.get_multiplexed_async_connection_with_config(&config).await.context("connecting")?;
        Ok(Self { connection })
    }

    pub(crate) async fn read(&mut self) -> anyhow::Result<Reading> {
        let sections = ["cpu", "memory", "commandstats"];
        let text: String = redis::cmd("INFO").arg(&sections).query_async(&mut self.connection).await?;
        Ok(Reading::parse(&text))
    }

    /// Waits until acknowledgements that are still under way have arrived, then reads.
    pub(crate) async fn settled(&mut self) -> anyhow::Result<Reading> {
        let mut last = self.read().await?;
        for _ in 0..QUIET_PATIENCE {
            sleep(QUIET_FOR).await;
            let now = self.read().await?;
            if now.commands - last.commands < QUIET_COMMANDS {
                return Ok(now);
            }
            last = now;
        }
        Ok(last)
    }
}

impl Reading {
    fn parse(info: &str) -> Self {
        let fields: HashMap<_, _> = info.lines().filter_map(|line| line.trim_end().split_once(':')).collect();
        let number = |name: &str| fields.get(name).and_then(|value| value.parse().ok()).unwrap_or(0.0);
        Self {
            cpu_us: (number("used_cpu_user") + number("used_cpu_sys")) * 1e6,
            commands: fields.iter().filter_map(|(name, value)| calls(name, value)).sum(),
            bytes: number("used_memory") - number("mem_aof_buffer"),
        }
    }
}

/// `cmdstat_get` with `calls=3,usec=…` gives 3.
fn calls(name: &str, value: &str) -> Option<u64> {
    if name == "cmdstat_info" {
        return None;
    }
    name.strip_prefix("cmdstat_")?;
    value.strip_prefix("calls=")?.split(',').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_leaves_out_the_observer() {
        let info = "# Memory\r\nused_memory:1000\r\nmem_aof_buffer:100\r\n\
                    # CPU\r\nused_cpu_sys:0.5\r\nused_cpu_user:1.5\r\n\
                    cmdstat_info:calls=9,usec=1\r\ncmdstat_lpush:calls=4,usec=2\r\ncmdstat_client|id:calls=1,usec=2\r\n";

        let reading = Reading::parse(info);

        assert_eq!(reading.cpu_us, 2e6);
        assert_eq!(reading.commands, 5);
        assert_eq!(reading.bytes, 900.0);
    }
}
