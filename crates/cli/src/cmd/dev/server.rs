//! A Redis or Valkey server as a child process, its data in a directory of the project.
//!
//! Two servers on one directory would destroy each other's append-only file. So the directory is locked while `dev` runs,
//! and a server that a killed `dev` left behind is taken over instead of joined by a second one.

use std::{
    collections::HashMap,
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::Context as _;
use ergate_client::Redis;
use ergate_worker::shutdown_signal;
use tokio::process::{Child, Command};

use crate::{exit::Refusal, output};

/// The port everybody tries first.
const USUAL_PORT: u16 = 6379;
/// A long append-only file takes a while to load.
const LOADS_WITHIN: Duration = Duration::from_secs(120);
/// How long writing everything down may take at the end.
const STOPS_WITHIN: Duration = Duration::from_secs(30);
/// Lines of its log shown when it fails.
const LOG_LINES: usize = 8;

/// A server that runs until [`Server::stop`].
#[derive(Debug)]
pub(super) struct Server {
    /// `None` for one taken over from a `dev` that was killed.
    child: Option<Child>,
    port: u16,
    dir: PathBuf,
    /// Where this run begins in its log.
    log_from: u64,
    /// Held as long as this lives.
    _lock: File,
}

impl Server {
    /// Starts a server and waits until it has loaded its data.
    pub(super) async fn start(
        binary: Option<PathBuf>,
        port: Option<u16>,
        dir: &Path,
    ) -> anyhow::Result<Self> {
        let lock = lock(dir)?;
        let dir = dir.canonicalize().with_context(|| format!("directory {}", dir.display()))?;
        let last = fs::read_to_string(dir.join("port")).ok().and_then(|text| text.trim().parse().ok());
        if let Some(last) = last
            && is_ours(last, &dir).await
        {
            output::note(format!("took over the server that was left running on port {last}"));
            return Ok(Self { child: None, port: last, log_from: 0, dir, _lock: lock });
        }
        let binary = match binary {
            Some(binary) => binary,
            None => on_path().ok_or_else(none_found)?,
        };
        let port = choose_port(port, last)?;
        let log_from = fs::metadata(dir.join("redis.log")).map_or(0, |log| log.len());
        let mut child = spawn(&binary, port, &dir)?;
        if let Err(error) = loaded(&mut child, port, &dir, log_from).await {
            // It has not answered yet, so that there is nothing of this run to lose.
            let _ = child.kill().await;
            return Err(error);
        }
        fs::write(dir.join("port"), port.to_string())
            .with_context(|| format!("directory {}", dir.display()))?;
        Ok(Self { child: Some(child), port, dir, log_from, _lock: lock })
    }

    /// Where it listens.
    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Where it keeps its data, for people.
    pub(super) fn place(&self) -> String {
        let here = std::env::current_dir().ok();
        let shown = here.and_then(|here| self.dir.strip_prefix(here).ok().map(Path::to_path_buf));
        format!(", data in {}", shown.unwrap_or_else(|| self.dir.clone()).display())
    }

    /// Resolves if it ends by itself, with the reason.
    pub(super) async fn gone(&mut self) -> anyhow::Error {
        let Some(child) = &mut self.child else { return std::future::pending().await };
        let status = child.wait().await;
        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        self.child = None;
        failed(&format!("the server has ended by itself ({status})"), &self.dir, self.log_from).into()
    }

    /// Tells it to write everything down and end, and waits for that.
    pub(super) async fn stop(&mut self) -> anyhow::Result<()> {
        let redis = Redis::open(&self.url())?;
        // It answers by closing the connection.
        let _ = redis.command::<redis::Value>("SHUTDOWN", &redis::cmd("SHUTDOWN")).await;
        let Some(child) = &mut self.child else { return Ok(()) };
        let spinner = output::spinner("stopping Redis");
        let ended = tokio::time::timeout(STOPS_WITHIN, child.wait()).await;
        spinner.finish_and_clear();
        if ended.is_ok() {
            return Ok(());
        }
        // What it acknowledged is in the append-only file by then, as that is written before it answers.
        child.kill().await?;
        Err(failed(
            &format!(
                "the server had not ended {} after SHUTDOWN and was killed",
                output::about(STOPS_WITHIN)
            ),
            &self.dir,
            self.log_from,
        )
        .into())
    }
}

/// Makes the directory, keeps it out of version control, and locks it.
fn lock(dir: &Path) -> anyhow::Result<File> {
    let about = || format!("directory {}", dir.display());
    fs::create_dir_all(dir).with_context(about)?;
    let ignore = dir.join(".gitignore");
    if !ignore.exists() {
        fs::write(&ignore, "*\n").with_context(about)?;
    }
    let lock = File::create(dir.join("lock")).with_context(about)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(fs::TryLockError::WouldBlock) => {
            let port = fs::read_to_string(dir.join("port")).unwrap_or_default();
            Err(Refusal::failed(format!("another `ergate dev` runs in {}", dir.display()))
                .hint(format!("use it: REDIS_URL=redis://127.0.0.1:{}; or choose another --dir", port.trim()))
                .into())
        }
        Err(fs::TryLockError::Error(error)) => Err(error).with_context(about),
    }
}

