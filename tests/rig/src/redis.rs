//! A real server, started for one test on a port and in a directory of its own.
//!
//! The binary is `ERGATE_TEST_REDIS_SERVER`, else `redis-server`, else `valkey-server` from `PATH`; without one the tests fail.

use std::{
    env,
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use redis::{AsyncConnectionConfig, Client, FromRedisValue, RedisResult, aio::MultiplexedConnection};
use uuid::Uuid;

use super::{
    leash::Leash,
    until::{DEADLINE, until, until_some},
};

/// Below the ports that systems hand out by themselves, so that a server that was killed finds its port free again; and
/// ten thousand further up, where cluster nodes talk to each other, it is still below.
const PORTS: std::ops::Range<u16> = 11_000..21_000;

/// What the log says once the server answers; the second line is a sentinel's.
const READY: [&str; 2] = ["Ready to accept connections", "Sentinel ID is"];
/// What it says if the end of its append-only file was torn.
const TRUNCATED: &str = "loaded anyway because aof-load-truncated is enabled";

/// A running server. Dropped, it is killed and its directory removed.
#[derive(Debug)]
pub struct RedisServer {
    process: Option<Leash>,
    port: u16,
    directory: PathBuf,
    options: RedisOptions,
}

/// How a server is set up. By default it keeps nothing on disk and asks for no password.
#[derive(Debug, Clone, Default)]
pub struct RedisOptions {
    lines: Vec<String>,
    sentinel: bool,
    password: Option<String>,
    tls: bool,
}

/// The files a server with TLS needs, PEM.
#[derive(Debug, Clone, Copy)]
pub struct TlsFiles<'a> {
    /// The server's certificate.
    pub certificate: &'a Path,
    /// Its private key.
    pub key: &'a Path,
    /// The certificate that signed it.
    pub authority: &'a Path,
}

// impl RedisOptions

impl RedisOptions {
    /// One line of the configuration file; the value is taken as it is, quotes included.
    pub fn config(mut self, name: &str, value: &str) -> Self {
        self.lines.push(format!("{name} {value}"));
        self
    }

    /// An append-only file that is flushed before every answer: a kill loses nothing that was acknowledged.
    pub fn appendonly_always(self) -> Self {
        self.config("appendonly", "yes").config("appendfsync", "always")
    }

    /// The default user's password, which `url` then carries.
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self.config("requirepass", password)
    }

    /// A user with access rules such as `~ergate:* +@all`; `url_as` gives the address.
    pub fn user(self, name: &str, password: &str, rules: &str) -> Self {
        self.config("user", &format!("{name} on >{password} {rules}"))
    }

    /// TLS only; `url` is then a `rediss` one.
    pub fn tls(mut self, files: TlsFiles<'_>) -> Self {
        self.tls = true;
        self.config("tls-cert-file", &files.certificate.display().to_string())
            .config("tls-key-file", &files.key.display().to_string())
            .config("tls-ca-cert-file", &files.authority.display().to_string())
            .config("tls-auth-clients", "no")
    }

    /// A sentinel instead of a server.
    pub(crate) fn sentinel(mut self) -> Self {
        self.sentinel = true;
        self
    }

    /// Starts the server and returns once it answers.
    ///
    /// # Panics
    /// If there is no server binary, or the server refuses its configuration; its log is in the message.
    pub async fn start(self) -> RedisServer {
        let directory = env::temp_dir().join(format!("ergate-test-{}", Uuid::new_v4().simple()));
        fs::create_dir(&directory).expect("a temporary directory can be made");
        let mut server = RedisServer { process: None, port: 0, directory, options: self };

        // Between finding a port free and the server taking it, another test's server may have been quicker.
        for _ in 0..20 {
            server.port = free_port();
            let text = server.options.text(server.port);
            fs::write(server.config_file(), text).expect("the configuration can be written");
            match server.launch(&[]).await {
                Ok(()) => return server,
                Err(log) if log.contains("Address already in use") => {}
                Err(log) => panic!("the server ended at once:\n{log}"),
            }
        }
        panic!("twenty ports tried, none was free")
    }

    fn text(&self, port: u16) -> String {
        let (plain, tls) = if self.tls { (0, port) } else { (port, 0) };
        let mut text = format!("port {plain}\nbind 127.0.0.1\n");
        if self.tls {
            text.push_str(&format!("tls-port {tls}\n"));
        }
        if !self.sentinel {
            text.push_str("save \"\"\nappendonly no\n");
        }
        text + &self.lines.join("\n") + "\n"
    }
}

// impl RedisServer

impl RedisServer {
    /// A server with the default options.
    pub async fn start() -> Self {
        Self::options().start().await
    }

    /// How the server is to be set up, to be changed before `start`.
    pub fn options() -> RedisOptions {
        RedisOptions::default()
    }

    /// Whether it was started and not killed since.
    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Where the server listens, on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The data directory. It outlives `kill`.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The append-only file that is being written; none if the server writes none.
    pub fn append_only_file(&self) -> Option<PathBuf> {
        let folder = fs::read_dir(self.directory.join("appendonlydir")).ok()?;
        let files = folder.filter_map(|file| file.ok()?.path().into_os_string().into_string().ok());
        // They are numbered; an older one may be about to be removed.
        let last =
            files.filter(|file| file.ends_with(".incr.aof")).max_by_key(|file| (file.len(), file.clone()));
        last.map(PathBuf::from)
    }

