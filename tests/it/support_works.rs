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
async fn the_proxy_loses_exactly_the_reply_it_was_told_to() {
    let server = RedisServer::start().await;
    let proxy = Proxy::to(&server);
    let connection = connect(proxy.url()).await;
    let lost = proxy.lose_reply_of("b");

    let answers = tokio::join!(incr(&connection, "a"), incr(&connection, "b"), incr(&connection, "c"));
    lost.await;

    assert_eq!(answers.0.unwrap(), 1, "earlier replies arrive");
    assert!(answers.1.is_err() && answers.2.is_err(), "the connection ended at this reply");
    let counts: Vec<Option<u64>> = server.ask(&["MGET", "a", "b", "c"]).await;
    assert_eq!(counts, [Some(1), Some(1), None], "the request was carried out, the one behind it was not");
    assert_eq!(incr(&connect(proxy.url()).await, "b").await.unwrap(), 2, "it happens once");
}

#[tokio::test]
async fn the_proxy_loses_exactly_the_request_it_was_told_to() {
    let server = RedisServer::start().await;
    let proxy = Proxy::to(&server);
    let connection = connect(proxy.url()).await;
    let lost = proxy.lose_request_of("b");

    let answers = tokio::join!(incr(&connection, "a"), incr(&connection, "b"), incr(&connection, "c"));
    lost.await;

    assert_eq!(answers.0.unwrap(), 1);
    assert!(answers.1.is_err() && answers.2.is_err());
    let counts: Vec<Option<u64>> = server.ask(&["MGET", "a", "b", "c"]).await;
    assert_eq!(counts, [Some(1), None, None]);
}

#[tokio::test]
async fn a_lost_reply_is_that_of_the_script_and_not_that_it_was_unknown() {
    let server = RedisServer::start().await;
    let proxy = Proxy::to(&server);
    let script = Script::new(COUNT);
    let lost = proxy.lose_reply_of(script.get_hash());

    let answer: RedisResult<u64> = script.key("n").invoke_async(&mut connect(proxy.url()).await).await;
    lost.await;

    assert!(answer.is_err());
    assert_eq!(server.ask::<u64>(&["GET", "n"]).await, 1);
}

#[tokio::test]
async fn a_closure_picks_the_nth_reply() {
    let server = RedisServer::start().await;
    let proxy = Proxy::to(&server);
    let connection = connect(proxy.url()).await;
    let mut seen = 0;
    let lost = proxy.lose_reply_when(move |arguments| {
        seen += usize::from(arguments[0] == b"INCR");
        seen == 3
    });

    let answers = [incr(&connection, "n").await, incr(&connection, "n").await, incr(&connection, "n").await];
    lost.await;

    assert_eq!(answers.map(|answer| answer.ok()), [Some(1), Some(2), None]);
    assert_eq!(server.ask::<u64>(&["GET", "n"]).await, 3);
}

