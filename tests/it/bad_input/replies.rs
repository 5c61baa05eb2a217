//! Keys and replies that make no sense.

use super::{liar::Liar, *};

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
