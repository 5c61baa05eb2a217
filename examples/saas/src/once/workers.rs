//! Workers as processes of their own: what a deployment has several of.

use std::{collections::BTreeSet, env, fs::File, path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context, bail, ensure};
use ergate::{Client, duration};
use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::app::Places;

/// Longer than a worker gives its runs when it is told to stop.
const STOPS_WITHIN: Duration = Duration::from_secs(30);

/// How workers are set up.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(crate) lease: Duration,
    pub(crate) sleep_factor: f64,
    pub(crate) partners: String,
}

/// A worker that was killed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kill {
    pub(crate) pid: u32,
    /// When it was surely dead.
    pub(crate) at: Timestamp,
}

/// Why a worker may not have told Redis what it did.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    pub(crate) kills: Vec<Kill>,
    /// Workers that lost a lease, as a machine that is busy elsewhere let them or Redis stand still for longer than it.
    pub(crate) lapsed: BTreeSet<u32>,
}

/// Some workers, of which one or the other is killed and replaced. Dropped, all are killed.
#[derive(Debug)]
pub(crate) struct Fleet {
    places: Places,
    setting: Setting,
    workers: Vec<(u32, Child)>,
    kills: Vec<Kill>,
    logs: Vec<(u32, PathBuf)>,
}

impl Fleet {
    pub(crate) fn start(places: &Places, setting: Setting, workers: usize) -> anyhow::Result<Self> {
        let mut fleet = Self {
            places: places.clone(),
            setting,
            workers: Vec::new(),
            kills: Vec::new(),
            logs: Vec::new(),
        };
        for _ in 0..workers {
            fleet.start_another()?;
        }
        Ok(fleet)
    }

    /// Starts this program again, as a worker.
    fn start_another(&mut self) -> anyhow::Result<()> {
        let number = self.workers.len() + self.kills.len() + 1;
        let log = self.places.data.join(format!("worker-{number}.log"));
        let program = env::current_exe().context("where this program is")?;
        let child = Command::new(program)
            .args(["worker", "--lease", &duration::show(self.setting.lease)])
            .args(["--sleep-factor", &self.setting.sleep_factor.to_string()])
            // A run may be unlucky more often than would be believable anywhere else.
            .args(["--crash-limit", "1000", "--partners", &self.setting.partners])
            .arg("--data")
            .arg(&self.places.data)
            .args(["--namespace", &self.places.namespace])
            .env("REDIS_URL", &self.places.redis_url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .kill_on_drop(true)
            .spawn()
            .context("starting a worker")?;
        let pid = child.id().context("a worker ended at once")?;
        self.workers.push((pid, child));
        self.logs.push((pid, log));
        Ok(())
    }

    /// Whether all are in Ergate's list of workers.
    pub(crate) async fn are_listed(&mut self, client: &Client) -> anyhow::Result<bool> {
        self.check()?;
        let listed: Vec<_> = client.workers().await?.into_iter().map(|worker| worker.pid).collect();
        Ok(self.workers.iter().all(|(pid, _)| listed.contains(pid)))
    }

    /// Sees that none has ended by itself.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        for (pid, child) in &mut self.workers {
            if let Some(status) = child.try_wait()? {
                bail!("worker {pid} ended with {status}; its log is in {}", self.places.data.display());
            }
        }
        Ok(())
    }

    /// Ends a worker as the kernel does when memory is short, at once and without a word, and starts another. If it is gone
    /// already, one of the others has to go.
    pub(crate) async fn kill(&mut self, pid: u32) -> anyhow::Result<()> {
        let place = self.workers.iter().position(|(worker, _)| *worker == pid).unwrap_or(0);
        let (pid, mut child) = self.workers.remove(place);
        child.kill().await.context("killing a worker")?;
        self.kills.push(Kill { pid, at: Timestamp::now() });
        self.start_another()
    }

    /// What kept workers from telling Redis what they did.
    pub(crate) fn losses(&self) -> anyhow::Result<Losses> {
        let mut lapsed = BTreeSet::new();
        for (pid, log) in &self.logs {
            let said = std::fs::read_to_string(log)?;
            if ["lease cannot be trusted", "lease has run out"].iter().any(|loss| said.contains(loss)) {
                lapsed.insert(*pid);
            }
        }
        Ok(Losses { kills: self.kills.clone(), lapsed })
    }

    /// Ends all as a deployment does, and sees that they went in order.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        for (pid, _) in &self.workers {
            let pid = Pid::from_raw(pid.cast_signed()).context("a process has an id")?;
            kill_process(pid, Signal::TERM)?;
        }
        for (pid, child) in &mut self.workers {
            let stopped = tokio::time::timeout(STOPS_WITHIN, child.wait()).await;
            let status = stopped.with_context(|| format!("worker {pid} did not stop"))??;
            ensure!(status.success(), "worker {pid} stopped with {status}");
        }
        self.workers.clear();
        Ok(())
    }
}
