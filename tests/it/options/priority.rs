//! Runs that are moved ahead in their queue.

use super::*;
use crate::story::by_hand::{Entry, ids};

fn ahead(id: &str, order_at: u64) -> Entry {
    let mut entry = Entry::new(id);
    entry.order_at = Some(order_at);
    entry
}

#[tokio::test]
async fn runs_go_by_their_time_with_keys_and_without() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.join("w").await;
    let now = queue.now;
    let keyed = |id: &str, order_at| ahead(id, order_at).key("account", "a");
    queue.enqueue_all(&[ahead("3", now), ahead("1", now - 600_000), ahead("2", now - 1)]).await;
    queue.enqueue_all(&[keyed("c", now), keyed("a", now - 600_000), keyed("b", now - 1)]).await;

    let mut plain = Vec::new();
    let mut with_keys = Vec::new();
    for _ in 0..6 {
        let leased = queue.lease("w", 1).await;
        let id = ids(&leased)[0].to_owned();
        if id.parse::<u32>().is_ok() { plain.push(id) } else { with_keys.push(id) }
    }

    assert_eq!(plain, ["1", "2", "3"]);
    assert_eq!(with_keys, ["a", "b", "c"]);
    story.all_adds_up().await;
}

#[tokio::test]
async fn a_run_keeps_its_place_when_it_goes_on_and_can_be_cancelled_there() {
    let story = Story::begin().await;
    let mut queue = story.by_hand();
    queue.join("w").await;
    let now = queue.now;
    queue.enqueue_all(&[ahead("1", now - 10), ahead("2", now), ahead("3", now + 1)]).await;

    let first = queue.lease("w", 1).await;
    queue.settle("w", &[first[0].suspend(now + 5, 0)]).await;
    queue.pass(5);
    queue.cancel("2", "not wanted").await;
    let rest = queue.lease("w", 10).await;

    assert_eq!(ids(&rest), ["1", "3"]);
    story.all_adds_up().await;
}

#[tokio::test]
async fn the_event_says_by_how_much_a_run_is_moved_ahead() {
    async fn note(event: EventRecord, _: Step, State(ledger): State<Ledger>) -> Result<()> {
        ledger.note(event.data["n"].to_string());
        Ok(())
    }
    let story = Story::begin().await;
    let ledger = Ledger::default();
    let urgent = Function::new("note", note).on(PAID).slots(1).priority("event.data.ahead");
    let worker = worker(&story, &ledger, urgent);
    until_declared(&story, "note").await;
    let queue = story.client.queue("fn/note").unwrap();
    queue.pause().await.unwrap();

    for (n, ahead) in [(1, json!(0)), (2, json!(5)), (3, json!(null)), (4, json!(9999)), (5, json!(-30))] {
        let event = send(&story, json!({"n": n, "ahead": ahead})).await;
        started(&story, &event).await;
    }
    queue.resume().await.unwrap();
    until("all have run", async || ledger.all().len() == 5).await;

    assert_eq!(ledger.all(), ["4", "2", "1", "3", "5"]);
    worker.stop().await;
}
