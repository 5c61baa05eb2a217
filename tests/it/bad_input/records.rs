//! Records that no release would have written.

use super::*;

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
