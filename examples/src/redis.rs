//! A Redis for tests of the examples.

use std::{
    env,
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A server with nothing on disk. Dropped, it is killed.
#[derive(Debug)]
pub struct Redis {
    process: Child,
    port: u16,
}

impl Redis {
    /// Starts `redis-server` or `valkey-server` of the path, or what `ERGATE_TEST_REDIS_SERVER` names, on a port that is free.
    ///
    /// # Panics
    /// If there is none, or it does not start.
    pub fn start() -> Self {
        // Another process may take the port between these two lines; then the server ends, and the next try has another.
        for _ in 0..10 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            if let Some(redis) = Self::on(port) {
                return redis;
            }
        }
        panic!("redis did not start on any of ten ports")
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    fn on(port: u16) -> Option<Self> {
        let named = env::var("ERGATE_TEST_REDIS_SERVER").ok();
        let binaries = named.as_deref().map_or(vec!["redis-server", "valkey-server"], |binary| vec![binary]);
        let process = binaries
            .iter()
            .find_map(|binary| {
                Command::new(binary)
                    .args([
                        "--port",
                        &port.to_string(),
                        "--bind",
                        "127.0.0.1",
                        "--save",
                        "",
                        "--appendonly",
                        "no",
                    ])
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .spawn()
                    .ok()
            })
            .expect("redis-server or valkey-server is on PATH, or named by ERGATE_TEST_REDIS_SERVER");
        let mut redis = Self { process, port };
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(10) {
            if redis.process.try_wait().unwrap().is_some() {
                return None;
            }
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(redis);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
