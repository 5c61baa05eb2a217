//! The wire that fails on command.

use super::*;

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
