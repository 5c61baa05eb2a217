//! Counts the commands a server runs for a while, by who sent them.
//!
//! `INFO commandstats` adds up what clients send and what scripts call. `MONITOR` marks the latter with `lua`; it slows
//! the server, so it is used on an idle queue only and never while times are measured.

use std::time::Instant;

use anyhow::Context;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
};

use crate::redis_server::RedisServer;

/// A running count.
#[derive(Debug)]
pub(crate) struct Monitor {
    stop: oneshot::Sender<()>,
    counting: JoinHandle<anyhow::Result<Tally>>,
    since: Instant,
}

/// Commands seen.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) from_clients: u64,
    pub(crate) from_scripts: u64,
    pub(crate) seconds: f64,
}

impl Monitor {
    pub(crate) async fn open(server: &RedisServer) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect(server.address()).await.context("connecting a monitor")?;
        stream.write_all(b"MONITOR\r\n").await?;
        let mut lines = BufReader::new(stream).lines();
        let greeting = lines.next_line().await?;
        anyhow::ensure!(greeting.as_deref() == Some("+OK"), "the server refuses MONITOR: {greeting:?}");

        let (stop, mut stopped) = oneshot::channel();
        let counting = tokio::spawn(async move {
            let mut tally = Tally::default();
            loop {
                tokio::select! {
                    line = lines.next_line() => tally.count(&line?.context("the server closed the monitor")?),
                    _ = &mut stopped => return Ok(tally),
                }
            }
        });
        Ok(Self { stop, counting, since: Instant::now() })
    }

    pub(crate) async fn close(self) -> anyhow::Result<Tally> {
        let seconds = self.since.elapsed().as_secs_f64();
        _ = self.stop.send(());
        let tally = self.counting.await??;
        Ok(Tally { seconds, ..tally })
    }
}

impl Tally {
    /// Commands of all kinds.
    pub(crate) fn total(self) -> f64 {
        (self.from_clients + self.from_scripts) as f64
    }

    /// A line reads `+1700000000.1 [0 127.0.0.1:5000] "get" "x"`, or `[0 lua]` where a script calls.
    fn count(&mut self, line: &str) {
        let Some((_, rest)) = line.split_once('[') else { return };
        let Some((origin, _)) = rest.split_once(']') else { return };
        if origin.ends_with(" lua") {
            self.from_scripts += 1;
        } else {
            self.from_clients += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_called_by_scripts_are_told_apart() {
        let mut tally = Tally::default();

        tally.count(r#"+1795306781.946415 [0 127.0.0.1:36732] "eval" "x] lua]" "0""#);
        tally.count(r#"+1795306781.946520 [0 lua] "incr" "x""#);

        assert_eq!((tally.from_clients, tally.from_scripts), (1, 1));
    }
}
