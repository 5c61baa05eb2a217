//! Functions that no worker has any more.

use ergate::{FunctionName, Limit};

use super::{
    versions::{declare_at, spec},
    *,
};

fn onboard() -> FunctionName {
    "onboard".parse().unwrap()
}

#[tokio::test]
async fn a_function_that_nobody_has_any_more_is_taken_off_and_its_runs_stay() {
    let story = Story::begin().await;
    let queue = story.client.queue("fn/onboard").unwrap();
    queue.set_concurrency(Some(5)).await.unwrap();
    for name in ["fn/throttle", "account"] {
        queue.set_limit(&Limit::per_key(name).concurrency(2)).await.unwrap();
    }
    declare_at(&story, 1_000_000, &[1]).await;
    let router = story.router();
    started(&story, &send(&story, json!({})).await).await;

    assert!(story.client.remove_function(&onboard()).await.unwrap());
    assert!(!story.client.remove_function(&onboard()).await.unwrap(), "it is gone");
    let event = send(&story, json!({})).await;
    story.until_routed([&event.id]).await;

    assert!(story.client.functions().await.unwrap().is_empty());
    assert_eq!(story.runs("onboard").await.len(), 1);
    assert!(!queue.stats().await.unwrap().settings.contains_key("concurrency"));
    let left = queue.limits().await.unwrap();
    assert_eq!(left.iter().map(|limit| limit.name.as_str()).collect::<Vec<_>>(), ["account"]);
    router.stop().await;
}

#[tokio::test]
async fn a_function_that_a_worker_has_is_not_taken_off() {
    let story = Story::begin().await;
    story.client.declare(&[spec(1)]).await.unwrap();

    let refused = story.client.remove_function(&onboard()).await.unwrap_err().to_string();

    assert!(
        refused.contains("function onboard was declared by a worker within the last minute"),
        "{refused}"
    );
    assert_eq!(story.client.functions().await.unwrap().len(), 1);
}
