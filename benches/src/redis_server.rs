//! A Redis (or Valkey) server of our own: loopback only, a directory of its own, gone when dropped.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::sleep,
};

/// Tried in this order when none is named.
const PROGRAMS: [&str; 2] = ["redis-server", "valkey-server"];
const START_PATIENCE: Duration = Duration::from_secs(10);
/// The shell waits on standard input and ends the server when it closes: even a killed driver leaves no server behind.
const GUARD: &str =
    r#"trap '' INT; "$@" </dev/null & server=$!; read -r _; kill -9 "$server"; wait "$server" 2>/dev/null"#;

/// A running server.
#[derive(Debug)]
pub(crate) struct RedisServer {
    guard: Child,
    port: u16,
    directory: PathBuf,
}

impl RedisServer {
    /// Starts `program`, or the first known server on PATH if it is empty. Nothing is persisted unless `aof` asks for an
    /// append-only file flushed every second.
    ///
    /// # Errors
    ///
    /// Fails if no server can be started or it does not listen within ten seconds.
    pub(crate) async fn start(program: &str, aof: bool) -> anyhow::Result<Self> {
        let port = free_port()?;
        let directory = std::env::temp_dir().join(format!("ergate-bench-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&directory).with_context(|| format!("creating {}", directory.display()))?;
        let guard = Command::new("sh")
            .args(["-c", GUARD, "sh", &find(program)?])
            .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
            .args(["--save", "", "--daemonize", "no", "--loglevel", "warning"])
            .args(["--appendonly", if aof { "yes" } else { "no" }, "--appendfsync", "everysec"])
            .arg("--dir")
            .arg(&directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .context("starting the server")?;

        let server = Self { guard, port, directory };
        let clock = Instant::now();
        while TcpStream::connect(server.address()).await.is_err() {
            if clock.elapsed() > START_PATIENCE {
                bail!("the server does not listen on port {port}");
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(server)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn address(&self) -> (Ipv4Addr, u16) {
        (Ipv4Addr::LOCALHOST, self.port)
    }

    /// Ends the server and removes its directory.
    pub(crate) async fn stop(mut self) {
        drop(self.guard.stdin.take());
        // The guard outlives the server it kills; when it has ended the port and the directory are free.
        _ = self.guard.wait().await;
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// What the server calls itself: its name and version.
///
/// # Errors
///
/// Fails if there is no server.
pub(crate) fn version(program: &str) -> anyhow::Result<String> {
    let told = std::process::Command::new(find(program)?)
        .arg("--version")
        .output()
        .context("asking for a version")?;
    let told = String::from_utf8_lossy(&told.stdout);
    Ok(told.split_whitespace().take_while(|word| !word.starts_with("sha=")).collect::<Vec<_>>().join(" "))
}

fn find(program: &str) -> anyhow::Result<String> {
    if !program.is_empty() {
        return Ok(program.to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = |name: &&str| std::env::split_paths(&path).any(|directory| directory.join(name).is_file());
    PROGRAMS
        .into_iter()
        .find(on_path)
        .map(str::to_owned)
        .context("neither redis-server nor valkey-server is on PATH")
}

fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("finding a free port")?;
    Ok(listener.local_addr()?.port())
}
