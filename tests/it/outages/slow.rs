//! A network that carries everything, but slowly.

use std::num::NonZeroU32;

use ergate_shared::key::QueueKey;

use super::*;

/// As many ends as are told at once have 5 MiB here, of which half come within the deadline of a call.
#[tokio::test]
async fn ends_that_do_not_come_in_time_all_at_once_are_told_in_fewer() {
    let story = Story::begin().await;
    let proxy = Proxy::to(&story.redis);
    let client = Client::connect(proxy.url()).await.unwrap();
    let queue = client.queue(QUEUE).unwrap();
    let outbox = queue.keys().get(QueueKey::outbox);
    // Of a release to come: they concern nobody here, and are deleted once they were read.
    let fill = "for i = 1, 200 do redis.call('XADD', KEYS[1], '*', 'end', string.rep('x', 28000)) end";
    let _: Option<String> = story.redis.ask(&["EVAL", fill, "1", outbox]).await;
    let left = async || story.redis.ask::<u64>(&["XLEN", outbox]).await;

    proxy.slow(NonZeroU32::new(512 * 1024).unwrap());
    let mut courier = client.courier(queue.name());
    let late = courier.tell_ends().await.unwrap_err();
    let telling = tokio::spawn(async move { courier.tell_ends().await });
    until("some are told", async || left().await < 200).await;
    proxy.heal().await;
    telling.await.unwrap().unwrap();

    assert!(late.to_string().contains("did not answer XRANGE"), "{late}");
    assert_eq!(left().await, 0);
}
