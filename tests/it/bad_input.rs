//! What is wrong is refused with a clear word and changes nothing; what others wrote wrongly hurts nobody else.

use std::{collections::BTreeMap, time::Instant};

use ergate::{Error, FailureKind, JobName, JobOptions, JobRecord, Metrics, Tries, prelude::*};
use ergate_shared::{
    key::QueueKey,
    script::{self, Script},
};

use crate::{
    story::{
        Does, QUEUE, RunningWorker, Story, act,
        by_hand::{ByHand, Entry},
    },
    support::{RedisServer, until},
};

mod liar;
use liar::Liar;

#[derive(Debug, Serialize, Deserialize)]
struct Nameless;

impl Job for Nameless {
    const NAME: &str = "";
    const QUEUE: &str = QUEUE;
}

#[derive(Debug, Serialize, Deserialize)]
struct Odd(#[serde(skip_deserializing)] BTreeMap<(u8, u8), u8>);

impl Job for Odd {
    const NAME: &str = "odd";
    const QUEUE: &str = QUEUE;
}

#[derive(Debug, Serialize, Deserialize)]
struct Stranger;

impl Job for Stranger {
    const NAME: &str = "stranger";
    const QUEUE: &str = QUEUE;
}

/// No queue has been heard of, and no key but those of the handshake exists.
async fn nothing_has_changed(story: &Story) {
    assert!(story.client.queues().await.unwrap().is_empty());
    let keys: Vec<String> = story.redis.ask(&["KEYS", "ergate:{*"]).await;
    let keys: Vec<_> = keys.iter().filter(|key| !key.starts_with("ergate:{ergate}:")).collect();
    assert!(keys.is_empty(), "{keys:?}");
}

#[tokio::test]
async fn names_that_are_empty_too_long_or_odd_are_refused() {
    let story = Story::begin().await;
    let long = "x".repeat(129);

    for (name, problem) in [
        ("", "queue name \"\" is empty"),
        (long.as_str(), "has 129 bytes, the most is 128"),
        ("a b", "queue name \"a b\" has the character ' '"),
        ("a{b}", "has the character '{'"),
        ("caf\u{e9}", "has the character '\u{e9}'"),
        ("a\nb", "has the character '\\n'"),
    ] {
        let asked = story.client.queue(name).unwrap_err().to_string();
        let enqueued = story.client.enqueue(act(1, Does::Succeed)).queue(name).await.unwrap_err().to_string();
        assert!(asked.contains(problem), "{asked}");
        assert_eq!(asked, enqueued);
    }
    let error = story.client.enqueue(Nameless).await.unwrap_err().to_string();
    assert_eq!(error, "job name \"\" is empty");
    nothing_has_changed(&story).await;
}

#[tokio::test]
async fn the_longest_name_and_id_are_taken() {
    let story = Story::begin().await;
    let (name, id) = ("x".repeat(128), "y".repeat(128));

    let receipt = story.client.enqueue(act(1, Does::Succeed)).queue(&name).id(&id).await.unwrap();

    assert_eq!(receipt.job(&story.client).get().await.unwrap().id.as_str(), id);
}

#[tokio::test]
async fn ids_that_are_empty_too_long_or_have_white_space_are_refused() {
    let story = Story::begin().await;
    let long = "x".repeat(129);

    for (id, problem) in [
        ("", "job id \"\" is empty"),
        (long.as_str(), "has 129 bytes, the most is 128"),
        ("a b", "job id \"a b\" has white space or a control character"),
        ("a\u{7}b", "has white space or a control character"),
    ] {
        let error = story.client.enqueue(act(1, Does::Succeed)).id(id).await.unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
        assert!(story.client.job(QUEUE, id).is_err());
    }
    nothing_has_changed(&story).await;
}

#[tokio::test]
async fn a_payload_that_is_no_json_is_refused() {
    let story = Story::begin().await;
    let raw = |payload: &str| {
        let (queue, name) = (QUEUE.parse().unwrap(), JobName::new("raw").unwrap());
        story.client.enqueue_raw(queue, name, payload)
    };

    for payload in ["", "{", "nonsense", "{} {}", "{\"a\":1,}", "\u{feff}{}"] {
        let error = raw(payload).await.unwrap_err();
        assert!(matches!(error, Error::Payload { .. }), "{payload:?}: {error}");
        assert_eq!(error.to_string(), "payload of job raw is not valid JSON");
    }
    let error = story.client.enqueue(Odd(BTreeMap::from([((1, 2), 3)]))).await.unwrap_err();
    assert_eq!(error.to_string(), "payload of job odd is not valid JSON");
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "key must be a string");
    nothing_has_changed(&story).await;
}