#[tokio::test]
async fn a_cut_ends_connections_and_refuses_new_ones_until_healed() {
    let server = RedisServer::start().await;
    let proxy = Proxy::to(&server);
    let connection = connect(proxy.url()).await;
    assert_eq!(proxy.connections(), 1);

    proxy.cut().await;
    let old = incr(&connection, "n").await;
    let new = TcpStream::connect(proxy.url().trim_start_matches("redis://")).await;
    proxy.heal().await;

    assert!(old.is_err());
    assert_eq!(new.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(incr(&connect(proxy.url()).await, "n").await.unwrap(), 1);
}

#[tokio::test]
async fn a_reset_ends_connections_and_accepts_new_ones() {
    let server = RedisServer::start().await;
    let proxy = Proxy::to(&server);
    let connection = connect(proxy.url()).await;

    proxy.reset();

    until("the connection is closed", async || incr(&connection, "old").await.is_err()).await;
    assert_eq!(incr(&connect(proxy.url()).await, "new").await.unwrap(), 1);
}

#[tokio::test]
async fn a_stalled_proxy_passes_nothing_and_keeps_everything() {
    let server = RedisServer::start().await;
    let proxy = Proxy::to(&server);
    let connection = connect(proxy.url()).await;

    proxy.stall().await;
    let mut answer = Box::pin(incr(&connection, "n"));
    let early = tokio::time::timeout(Duration::from_millis(50), &mut answer).await;
    let meanwhile: Option<u64> = server.ask(&["GET", "n"]).await;
    proxy.heal().await;

    assert!(early.is_err());
    assert_eq!(meanwhile, None);
    assert_eq!(answer.await.unwrap(), 1);
}

#[tokio::test]
async fn a_delay_makes_requests_late_but_keeps_their_order() {
    let server = RedisServer::start().await;
    let proxy = Proxy::to(&server);
    let connection = connect(proxy.url()).await;
    let late = Duration::from_millis(60);
    proxy.delay(late);

    let begun = Instant::now();
    let answers = tokio::join!(incr(&connection, "n"), incr(&connection, "n"), incr(&connection, "n"));

    assert!(begun.elapsed() >= late);
    assert_eq!([answers.0.unwrap(), answers.1.unwrap(), answers.2.unwrap()], [1, 2, 3]);
}

#[tokio::test]
async fn a_way_that_is_silent_keeps_what_is_sent_and_the_other_goes_on() {
    let server = RedisServer::start().await;
    let proxy = Proxy::to(&server);
    let connection = connect(proxy.url()).await;

    proxy.silence(Direction::ToClient);
    let mut answer = Box::pin(incr(&connection, "n"));
    let early = tokio::time::timeout(Duration::from_millis(50), &mut answer).await;
    until("the request has arrived", async || server.ask::<Option<u64>>(&["GET", "n"]).await == Some(1))
        .await;
    proxy.silence(Direction::ToServer);
    let told = answer.await;
    let mut second = Box::pin(incr(&connection, "n"));
    let unheard = tokio::time::timeout(Duration::from_millis(50), &mut second).await;
    let meanwhile: u64 = server.ask(&["GET", "n"]).await;
    proxy.heal().await;

    assert!(early.is_err() && unheard.is_err());
    assert_eq!((told.unwrap(), meanwhile, second.await.unwrap()), (1, 1, 2));
}

#[tokio::test]
async fn a_way_that_is_closed_ends_there_and_takes_what_comes_from_the_other_side() {
    let server = RedisServer::start().await;
    let proxy = Proxy::to(&server);
    let mut client = TcpStream::connect(proxy.url().trim_start_matches("redis://")).await.unwrap();
    until("the connection is there", async || proxy.connections() == 1).await;

    proxy.half_close(Direction::ToClient);
    let read = client.read(&mut [0; 16]).await.unwrap();
    client.write_all(b"SET n 1\r\n").await.unwrap();

    assert_eq!(read, 0, "nothing comes any more");
    until("the request has arrived", async || server.ask::<Option<u64>>(&["GET", "n"]).await == Some(1))
        .await;
    proxy.half_close(Direction::ToServer);
    until("Redis has closed the connection", async || proxy.connections() == 0).await;
}

#[tokio::test]
async fn a_slow_link_takes_the_time_that_its_bytes_need() {
    let server = RedisServer::start().await;
    let proxy = Proxy::to(&server);
    let connection = connect(proxy.url()).await;
    server.ask::<()>(&["SET", "text", &"x".repeat(30_000)]).await;
    proxy.slow(NonZeroU32::new(100_000).unwrap());

    let begun = Instant::now();
    let text: String = redis::cmd("GET").arg("text").query_async(&mut connection.clone()).await.unwrap();
    let took = begun.elapsed();
    proxy.heal().await;
    incr(&connection, "n").await.unwrap();

    assert_eq!(text.len(), 30_000);
    assert!(took >= Duration::from_millis(280), "30 kB at 100 kB/s took {took:?}");
}

#[tokio::test]
async fn a_reply_is_cut_after_the_bytes_it_was_told_to() {
    let server = RedisServer::start().await;
    let proxy = Proxy::to(&server);
    let cut = proxy.cut_reply_of("b", 3);
    let mut client = TcpStream::connect(proxy.url().trim_start_matches("redis://")).await.unwrap();

    let request = |key: &str| format!("*2\r\n$4\r\nINCR\r\n$1\r\n{key}\r\n");
    client.write_all((request("a") + &request("b") + &request("c")).as_bytes()).await.unwrap();
    let mut read = String::new();
    client.read_to_string(&mut read).await.unwrap();
    cut.await;

    assert_eq!(read, ":1\r\n:1\r");
    assert_eq!(server.ask::<Vec<Option<u64>>>(&["MGET", "a", "b", "c"]).await, [Some(1), Some(1), None]);
}

#[tokio::test]
async fn one_of_several_clients_is_parted_from_the_server_and_the_others_are_not() {
    let server = RedisServer::start().await;
    let (parted, other) = (Proxy::to(&server), Proxy::to(&server));
    let connections = (connect(parted.url()).await, connect(other.url()).await);

    parted.stall().await;
    let mut answer = Box::pin(incr(&connections.0, "n"));
    let early = tokio::time::timeout(Duration::from_millis(50), &mut answer).await;
    let of_the_other = incr(&connections.1, "n").await;
    parted.heal().await;

    assert!(early.is_err());
    assert_eq!((of_the_other.unwrap(), answer.await.unwrap()), (1, 2));
}

#[tokio::test]
async fn a_blocked_command_and_large_values_pass_the_proxy() {
    let server = RedisServer::start().await;
    let proxy = Proxy::to(&server);
    let mut blocked = connect(&format!("{}/?protocol=resp3", proxy.url())).await;
    let mut pusher = connect(proxy.url()).await;
    let large = "x".repeat(3 << 20);

    let pop = tokio::spawn(async move {
        redis::cmd("BLPOP").arg("list").arg(0).query_async::<(String, String)>(&mut blocked).await
    });
    until("the pop is blocked", async || {
        server.ask::<String>(&["INFO", "clients"]).await.contains("blocked_clients:1")
    })
    .await;
    redis::cmd("RPUSH").arg("list").arg(&large).query_async::<()>(&mut pusher).await.unwrap();

    assert!(pop.await.unwrap().unwrap().1 == large);
}

#[test]
fn the_end_of_a_value_is_found_in_both_protocols() {
    let whole: [&[u8]; 12] = [
        b"+OK\r\n",
        b"-ERR no\r\n",
        b":12\r\n",
        b"_\r\n",
        b"$-1\r\n",
        b"$4\r\na\r\nb\r\n",
        b"*-1\r\n",
        b"*2\r\n$1\r\na\r\n*1\r\n:1\r\n",
        b"%1\r\n+k\r\n*0\r\n",
        b"~1\r\n,1.5\r\n",
        b">2\r\n+message\r\n+x\r\n",
        b"|1\r\n+ttl\r\n:3\r\n:7\r\n",
    ];

    for value in whole {
        let followed = [value, b"+next\r\n"].concat();
        assert_eq!(resp::frame(&followed), Some(value.len()));
        for end in 0..value.len() {
            assert_eq!(resp::frame(&value[..end]), None, "{:?} has not ended", &value[..end]);
        }
    }
    assert_eq!(resp::arguments(b"*2\r\n$3\r\nGET\r\n$0\r\n\r\n"), [b"GET".as_slice(), b""]);
}

// Several servers

#[tokio::test]
async fn a_cluster_serves_every_slot_and_survives_the_return_of_a_node() {
    let mut cluster = RedisCluster::start().await;
    let owner = cluster.node_of("key").await;
    owner.ask::<()>(&["SET", "key", "here"]).await;
    let port = owner.port();

    cluster.node_of("key").await.restart().await;
    cluster.whole().await;

    assert_eq!(cluster.urls().len(), 3);
    assert_eq!(cluster.node_of("key").await.port(), port);
    assert_eq!(cluster.node_of("key").await.ask::<Option<String>>(&["GET", "key"]).await, None);
}

#[tokio::test]
async fn a_failover_keeps_the_data_and_moves_the_primary() {
    let mut group = RedisSentinel::start().await;
    let before = group.primary().await;
    before.ask::<()>(&["SET", "key", "kept"]).await;
    let before = before.port();
    group.in_step().await;

    group.failover().await;

    let after = group.primary().await;
    assert_ne!(after.port(), before);
    assert_eq!(after.ask::<String>(&["GET", "key"]).await, "kept");
    assert!(group.url().starts_with("redis://") && group.name() == "ergate");
}

#[tokio::test]
async fn a_trio_of_sentinels_agrees_on_another_primary_when_theirs_is_killed() {
    let mut group = RedisSentinel::trio().await;
    let before = group.primary().await;
    before.ask::<()>(&["SET", "key", "kept"]).await;
    let port = before.port();
    group.in_step().await;

    group.server(port).kill();
    group.primary_is_another(port).await;
    group.server(port).restart().await;
    group.in_step().await;

    assert_eq!((group.servers().len(), group.urls().len()), (3, 3));
    assert_eq!(group.primary().await.ask::<String>(&["GET", "key"]).await, "kept");
    assert_eq!(
        group.server(port).ask::<u64>(&["DBSIZE"]).await,
        1,
        "the old primary has the data of the new one"
    );
}

#[tokio::test]
async fn a_replica_takes_over_from_a_master_that_was_killed_and_slots_move_with_their_keys() {
    let mut cluster = RedisCluster::with_replicas().await;
    let place = cluster.serves("key").await;
    cluster.nodes()[place].ask::<()>(&["SET", "key", "kept"]).await;
    cluster.in_step().await;

    cluster.node(place).kill();
    cluster.taken_over(place).await;
    cluster.node(place).restart().await;
    let new = cluster.serves("key").await;
    let others = cluster.masters().await;
    let other = *others.iter().find(|master| **master != new).unwrap();
    cluster.migrate("key", other).await;
    cluster.in_step().await;

    assert!(new != place && !others.contains(&place));
    assert_eq!(cluster.serves("key").await, other);
    assert_eq!(cluster.nodes()[other].ask::<String>(&["GET", "key"]).await, "kept");
}

// Processes and waiting

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
