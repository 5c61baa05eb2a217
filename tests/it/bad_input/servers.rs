//! Servers that are not there, are not fit, or hold what a later release has written.

use super::*;

#[tokio::test]
async fn a_redis_that_is_not_there_is_named_with_tries_and_time() {
    let mut redis = RedisServer::start().await;
    let (url, port) = (redis.url(), redis.port());
    redis.kill();

    let once = Client::builder().connect_within(Duration::ZERO).connect(&url).await.unwrap_err();
    let started = Instant::now();
    let often = Client::builder().connect_within(Duration::from_millis(300)).connect(&url).await.unwrap_err();

    assert!(matches!(once, Error::Unreachable { tries: 1, .. }), "{once}");
    let Error::Unreachable { address, tries, after, .. } = &often else { panic!("{often}") };
    assert_eq!(address, &format!("127.0.0.1:{port}"));
    assert!(*tries > 2, "{tries}");
    assert!(*after <= started.elapsed() && *after < Duration::from_secs(10));
    assert!(
        often
            .to_string()
            .starts_with(&format!("redis at 127.0.0.1:{port} cannot be reached after {tries} tries in "))
    );
    assert!(often.is_connection() && often.hint().unwrap().contains("start redis-server"));
    assert!(std::error::Error::source(&often).is_some());
}

#[tokio::test]
async fn an_address_that_makes_no_sense_is_refused_without_showing_the_password() {
    for url in ["", "localhost:6379", "http://user:secret@localhost", "redis://user:secret@host:port"] {
        let error = Client::connect(url).await.unwrap_err();
        assert!(matches!(error, Error::Address { .. }), "{url}: {error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn a_redis_that_may_delete_jobs_is_refused_unless_that_is_allowed() {
    for policy in ["allkeys-lru", "allkeys-lfu", "allkeys-random"] {
        let redis = RedisServer::options().config("maxmemory-policy", policy).start().await;

        let error = Client::connect(&redis.url()).await.unwrap_err().to_string();
        let allowed = Client::builder().allow_eviction(true).connect(&redis.url()).await;

        assert!(
            error.contains(&format!("127.0.0.1:{} has maxmemory-policy {policy}", redis.port())),
            "{error}"
        );
        assert!(error.contains("noeviction") && error.contains("allow_eviction"), "{error}");
        assert!(allowed.is_ok());
    }
}

#[tokio::test]
async fn a_redis_that_deletes_only_what_expires_is_taken() {
    let redis = RedisServer::options().config("maxmemory-policy", "volatile-lru").start().await;

    assert!(Client::connect(&redis.url()).await.is_ok());
}

#[tokio::test]
async fn data_of_a_later_release_is_left_alone() {
    let redis = RedisServer::start().await;
    let _: () = redis.ask(&["SET", "ergate:{ergate}:format", "2"]).await;

    let error = Client::connect(&redis.url()).await.unwrap_err().to_string();

    assert!(error.contains("format 2") && error.contains("use a newer Ergate"), "{error}");
}