/// Whether a server on this port has its data in `dir`.
async fn is_ours(port: u16, dir: &Path) -> bool {
    let Ok(redis) = Redis::open(&format!("redis://127.0.0.1:{port}")) else { return false };
    let mut get = redis::cmd("CONFIG");
    get.arg("GET").arg("dir");
    let answer: Result<HashMap<String, String>, _> = redis.command("CONFIG GET", &get).await;
    answer.is_ok_and(|settings| settings.get("dir").is_some_and(|theirs| Path::new(theirs) == dir))
}

fn on_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    ["redis-server", "valkey-server"].into_iter().find_map(|name| {
        std::env::split_paths(&path).map(|dir| dir.join(name)).find(|candidate| candidate.is_file())
    })
}

fn none_found() -> Refusal {
    Refusal::unreachable("there is no redis-server and no valkey-server on the PATH").hint(
        "three ways to get one\n  \
         install it   apt install redis-server, or brew install redis\n  \
         name it      ergate dev --server /path/to/redis-server\n  \
         use another  docker run -d -p 127.0.0.1:6379:6379 redis:7.2 redis-server --appendonly yes, and then\n  \
         \u{20}            ergate dev --redis-url redis://127.0.0.1:6379",
    )
}

/// The one asked for; else the one of last time or the usual one, if nobody listens there; else any.
fn choose_port(asked: Option<u16>, last: Option<u16>) -> anyhow::Result<u16> {
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    if let Some(port) = asked {
        if !is_free(port) {
            return Err(Refusal::failed(format!("port {port} is taken"))
                .hint("leave --port out to take a free one, or use what is there with --redis-url")
                .into());
        }
        return Ok(port);
    }
    if let Some(port) = last.into_iter().chain([USUAL_PORT]).find(|port| is_free(*port)) {
        return Ok(port);
    }
    let any = TcpListener::bind(("127.0.0.1", 0)).context("no port is free")?;
    Ok(any.local_addr().context("no port is free")?.port())
}

fn spawn(binary: &Path, port: u16, dir: &Path) -> anyhow::Result<Child> {
    let log = File::options().create(true).append(true).open(dir.join("redis.log")).context("redis.log")?;
    let mut command = Command::new(binary);
    command
        .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
        .arg("--dir")
        .arg(dir)
        // Every write is in the file before it is answered, and on the disk a second later.
        .args(["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""])
        .args(["--maxmemory-policy", "noeviction", "--daemonize", "no"])
        .stdin(Stdio::null())
        .stdout(log.try_clone().context("redis.log")?)
        .stderr(log)
        .kill_on_drop(false);
    // Ctrl-C at the terminal is for `dev`, which ends the server once the worker is done with it.
    #[cfg(unix)]
    command.process_group(0);
    command.spawn().map_err(|error| {
        Refusal::failed(format!("server {} cannot be started: {error}", binary.display()))
            .hint("name another with --server")
            .into()
    })
}

/// Waits until it answers, it ends, or somebody presses Ctrl-C.
async fn loaded(child: &mut Child, port: u16, dir: &Path, log_from: u64) -> anyhow::Result<()> {
    let redis = Redis::open(&format!("redis://127.0.0.1:{port}"))?;
    let answers = async {
        // While it loads it says so, and while it starts it refuses connections.
        while redis.command::<String>("PING", &redis::cmd("PING")).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waiting = async {
        tokio::select! {
            () = answers => Ok(()),
            status = child.wait() => {
                let status = status?;
                Err(failed(&format!("the server ended at once ({status})"), dir, log_from).into())
            }
            () = shutdown_signal() => Err(Refusal::failed("interrupted").into()),
            () = tokio::time::sleep(LOADS_WITHIN) => {
                Err(failed(&format!("the server did not answer within {}", output::about(LOADS_WITHIN)), dir, log_from).into())
            }
        }
    };
    output::patiently("starting Redis", Duration::from_millis(400), waiting).await
}

/// An error with what the server last wrote.
fn failed(what: &str, dir: &Path, log_from: u64) -> Refusal {
    let log = dir.join("redis.log");
    let text = fs::read(&log).unwrap_or_default();
    let text =
        String::from_utf8_lossy(text.get(usize::try_from(log_from).unwrap_or(0)..).unwrap_or_default());
    let lines: Vec<_> = text.lines().rev().take(LOG_LINES).collect();
    let tail: String =
        lines.into_iter().rev().map(|line| format!("\n  {}", output::harmless(line))).collect();
    Refusal::failed(format!("{what}{}{tail}", if tail.is_empty() { "" } else { "; it last said:" }))
        .hint(format!("the whole log is {}", log.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_refused_if_it_was_asked_for_and_passed_over_if_not() {
        let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = taken.local_addr().unwrap().port();

        assert!(choose_port(Some(port), None).unwrap_err().to_string().contains("is taken"));
        assert_ne!(choose_port(None, Some(port)).unwrap(), port);
    }
}
