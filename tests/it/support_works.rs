//! The tools the other tests stand on do what they say.

use std::{num::NonZeroU32, path::Path, process::Command, time::Duration};

use redis::{AsyncConnectionConfig, Client, RedisResult, Script, aio::MultiplexedConnection};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};

use crate::support::{
    Direction, Process, Proxy, RedisCluster, RedisSentinel, RedisServer, resp, until, until_some,
};

mod proxy;
mod several;

const COUNT: &str = "return redis.call('INCR', KEYS[1])";

async fn connect(url: &str) -> MultiplexedConnection {
    try_connect(url).await.expect("the server answers")
}

async fn try_connect(url: &str) -> RedisResult<MultiplexedConnection> {
    let patient = AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(20)));
    Client::open(url)?.get_multiplexed_async_connection_with_config(&patient).await
}

async fn incr(connection: &MultiplexedConnection, key: &str) -> RedisResult<u64> {
    redis::cmd("INCR").arg(key).query_async(&mut connection.clone()).await
}

fn is_alive(pid: u32) -> bool {
    Command::new("kill").args(["-0", &pid.to_string()]).output().expect("kill can be run").status.success()
}

// The server

#[tokio::test]
async fn a_killed_server_comes_back_with_what_it_acknowledged() {
    let mut server = RedisServer::options().appendonly_always().start().await;
    let url = server.url();
    server.ask::<()>(&["SET", "kept", "yes"]).await;

    server.kill();
    let while_dead = server.try_ask::<String>(&["PING"]).await;
    server.restart().await;

    assert!(while_dead.is_err());
    assert_eq!(server.url(), url);
    assert_eq!(server.ask::<String>(&["GET", "kept"]).await, "yes");
}

#[tokio::test]
async fn of_a_transaction_that_was_torn_nothing_comes_back_at_any_later_start() {
    let mut server = RedisServer::options().appendonly_always().start().await;
    let both = "redis.call('SET', 'half', 'yes'); redis.call('SET', 'other', 'yes')";
    server.ask::<()>(&["EVAL", both, "0"]).await;
    server.kill();
    let file = std::fs::File::options().write(true).open(server.append_only_file().unwrap()).unwrap();
    let exec = "*1\r\n$4\r\nEXEC\r\n".len() as u64;
    file.set_len(file.metadata().unwrap().len() - exec - 1).unwrap();

    server.restart().await;
    server.ask::<()>(&["SET", "later", "yes"]).await;
    server.restart().await;

    let kept: Vec<Option<String>> = server.ask(&["MGET", "half", "other", "later"]).await;
    assert_eq!(kept, [None, None, Some("yes".to_owned())]);
}

#[tokio::test]
async fn a_server_without_a_log_on_disk_comes_back_empty() {
    let mut server = RedisServer::start().await;
    server.ask::<()>(&["SET", "kept", "no"]).await;

    server.restart().await;

    assert_eq!(server.ask::<Option<String>>(&["GET", "kept"]).await, None);
}

#[tokio::test]
async fn a_frozen_server_answers_once_thawed() {
    let server = RedisServer::start().await;
    let connection = server.connection().await;

    server.freeze();
    let mut answer = Box::pin(incr(&connection, "n"));
    let early = tokio::time::timeout(Duration::from_millis(50), &mut answer).await;
    server.thaw();

    assert!(early.is_err());
    assert_eq!(answer.await.unwrap(), 1);
}

#[tokio::test]
async fn a_server_takes_settings_passwords_and_users() {
    let server = RedisServer::options()
        .config("maxmemory", "3mb")
        .password("open-sesame")
        .user("producer", "secret", "~ergate:* +@all")
        .start()
        .await;
    let mut producer = connect(&server.url_as("producer", "secret")).await;

    let elsewhere: RedisResult<()> = redis::cmd("GET").arg("other").query_async(&mut producer).await;
    let (_, limit) = server.ask::<(String, u64)>(&["CONFIG", "GET", "maxmemory"]).await;

    assert_eq!(limit, 3 * 1024 * 1024);
    assert!(elsewhere.unwrap_err().to_string().contains("permissions"));
}

#[tokio::test]
async fn a_dropped_server_leaves_neither_process_nor_directory() {
    let server = RedisServer::start().await;
    let directory = server.directory().to_owned();
    let info: String = server.ask(&["INFO", "server"]).await;
    let pid = info.lines().find_map(|line| line.strip_prefix("process_id:")?.trim().parse().ok());

    drop(server);

    assert!(!is_alive(pid.unwrap()));
    assert!(!directory.exists());
}

/// Runs in the process that `a_killed_test_takes_its_server_along` starts; by itself it has nothing to do.
#[tokio::test]
async fn a_test_that_is_killed() {
    if std::env::var_os("ERGATE_TEST_TO_BE_KILLED").is_none() {
        return;
    }
    let server = RedisServer::start().await;

    eprintln!("here: {} {}", server.port(), server.directory().display());
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_killed_test_takes_its_server_along() {
    let mut test = Process::start(
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "support_works::a_test_that_is_killed", "--nocapture"])
            .env("ERGATE_TEST_TO_BE_KILLED", "yes"),
    );
    let here = test.says("here: ").await;
    let (port, directory) = here.trim_start_matches("here: ").split_once(' ').unwrap();
    let address = format!("127.0.0.1:{port}");
    assert!(TcpStream::connect(&address).await.is_ok() && Path::new(directory).exists());

    test.sigkill();

    until("the server is gone", async || TcpStream::connect(&address).await.is_err()).await;
    until("the directory is gone", async || !Path::new(directory).exists()).await;
}

// The proxy

#[tokio::test]
async fn a_process_is_heard_stopped_resumed_and_asked_to_end() {
    let script = r#"trap 'echo "bye $0" >&2; exit 7' TERM; echo ready; while :; do sleep 0.02; done"#;
    let mut process = Process::start(Command::new("bash").args(["-c", script, "now"]));

    process.says("ready").await;
    process.sigstop();
    process.sigterm();
    process.sigcont();
    let status = process.exited().await;

    assert_eq!(status.code(), Some(7));
    assert_eq!(process.says("bye").await, "bye now");
    assert_eq!(process.output(), "ready\nbye now");
}

#[tokio::test]
async fn a_killed_process_is_gone() {
    let mut process = Process::start(Command::new("cat").arg("/dev/zero"));
    let id = process.id();

    process.sigkill();

    assert!(!is_alive(id));
    assert!(!process.exited().await.success());
}

#[tokio::test]
async fn waiting_ends_with_what_was_found() {
    let mut tries = 0;

    let found = until_some("there were three tries", async || {
        tries += 1;
        (tries == 3).then_some("found")
    })
    .await;

    assert_eq!(found, "found");
}
