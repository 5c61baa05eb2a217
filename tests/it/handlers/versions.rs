//! Payloads of other versions.

use super::*;

#[derive(Debug, Serialize, Deserialize)]
struct First {
    name: String,
}

impl Job for First {
    const NAME: &str = "versioned";
    const QUEUE: &str = QUEUE;
}

#[derive(Debug, Serialize, Deserialize)]
struct Third {
    first: String,
    last: String,
}

impl Job for Third {
    const NAME: &str = "versioned";
    const QUEUE: &str = QUEUE;
    const VERSION: u16 = 3;

    fn upcast(version: u16, payload: serde_json::Value) -> Result<serde_json::Value, String> {
        match version {
            1 => {
                let name = payload["name"].as_str().ok_or("a payload of version 1 has a name")?;
                match name.split_once(' ') {
                    Some((first, last)) => Ok(serde_json::json!({ "first": first, "last": last })),
                    None => Ok(serde_json::json!({ "first": name })),
                }
            }
            _ => Err(format!("version {version} was never released")),
        }
    }
}

async fn full_name(job: Third) -> Result<String> {
    Ok(format!("{}, {}", job.last, job.first))
}

async fn name(job: First) -> Result<String> {
    Ok(job.name)
}

async fn failure_of(story: &Story, id: &JobId) -> ergate::FailureRecord {
    story.until_state(id, JobState::Dead).await;
    story.job(id).get().await.unwrap().failure.unwrap()
}

#[tokio::test]
async fn an_older_payload_is_brought_up_to_date_before_the_handler_sees_it() {
    let story = Story::begin().await;
    let worker = run(&story, (), 1, |worker| worker.job(full_name));

    let old = story.client.enqueue(First { name: "Ada Lovelace".to_owned() }).await.unwrap();
    let new = Third { first: "Alan".to_owned(), last: "Turing".to_owned() };
    let new = story.client.enqueue(new).await.unwrap();

    assert_eq!(result_of::<String>(&story, &old.id).await, "Lovelace, Ada");
    assert_eq!(result_of::<String>(&story, &new.id).await, "Turing, Alan");
    worker.stop().await;
}

#[tokio::test]
async fn a_payload_that_cannot_be_brought_up_to_date_is_dead_at_once_and_kept() {
    let story = Story::begin().await;
    let worker = run(&story, (), 1, |worker| worker.job(full_name));
    let (queue, name) = (QUEUE.parse().unwrap(), "versioned".parse().unwrap());

    let half = story.client.enqueue(First { name: "Ada".to_owned() }).await.unwrap();
    let odd = story.client.enqueue_raw(queue, name, r#"{"nickname":"Ada"}"#).await.unwrap();

    let half = failure_of(&story, &half.id).await;
    assert_eq!(half.kind, FailureKind::Decode);
    assert_eq!(half.message, "payload brought from version 1 to 3 is no versioned");
    assert_eq!(half.chain, ["missing field `last`"]);
    let failure = failure_of(&story, &odd.id).await;
    assert_eq!(
        (failure.kind, failure.message.as_str()),
        (FailureKind::Decode, "a payload of version 1 has a name")
    );
    let record = story.job(&odd.id).get().await.unwrap().record.unwrap();
    assert_eq!(record.payload, br#"{"nickname":"Ada"}"#);
    worker.stop().await;
}

#[tokio::test]
async fn a_payload_of_a_later_version_is_a_dead_letter_that_names_both() {
    let story = Story::begin().await;
    let worker = run(&story, (), 1, |worker| worker.job(name));
    let new = Third { first: "Alan".to_owned(), last: "Turing".to_owned() };

    let receipt = story.client.enqueue(new).await.unwrap();

    let failure = failure_of(&story, &receipt.id).await;
    assert_eq!(failure.kind, FailureKind::Decode);
    assert_eq!(failure.message, "payload version 3 is not known to this worker, which has version 1");
    worker.stop().await;
}
