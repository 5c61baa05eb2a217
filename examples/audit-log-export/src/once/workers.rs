//! Workers as processes of their own: what a deployment has several of.

use std::{env, fs::File, path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context, ensure};
use ergate::{Client, duration};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::{app::Places, job::EXPORTS};

/// Longer than a worker gives its handlers when it is told to stop.
const STOPS_WITHIN: Duration = Duration::from_secs(30);

/// A worker process. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct WorkerProcess {
    child: Child,
    pid: u32,
    log: PathBuf,
}

impl WorkerProcess {
    /// Starts this program again, as a worker.
    pub(crate) fn start(places: &Places, name: &str, lease: Duration) -> anyhow::Result<Self> {
        let log = places.data.join(format!("{name}.log"));
        let program = env::current_exe().context("where this program is")?;
        let child = Command::new(program)
            .args(["worker", "--slots", "4", "--lease", &duration::show(lease)])
            .arg("--data")
            .arg(&places.data)
            .args(["--namespace", &places.namespace])
            .env("REDIS_URL", &places.redis_url)
            .env_remove("STORAGE_URL")
            .env_remove("SMTP_URL")
            .env_remove("BASE_URL")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        let pid = child.id().context("a worker ended at once")?;
        Ok(Self { child, pid, log })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// The id under which it leases exports, once it is in Ergate's list of workers.
    pub(crate) async fn listed(&mut self, client: &Client) -> anyhow::Result<Option<String>> {
        if let Some(status) = self.child.try_wait()? {
            anyhow::bail!("a worker ended with {status}; its log is {}", self.log.display());
        }
        let workers = client.workers().await?;
        let queues = workers.into_iter().find(|worker| worker.pid == self.pid).map(|worker| worker.queues);
        let seat = queues.into_iter().flatten().find(|queue| queue.queue.as_str() == EXPORTS);
        Ok(seat.map(|queue| queue.worker).filter(|worker| !worker.is_empty()))
    }

    /// Ends it as the kernel does when memory is short: at once, and without a word.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("killing a worker")
    }

    /// Ends it as a deployment does, and sees that it went in order.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        let pid = Pid::from_raw(self.pid.cast_signed()).context("a process has an id")?;
        kill_process(pid, Signal::TERM)?;
        let status = tokio::time::timeout(STOPS_WITHIN, self.child.wait())
            .await
            .context("a worker did not stop")??;
        ensure!(status.success(), "a worker stopped with {status}; its log is {}", self.log.display());
        Ok(())
    }
}
