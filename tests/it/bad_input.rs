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
mod records;
mod replies;
mod servers;
mod unhandled;

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

/// No queue has been heard of, and no key but those of the handshake exists.
async fn nothing_has_changed(story: &Story) {
    assert!(story.client.queues().await.unwrap().is_empty());
    let keys: Vec<String> = story.redis.ask(&["KEYS", "ergate:{*"]).await;
    let keys: Vec<_> = keys.iter().filter(|key| !key.starts_with("ergate:{ergate}:")).collect();
    assert!(keys.is_empty(), "{keys:?}");
}

/// Puts a ready job in as somebody would who writes to Redis by himself.
async fn put(story: &Story, id: &str, record: &[u8]) {
    let mut connection = story.redis.connection().await;
    let keys = story.queue().keys().clone();
    let mut pipeline = redis::pipe();
    pipeline.hset(keys.get(QueueKey::jobs), id, record).rpush(keys.get(QueueKey::ready), id);
    pipeline.sadd(&story.client.registry_keys().queues, story.queue().name().as_str());
    pipeline.query_async::<()>(&mut connection).await.unwrap();
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