#[tokio::test]
async fn a_payload_over_the_limit_is_refused_with_size_limit_and_way_out() {
    let story = Story::begin().await;
    let raw = |client: &Client, size: usize| {
        let (queue, name) = (QUEUE.parse().unwrap(), JobName::new("raw").unwrap());
        client.enqueue_raw(queue, name, format!("{:?}", "x".repeat(size - 2)))
    };

    let error = raw(&story.client, 512 * 1024 + 1).await.unwrap_err();

    assert!(matches!(error, Error::TooLarge { size: 524_289, limit: 524_288, .. }));
    let text = error.to_string();
    assert!(
        text.contains("524289 bytes") && text.contains("524288") && text.contains("payload_limit"),
        "{text}"
    );
    nothing_has_changed(&story).await;
    raw(&story.client, 512 * 1024).await.unwrap();
    let larger = Client::builder().payload_limit(1 << 20).connect(&story.redis.url()).await.unwrap();
    raw(&larger, 1 << 20).await.unwrap();
    assert_eq!(story.queue().stats().await.unwrap().ready, 2);
}

#[tokio::test]
async fn an_edit_over_the_limit_is_refused_and_the_job_stays_as_it_is() {
    let story = Story::begin().await;
    let id = story.enqueue(1, Does::Succeed).await;
    let before = story.job(&id).get().await.unwrap().record_bytes;

    let error = story.job(&id).update_payload(&"x".repeat(600 * 1024)).await.unwrap_err();

    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    assert_eq!(story.job(&id).get().await.unwrap().record_bytes, before);
}

#[test]
fn a_priority_out_of_range_says_what_the_range_is() {
    for number in [i64::MIN, -1, 0, 11, i64::MAX] {
        let error = Priority::new(number).unwrap_err().to_string();
        assert_eq!(error, format!("priority {number} is not in 1..=10 (1 runs first, 5 is the default)"));
    }
    assert!("high".parse::<Priority>().is_err());
}

#[tokio::test]
async fn absurd_times_are_refused() {
    let story = Story::begin().await;
    let absurd = Duration::from_secs(11 * 366 * 86_400);
    let enqueue = || story.client.enqueue(act(1, Does::Succeed));

    for (what, enqueue) in [
        ("delay", enqueue().delay(absurd)),
        ("delay", enqueue().delay(Duration::MAX)),
        ("run_at", enqueue().run_at(jiff::Timestamp::MAX)),
        ("timeout", enqueue().timeout(absurd)),
        ("timeout 0s", enqueue().timeout(Duration::ZERO)),
        ("expiry", enqueue().expires_in(absurd)),
        ("unique window", enqueue().unique(Unique::within("k", absurd))),
    ] {
        let error = enqueue.await.unwrap_err();
        assert!(matches!(error, Error::Option(_)), "{what}: {error}");
        assert!(error.to_string().starts_with(what), "{what}: {error}");
    }
    nothing_has_changed(&story).await;
}

#[tokio::test]
async fn a_waiting_job_is_not_put_off_for_an_absurd_time() {
    let story = Story::begin().await;
    let id = story.enqueue(1, Does::Succeed).await;
    let job = story.job(&id);

    let postponed = job.postpone(Duration::MAX).await.unwrap_err();
    let rescheduled = job.reschedule(jiff::Timestamp::MAX).await.unwrap_err();

    assert!(matches!(postponed, Error::Option(_)), "{postponed}");
    assert!(matches!(rescheduled, Error::Option(_)), "{rescheduled}");
    assert_eq!(job.status().await.unwrap(), JobState::Ready);
}