    /// The address, with the password of the default user if it has one.
    pub fn url(&self) -> String {
        let login = self.options.password.as_ref().map(|it| format!(":{it}@")).unwrap_or_default();
        self.address(&login)
    }

    /// The address for one user of the access list.
    pub fn url_as(&self, user: &str, password: &str) -> String {
        self.address(&format!("{user}:{password}@"))
    }

    fn address(&self, login: &str) -> String {
        let scheme = if self.options.tls { "rediss" } else { "redis" };
        format!("{scheme}://{login}127.0.0.1:{}", self.port)
    }

    /// A connection that does not go through any code of ours.
    pub async fn connection(&self) -> MultiplexedConnection {
        connection_to(&self.url()).await.expect("the server answers")
    }

    /// Sends one command on a connection of its own.
    pub async fn try_ask<T: FromRedisValue>(&self, words: &[&str]) -> RedisResult<T> {
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(*word);
        }
        command.query_async(&mut connection_to(&self.url()).await?).await
    }

    /// Sends one command on a connection of its own, and panics if it is refused.
    pub async fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        match self.try_ask(words).await {
            Ok(answer) => answer,
            Err(error) => panic!("the server refused {words:?}: {error}"),
        }
    }

    /// Kills the server as a power cut would, and keeps its directory. Does nothing if it is not running.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("the server can be killed");
        }
    }

    /// Kills the server if it runs, and starts it again on the same port with the same directory. Of a transaction that the kill
    /// tore nothing is left.
    pub async fn restart(&mut self) {
        self.restart_with(&[]).await;
        if self.log().contains(TRUNCATED) {
            self.rewrite().await;
        }
    }

    /// Writes the append-only file anew, as is to be done after such a start: the first half of a transaction is still in it,
    /// and the next start would carry that out.
    async fn rewrite(&self) {
        self.ask::<()>(&["BGREWRITEAOF"]).await;
        until("the append-only file is written anew", async || {
            let about: String = self.ask(&["INFO", "persistence"]).await;
            about.contains("aof_rewrite_in_progress:0") && about.contains("aof_rewrite_scheduled:0")
        })
        .await;
    }

    /// The same with words of configuration that count for more than the file's, such as `--replica-priority` and `0`.
    pub(crate) async fn restart_with(&mut self, words: &[&str]) {
        self.kill();
        if let Err(log) = self.launch(words).await {
            panic!("the server did not start again:\n{log}");
        }
    }

    /// Stops the server where it stands: connections stay open, nothing is answered.
    pub fn freeze(&self) {
        self.running().freeze().expect("the server can be stopped");
    }

    /// Lets a frozen server go on.
    pub fn thaw(&self) {
        self.running().thaw().expect("the server can be resumed");
    }

    /// What the server has logged since it was last started.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// Starts the process; the error is the log of a server that ended before it was ready.
    async fn launch(&mut self, words: &[&str]) -> Result<(), String> {
        let log = File::create(self.directory.join("log")).expect("the log can be made");
        let mut command = Command::new(server_binary());
        command
            .arg(self.config_file())
            .args(self.options.sentinel.then_some("--sentinel"))
            .args(words)
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log);
        let mut process =
            Leash::spawn(&mut command, Some(&self.directory)).expect("the server can be started");

        until_some("the server is ready", async || {
            let ended = process.exited().expect("the server is our child").is_some();
            let log = self.log();
            if READY.iter().any(|line| log.contains(line)) {
                Some(Ok(()))
            } else if ended {
                Some(Err(log))
            } else {
                None
            }
        })
        .await?;
        self.process = Some(process);
        Ok(())
    }

    fn config_file(&self) -> PathBuf {
        self.directory.join("redis.conf")
    }

    fn running(&self) -> &Leash {
        self.process.as_ref().expect("the server was not killed")
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.process = None;
        if std::thread::panicking() {
            eprintln!("--- log of the server on port {} ---\n{}", self.port, self.log());
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A port nobody listens on, whose like the system does not hand out.
pub(crate) fn free_port() -> u16 {
    loop {
        let [high, low, ..] = *Uuid::new_v4().as_bytes();
        let port = PORTS.start + u16::from_be_bytes([high, low]) % (PORTS.end - PORTS.start);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

async fn connection_to(url: &str) -> RedisResult<MultiplexedConnection> {
    let patient = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(DEADLINE))
        .set_response_timeout(Some(DEADLINE));
    Client::open(url)?.get_multiplexed_async_connection_with_config(&patient).await
}

fn server_binary() -> PathBuf {
    if let Some(named) = env::var_os("ERGATE_TEST_REDIS_SERVER") {
        return named.into();
    }
    let path = env::var_os("PATH").unwrap_or_default();
    ["redis-server", "valkey-server"]
        .iter()
        .flat_map(|name| env::split_paths(&path).map(move |folder| folder.join(name)))
        .find(|file| file.is_file())
        .unwrap_or_else(|| {
            panic!(
                "these tests need a Redis or Valkey server: put `redis-server` or `valkey-server` on PATH, name a binary in \
                 ERGATE_TEST_REDIS_SERVER, or run `script/test`, which installs one"
            )
        })
}
