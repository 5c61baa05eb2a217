//! Every example runs to its end on a real Redis; what it prints and asserts is its own affair.

use std::{
    env, fs,
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// An example may be read on one screen.
const MOST_LINES: usize = 60;

/// A server with nothing on disk. Dropped, it is killed.
struct Redis {
    process: Child,
    port: u16,
}

impl Redis {
    fn start() -> Self {
        // Another process may take the port between these two lines; then the server ends, and the next try has another.
        for _ in 0..10 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            if let Some(redis) = Self::on(port) {
                return redis;
            }
        }
        panic!("redis did not start on any of ten ports")
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

/// Cargo builds the examples of a package for its tests, beside them.
fn program(name: &str) -> PathBuf {
    let test = env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().join("examples").join(name)
}

fn run(name: &str) {
    let redis = Redis::start();

    let output = Command::new(program(name))
        .env("REDIS_URL", format!("redis://127.0.0.1:{}", redis.port))
        .output()
        .unwrap_or_else(|error| panic!("example {name} cannot be started: {error}"));

    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}\n{said}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(!said.trim().is_empty(), "example {name} says nothing");
}

macro_rules! examples {
    ($($name:ident)*) => {
        const EXAMPLES: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() {
                run(stringify!($name));
            }
        )*
    };
}

examples! {
    cancel
    delays_and_priorities
    durable_function
    enqueue_and_work
    keys
    limits
    payload_versions
    progress_and_results
    retries_and_dead_letters
    schedules
    unique
}

#[test]
fn each_is_listed_here_and_fits_a_screen() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
    let mut found = Vec::new();
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= MOST_LINES, "{} has {lines} lines", path.display());
        found.push(path.file_stem().unwrap().to_string_lossy().into_owned());
    }
    found.sort();

    assert_eq!(found, EXAMPLES);
}
