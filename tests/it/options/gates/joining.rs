//! What is said of a start that joins a run which waits for more events.

use ergate::{Condition, EnqueueAll, Error, SendEvents, Started};

use super::*;
use crate::story::routing::{EVENT, WAITING};

/// A function that takes events in batches, without a worker that executes it.
async fn batched() -> Story {
    let story = Story::begin().await;
    let spec: ergate::FunctionSpec = serde_json::from_value(json!({
        "name": "count",
        "triggers": [{"event": EVENT}],
        "options": {"batch": {"size": 10, "timeout_ms": 3_600_000}},
    }))
    .unwrap();
    story.client.declare(&[spec]).await.unwrap();
    story
}

/// The runs that wait for more events, each with the numbers in those it has.
async fn waiting(story: &Story) -> Vec<(JobId, Vec<u64>)> {
    let queue = story.client.queue("fn/count").unwrap();
    let page = queue.list(JobState::Scheduled, None, 100).await.unwrap();
    let each = page.items.into_iter().map(|view| {
        let input: RunInput = serde_json::from_slice(&view.record.unwrap().payload).unwrap();
        (view.id, input.events.iter().map(|event| event.data["n"].as_u64().unwrap()).collect())
    });
    each.collect()
}

#[tokio::test]
async fn an_invoke_that_joins_a_batch_names_the_run_that_has_its_event() {
    let story = batched().await;
    let invoke = |n: u64| story.client.invoke("count", &json!({"n": n}));

    let first = invoke(1).await.unwrap();
    let second = invoke(2).await.unwrap();
    let others = [invoke(3), invoke(4)].into_iter().collect::<EnqueueAll>().await.unwrap();

    let joined = [second, others[0].clone(), others[1].clone()];
    assert!(joined.iter().all(|receipt| receipt.id == first.id && receipt.duplicate), "{joined:?}");
    assert!(!first.duplicate);
    assert_eq!(waiting(&story).await, [(first.id, vec![1, 2, 3, 4])]);
}

#[tokio::test]
async fn an_invoke_with_an_id_of_its_own_adds_its_event_once() {
    let story = batched().await;
    let invoke = |n: u64| story.client.invoke("count", &json!({"n": n})).id(format!("order-{n}"));
    let first = invoke(1).await.unwrap();

    for _ in 0..2 {
        assert!(invoke(2).await.unwrap().duplicate);
        assert!(invoke(1).await.unwrap().duplicate);
    }

    assert_eq!(waiting(&story).await, [(first.id, vec![1, 2])]);
}

#[tokio::test]
async fn a_start_that_may_join_a_batch_has_no_unique_key() {
    let story = batched().await;

    let refused = story.client.invoke("count", &json!({"n": 1})).unique(Unique::until_finished("one")).await;

    assert!(matches!(refused, Err(Error::Option(_))), "{refused:?}");
    assert!(waiting(&story).await.is_empty());
}

#[tokio::test]
async fn events_that_join_a_batch_name_its_run_and_whom_they_woke() {
    let story = batched().await;
    let wait = story.suspended_run("waits").await;
    story.wait(&wait, &Condition::any().on("n", 3)).await;
    let events = (1..=4).map(|n| story.client.send_raw(EVENT, json!({"n": n})));
    let sent = events.collect::<SendEvents>().await.unwrap();

    let router = story.router();
    story.until_routed(sent.iter().map(|sent| &sent.id)).await;

    let runs = waiting(&story).await;
    assert_eq!(runs.len(), 1);
    let (run, mut numbers) = runs[0].clone();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4]);
    let mut woke = Vec::new();
    for event in &sent {
        let Started { runs, resumed, .. } = started(&story, event).await;
        assert_eq!(runs.iter().map(|started| &started.run).collect::<Vec<_>>(), [&run]);
        woke.extend(resumed);
    }
    assert_eq!(woke, [(WAITING.parse().unwrap(), wait.run.clone())]);
    router.stop().await;
}