#[tokio::test]
async fn a_handler_may_say_any_time_and_gets_ten_years_at_most() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Later(u8);
    impl Job for Later {
        const NAME: &str = "later";
        const QUEUE: &str = QUEUE;
        fn backoff() -> Backoff {
            Backoff::fixed(Duration::MAX).up_to(Duration::MAX)
        }
    }
    async fn later(job: Later) -> Result<()> {
        Err(match job.0 {
            0 => Failure::snooze(Duration::MAX),
            1 => Failure::retry_in(Duration::MAX, "not today"),
            _ => Failure::retry("whenever"),
        })
    }
    let story = Story::begin().await;
    let metrics = Metrics::new();
    let worker = Worker::new(story.client.clone(), ()).queue(QUEUE, 1).job(later).metrics(metrics.clone());
    let worker = RunningWorker::start(worker, metrics);

    for kind in 0..3 {
        let id = story.client.enqueue(Later(kind)).await.unwrap().id;
        story.until_state(&id, JobState::Scheduled).await;
        let at = story.job(&id).get().await.unwrap().at.unwrap();
        let now = story.queue().stats().await.unwrap().now;
        let ten_years = ergate::duration::LONGEST.as_millis() as u64;
        assert!((now..=now + ten_years).contains(&at), "{kind}: {at}");
    }
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn too_many_or_odd_tags_and_keys_are_refused() {
    let story = Story::begin().await;
    let enqueue = || story.client.enqueue(act(1, Does::Succeed));

    for (problem, enqueue) in [
        ("17 tags, the most is 16", enqueue().tags((0..17).map(|n| n.to_string()))),
        ("tag \"\" has 0 bytes, 1 to 64 are allowed", enqueue().tags([""])),
        ("has 65 bytes, 1 to 64 are allowed", enqueue().tags(["x".repeat(65)])),
        ("unique key has 0 bytes, 1 to 255 are allowed", enqueue().unique(Unique::until_started(""))),
        (
            "unique key has 256 bytes, 1 to 255 are allowed",
            enqueue().unique(Unique::until_started("x".repeat(256))),
        ),
    ] {
        let error = enqueue.await.unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
    nothing_has_changed(&story).await;
    enqueue()
        .tags((0..16).map(|_| "x".repeat(64)))
        .unique(Unique::until_started("x".repeat(255)))
        .await
        .unwrap();
}

#[tokio::test]
async fn one_bad_job_of_many_keeps_all_of_them_out() {
    let story = Story::begin().await;
    let mut number = 0;

    let outcome = story
        .client
        .enqueue_all((0..3000).map(|number| act(number, Does::Succeed)))
        .each(|job| {
            number += 1;
            if number == 2999 { job.delay(Duration::MAX) } else { job }
        })
        .await;

    assert!(matches!(outcome, Err(Error::Option(_))));
    nothing_has_changed(&story).await;
}

#[tokio::test]
async fn options_of_a_later_release_are_kept_and_do_not_keep_a_job_from_running() {
    let story = Story::begin().await;
    let options: JobOptions =
        serde_json::from_str(r#"{"retries":1,"colour":"red","nested":{"a":[1]}}"#).unwrap();
    let record = JobRecord {
        options: options.clone(),
        payload: serde_json::to_vec(&act(7, Does::Succeed)).unwrap(),
        ..JobRecord::decode(&Entry::new("x").record(1)).unwrap()
    };
    put(&story, "later", &record.encode()).await;
    let job = story.queue().job("later").unwrap();

    job.update_payload(&act(8, Does::Succeed)).await.unwrap();
    let worker = story.worker(1);

    assert_eq!(job.result::<u64>(Duration::from_secs(15)).await.unwrap(), 8);
    assert_eq!(job.get().await.unwrap().record.unwrap().options, options);
    worker.stop().await;
}

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

/// Waits until nobody had a handler for the job this many times.
async fn until_unhandled(story: &Story, id: &JobId, times: u32) {
    until(&format!("nobody had a handler {times} times"), async || {
        let view = story.job(id).get().await.unwrap();
        view.tries.unhandled == times && view.state == JobState::Scheduled
    })
    .await;
}

#[tokio::test]
async fn a_job_without_a_handler_here_is_left_to_a_worker_that_has_one() {
    let story = Story::begin().await;
    let without = story.worker(1);
    let receipt = story.client.enqueue(Stranger).await.unwrap();
    until_unhandled(&story, &receipt.id, 1).await;

    let metrics = Metrics::new();
    let with = Worker::new(story.client.clone(), ())
        .queue(QUEUE, 1)
        .job(async |_: Stranger| Ok("done"))
        .metrics(metrics.clone());
    without.stop().await;
    let with = RunningWorker::start(with, metrics);
    story.job(&receipt.id).promote().await.unwrap();

    let result: String = story.job(&receipt.id).result(Duration::from_secs(15)).await.unwrap();
    assert_eq!(result, "done");
    assert_eq!(story.job(&receipt.id).get().await.unwrap().tries.failures, 0);
    with.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_job_nobody_has_a_handler_for_is_a_dead_letter_after_a_grace() {
    let story = Story::begin().await;
    let worker = story.worker(1);
    let receipt = story.client.enqueue(Stranger).await.unwrap();
    let mut waits = Vec::new();

    for time in 1..=6 {
        until_unhandled(&story, &receipt.id, time).await;
        let view = story.job(&receipt.id).get().await.unwrap();
        let now = story.queue().stats().await.unwrap().now;
        waits.push(view.at.unwrap().saturating_sub(now).div_ceil(1000));
        story.job(&receipt.id).promote().await.unwrap();
    }
    story.until_state(&receipt.id, JobState::Dead).await;

    let grace: u64 = waits.iter().sum();
    assert!((50..=61).contains(&grace), "about a minute: {waits:?}");
    let view = story.job(&receipt.id).get().await.unwrap();
    let failure = view.failure.unwrap();
    assert_eq!(failure.kind, FailureKind::Unhandled);
    assert_eq!(failure.message, "no worker of queue story has a handler for job stranger");
    assert_eq!(view.tries, Tries { unhandled: 6, ..Tries::default() });
    assert_eq!(story.trace.dead().len(), 1);
    worker.stop().await;
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_job_without_a_handler_holds_up_nobody() {
    let story = Story::begin().await;
    let worker = story.worker(1);

    for number in 0..5 {
        story.client.enqueue(Stranger).await.unwrap();
        story.enqueue(number, Does::Succeed).await;
    }
    story.until_finished(5).await;

    worker.stop().await;
    story.all_adds_up().await;
}

/// Puts a ready job in as somebody would who writes to Redis by himself.
async fn put(story: &Story, id: &str, record: &[u8]) {
    let mut connection = story.redis.connection().await;
    let keys = story.queue().keys().clone();
    let mut pipeline = redis::pipe();
    pipeline.hset(keys.get(QueueKey::jobs), id, record).rpush(keys.get(QueueKey::ready), id);
    pipeline.query_async::<()>(&mut connection).await.unwrap();
}

fn good_record() -> Vec<u8> {
    let entry = Entry { payload: serde_json::to_vec(&act(7, Does::Succeed)).unwrap(), ..Entry::new("x") };
    entry.record(1)
}

#[tokio::test]
async fn a_malformed_record_is_a_dead_letter_with_its_bytes_and_the_others_run() {
    let good = good_record();
    let with = |place: usize, byte: u8| {
        let mut record = good.clone();
        record[place] = byte;
        record
    };
    let records = [
        ("empty", Vec::new()),
        ("one-byte", vec![1]),
        ("two-bytes", vec![1, 5]),
        ("three-bytes", vec![1, 5, 0]),
        ("cut", good[..12].to_vec()),
        ("text", b"{\"job\": \"act\"}".to_vec()),
        ("zeros", vec![0; 40]),
        ("ones", vec![255; 40]),
        ("layout", with(0, 9)),
        ("priority-0", with(1, 0)),
        ("priority-200", with(1, 200)),
        ("two-scopes", with(2, 3)),
        ("unique-and-short", vec![1, 5, 2]),
        ("unique-beyond-its-end", vec![1, 5, 2, 255, b'k']),
        ("options-missing", with(2, 16)),
        ("expiring-nowhere", with(2, 8)),
    ];
    let story = Story::begin().await;
    for (id, record) in &records {
        put(&story, id, record).await;
    }
    story.enqueue(1, Does::Succeed).await;

    let worker = story.worker(1);
    story.until_finished(1).await;

    for (id, record) in &records {
        let id = JobId::new(id).unwrap();
        if id.as_str() == "expiring-nowhere" {
            story.until_state(&id, JobState::Completed).await;
            continue;
        }
        story.until_state(&id, JobState::Dead).await;
        let view = story.queue().dead().show(id.as_str()).await.unwrap();
        let failure = view.failure.unwrap();
        assert_eq!((failure.kind, failure.attempt), (FailureKind::Decode, 0), "{id}");
        assert!(!failure.message.is_empty(), "{id}");
        assert_eq!(view.record_bytes, *record, "{id}");
    }
    worker.stop().await;
    story.all_adds_up_but(&["tells no end of a job"]).await;
}

#[tokio::test]
async fn malformed_records_can_be_listed_cancelled_retried_and_removed() {
    let story = Story::begin().await;
    for id in ["a", "b", "c"] {
        put(&story, id, b"").await;
    }
    let job = |id: &str| story.queue().job(id).unwrap();

    let listed = story.queue().list(JobState::Ready, None, 10).await.unwrap().items;
    assert_eq!(listed.len(), 3);
    assert!(listed[0].record.is_err() && listed[0].name().is_empty());
    assert_eq!(listed[0].to_json()["malformed"], "record is malformed: 1 bytes are missing");
    assert!(story.queue().stats().await.is_ok());
    job("a").cancel("why").await.unwrap();
    job("a").retry().await.unwrap();
    job("a").postpone(Duration::from_secs(60)).await.unwrap();
    job("a").promote().await.unwrap();
    let edited = job("b").update_payload(&1).await.unwrap_err();
    assert!(edited.to_string().contains("malformed"), "{edited}");
    for id in ["a", "b", "c"] {
        job(id).remove().await.unwrap();
    }
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_malformed_record_under_a_worker_that_died_is_taken_back() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    put(&story, "odd", b"").await;
    queue.enqueue(Entry::new("good")).await;
    queue.join("w").await;
    queue.lease("w", 2).await;

    queue.pass(60_000);
    let reaped = queue.reap("w", 3).await;

    assert_eq!(reaped, ("ok".to_owned(), 2, 0));
    story.all_adds_up_but(&["the record of odd cannot be read"]).await;
}

#[tokio::test]
async fn an_id_no_release_would_take_holds_up_nobody() {
    let story = Story::begin().await;
    for id in ["a b", "", &"x".repeat(300)] {
        put(&story, id, &good_record()).await;
    }
    let worker = story.worker(1);

    for number in 1..4 {
        story.enqueue(number, Does::Succeed).await;
        let number = number as usize;
        until(&format!("{number} have finished"), async || {
            story.trace.finished().iter().filter(|n| **n < 4).count() >= number
        })
        .await;
    }

    until("nothing runs", async || story.queue().stats().await.unwrap().leased == 0).await;
    worker.stop().await;
}

#[tokio::test]
async fn counts_of_tries_that_make_no_sense_count_as_none() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    let tries = queue.key(QueueKey::tries).to_owned();
    for (id, text) in [("reaped", "many"), ("run", "1 2"), ("seen", "-1 x y z 0")] {
        put(&story, id, &good_record()).await;
        let _: i64 = story.redis.ask(&["HSET", &tries, id, text]).await;
    }

    let listed = story.queue().list(JobState::Ready, None, 10).await.unwrap().items;
    queue.join("w").await;
    assert_eq!(queue_lease_ids(&story, &queue, "w").await, ["reaped"]);
    queue.pass(60_000);
    let reaped = queue.reap("w", 3).await;
    let worker = story.worker(1);
    story.until_finished(3).await;

    assert_eq!(listed.len(), 3);
    assert!(listed.iter().all(|view| view.tries == Tries::default()));
    assert_eq!(reaped, ("ok".to_owned(), 1, 0));
    worker.stop().await;
    story.all_adds_up_but(&[":tries: "]).await;
}

/// Leases one job without reading what came with it.
async fn queue_lease_ids(story: &Story, queue: &ByHand, worker: &str) -> Vec<String> {
    let call = script::WORKER_TURN
        .on(story.queue().keys())
        .arg(queue.now.to_string())
        .arg(worker)
        .arg(format!("{worker}.1"))
        .number(1)
        .number(0);
    let reply: Vec<redis::Value> = story.client.redis().run(&call).await.unwrap();
    redis::FromRedisValue::from_redis_value(reply[5].clone()).unwrap()
}

#[tokio::test]
async fn a_failure_that_is_no_json_is_shown_as_it_is() {
    let story = Story::begin().await;
    let id = story.enqueue(1, Does::Succeed).await;
    let failures = story.by_hand().key(QueueKey::failures).to_owned();
    let _: i64 = story.redis.ask(&["HSET", &failures, id.as_str(), "it broke"]).await;

    let view = story.job(&id).get().await.unwrap();

    assert_eq!(view.failure.unwrap().message, "it broke");
}

#[tokio::test]
async fn a_key_of_another_type_is_said_and_the_worker_goes_on_once_it_is_gone() {
    let story = Story::begin().await;
    let wake = story.by_hand().key(QueueKey::ranked).to_owned();
    let _: () = story.redis.ask(&["SET", &wake, "not a sorted set"]).await;
    let worker = story.worker(1);

    let error = story.client.enqueue(act(1, Does::Succeed)).priority(Priority::High).await.unwrap_err();
    let _: i64 = story.redis.ask(&["DEL", &wake]).await;
    let id = story.enqueue(2, Does::Succeed).await;
    story.until_state(&id, JobState::Completed).await;

    assert!(matches!(error, Error::Redis { what: "job/enqueue", .. }), "{error}");
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("WRONGTYPE"));
    worker.stop().await;
}

#[tokio::test]
async fn a_reply_nobody_knows_is_an_error_that_names_the_script() {
    let story = Story::begin().await;
    let liar = Liar::before(&story.redis).await;
    let client = Client::connect(&liar.url()).await.unwrap();
    let id = client.enqueue(act(1, Does::Succeed)).await.unwrap().id;
    let job = client.job(QUEUE, id.as_str()).unwrap();
    let unknown = |error: Error, script: &Script| {
        let text = error.to_string();
        assert!(text.starts_with(&format!("script {} gave a reply nobody knows", script.name)), "{text}");
        assert!(!error.is_connection());
    };

    liar.answer(&script::JOB_CANCEL, "*3\r\n:1\r\n$7\r\nperhaps\r\n$0\r\n\r\n");
    unknown(job.cancel("why").await.unwrap_err(), &script::JOB_CANCEL);
    liar.answer(&script::JOB_RESCHEDULE, "*3\r\n:1\r\n$7\r\nperhaps\r\n:0\r\n");
    unknown(job.promote().await.unwrap_err(), &script::JOB_RESCHEDULE);
    liar.answer(&script::JOB_REMOVE, "*1\r\n$7\r\nperhaps\r\n");
    unknown(job.remove().await.unwrap_err(), &script::JOB_REMOVE);
    liar.answer(&script::JOB_RETRY, "*2\r\n:1\r\n*1\r\n$7\r\nperhaps\r\n");
    unknown(job.retry().await.unwrap_err(), &script::JOB_RETRY);
    liar.answer(&script::JOB_ENQUEUE, "*3\r\n:1\r\n$2\r\nok\r\n*1\r\n$7\r\nperhaps\r\n");
    let enqueue = client.enqueue(act(2, Does::Succeed)).priority(Priority::High);
    unknown(enqueue.await.unwrap_err(), &script::JOB_ENQUEUE);
    liar.answer(&script::QUEUE_STATS, "+perhaps\r\n");
    unknown(client.queue(QUEUE).unwrap().stats().await.unwrap_err(), &script::QUEUE_STATS);
    liar.answer(&script::JOB_INSPECT, ":7\r\n");
    unknown(job.get().await.unwrap_err(), &script::JOB_INSPECT);

    liar.tell_the_truth();
    assert_eq!(job.status().await.unwrap(), JobState::Ready);
}

#[tokio::test]
async fn a_worker_survives_replies_nobody_knows() {
    let story = Story::begin().await;
    let liar = Liar::before(&story.redis).await;
    let client = Client::connect(&liar.url()).await.unwrap();
    let worker = story.worker_with(&client, 1, |worker| worker);
    let first = story.enqueue(1, Does::Succeed).await;
    story.until_state(&first, JobState::Completed).await;

    let turn = "*9\r\n:1\r\n$7\r\nperhaps\r\n:0\r\n:-1\r\n:0\r\n*0\r\n*0\r\n*0\r\n*0\r\n";
    for reply in [turn, "+nonsense\r\n", "*0\r\n", ":1\r\n", "$-1\r\n"] {
        let lies = liar.told();
        liar.answer(&script::WORKER_TURN, reply);
        story.enqueue(2, Does::Succeed).await;
        until("it was lied to", async || liar.told() > lies + 1).await;
    }
    liar.tell_the_truth();
    story.until_finished(6).await;

    worker.stop().await;
    story.all_adds_up().await;
}
