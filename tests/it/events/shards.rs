//! What the scripts of a shard do, called as a router calls them.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

const LEASE_MS: u64 = 10_000;
const LONG_MS: u64 = 1_000_000;
/// So old an event may go from a history that is full.
const OLD_MS: u64 = 61_000;

/// The shard of one event.
struct Shard<'a> {
    story: &'a Story,
    keys: ShardKeys,
    event: EventId,
}

/// What `event/tend` answers a router: the time, when there is more to do or `""`, and what it has in hand from now.
type Tended = (u64, String, Vec<redis::Value>);

impl<'a> Shard<'a> {
    /// Of an event that was just sent.
    async fn begin(story: &'a Story) -> Self {
        let event = story.client.send(Verified { user: 7 }).await.unwrap().id;
        Self { story, keys: ShardKeys::new(story.client.namespace(), event.shard()), event }
    }

    async fn tend(&self, router: &str, lease_ms: u64, again: &str) -> Tended {
        self.tend_at("", router, lease_ms, again, LONG_MS).await
    }

    /// The same at the time `now`, where a router that was silent for longer than `silence_ms` is forgotten.
    async fn tend_at(&self, now: &str, router: &str, lease_ms: u64, again: &str, silence_ms: u64) -> Tended {
        let call = script::EVENT_TEND.on_shard(&self.keys).arg(now).arg("router").arg(router);
        let numbers = [lease_ms, 100, 100, 100, LONG_MS, silence_ms];
        let call = numbers.into_iter().fold(call, |call, number| call.number(number));
        self.story.client.redis().run(&call.arg(again)).await.unwrap()
    }

    /// Tends the shard at that time: how many events are left, and when there is more to do.
    async fn trim_at(&self, now: u64) -> (u64, String) {
        let (_, next, _) = self.tend_at(&now.to_string(), "router", LEASE_MS, "", LONG_MS).await;
        (self.story.redis.ask(&["XLEN", &self.keys.stream]).await, next)
    }

    /// A router that tends the shard and takes the event in hand.
    async fn take(&self, router: &str) {
        self.tend(router, LEASE_MS, "").await;
        self.read(router).await;
    }

    async fn read(&self, router: &str) {
        let read = ["XREADGROUP", "GROUP", "router", router, "STREAMS", &self.keys.stream, ">"];
        let _: redis::Value = self.story.redis.ask(&read).await;
    }

    /// Acknowledges the event that stands at `place` when it is so old, and keeps so many.
    async fn finish(&self, place: &str, outcome: &str, keep: u64, age_ms: u64) -> String {
        let now = self.story.client.redis().now_ms() + age_ms;
        let call = script::EVENT_FINISH.on_shard(&self.keys).number(now).arg("router");
        let call = call.number(now + LONG_MS).number(keep).number(LONG_MS);
        let call = call.arg(place).arg(self.event.as_str()).arg(outcome);
        let (_, code): (u64, String) = self.story.client.redis().run(&call).await.unwrap();
        code
    }

    /// Sends the event as its sender does after a lost reply.
    async fn send_again(&self) {
        let record = format!(r#"{{"id":"{}","name":"{EVENT}","ts":1,"data":{{"user":7}}}}"#, self.event);
        let call = script::EVENT_SEND.on_shard(&self.keys).arg("").number(LONG_MS);
        let call = call.arg(self.event.as_str()).arg("").arg(EVENT).arg(record).arg("");
        let (_, outcomes): (u64, Vec<String>) = self.story.client.redis().run(&call).await.unwrap();
        assert_eq!(outcomes, [""]);
    }

    /// Where the event stands in the stream.
    async fn place(&self) -> String {
        let range = ["XRANGE", &self.keys.stream, "-", "+"];
        self.story.redis.ask::<Vec<(String, Vec<String>)>>(&range).await.remove(0).0
    }

    /// What is kept of what events started, by event.
    async fn started(&self) -> BTreeMap<String, String> {
        self.story.redis.ask(&["HGETALL", &self.keys.started]).await
    }

    async fn routers(&self) -> BTreeSet<String> {
        let about = ["XINFO", "CONSUMERS", &self.keys.stream, "router"];
        let about: Vec<BTreeMap<String, String>> = self.story.redis.ask(&about).await;
        about.into_iter().map(|mut router| router.remove("name").unwrap()).collect()
    }
}

#[tokio::test]
async fn what_a_router_reads_and_leaves_is_looked_for_when_it_may_be_taken_over() {
    let story = Story::begin().await;
    let shard = Shard::begin(&story).await;
    let (_, unread, _) = shard.tend("alive", LEASE_MS, "").await;
    shard.read("dead").await;
    let (now, left, taken) = shard.tend("alive", LEASE_MS, "").await;
    let (_, own, _) = shard.tend("dead", LEASE_MS, "").await;

    let left: u64 = left.parse().unwrap();
    assert!((now..=now + LEASE_MS).contains(&left), "{left} at {now}");
    assert!(taken.is_empty());
    assert_eq!((unread.as_str(), own.as_str()), ("", ""), "nothing to wait for");
    assert_ne!(left, now, "its time has not come");
}

#[tokio::test]
async fn what_a_router_has_had_ten_times_again_is_left_to_all_of_them() {
    let story = Story::begin().await;
    let shard = Shard::begin(&story).await;
    let taken = async |router, lease_ms, again| shard.tend(router, lease_ms, again).await.2.len();
    shard.take("first").await;

    for _ in 0..10 {
        assert_eq!(taken("first", LEASE_MS, "1").await, 1);
    }

    assert_eq!(taken("first", LEASE_MS, "1").await, 0);
    assert_eq!(taken("another", LEASE_MS, "1").await, 0, "it is not its own");
    assert_eq!(taken("another", 0, "").await, 1);
}

#[tokio::test]
async fn a_router_that_was_silent_for_long_is_forgotten_unless_it_has_events_in_hand() {
    let story = Story::begin().await;
    let shard = Shard::begin(&story).await;
    shard.tend("alive", LEASE_MS, "").await;
    shard.read("dead").await;
    let join = ["XGROUP", "CREATECONSUMER", &shard.keys.stream, "router", "gone"];
    let _: u64 = story.redis.ask(&join).await;
    assert!(shard.routers().await.contains("gone"));

    // At once would be too long, were it not for the milliseconds that Redis counts in.
    until("the silent router is forgotten", async || {
        shard.tend_at("", "alive", LEASE_MS, "", 0).await;
        !shard.routers().await.contains("gone")
    })
    .await;

    assert!(shard.routers().await.contains("dead"));
    assert_eq!(shard.tend("alive", 0, "").await.2.len(), 1);
}

#[tokio::test]
async fn an_acknowledgement_that_comes_late_leaves_what_was_kept_as_it_was() {
    let story = Story::begin().await;
    let shard = Shard::begin(&story).await;
    shard.take("router").await;
    let place = shard.place().await;

    let codes = [shard.finish(&place, "first", 100, 0).await, shard.finish(&place, "late", 100, 0).await];

    assert_eq!(codes, ["ok", "ok"]);
    assert_eq!(shard.started().await, BTreeMap::from([(shard.event.to_string(), "first".to_owned())]));
}

#[tokio::test]
async fn an_acknowledgement_that_comes_when_its_event_is_gone_keeps_nothing_of_it() {
    let story = Story::begin().await;
    let shard = Shard::begin(&story).await;
    shard.take("router").await;
    let place = shard.place().await;

    let codes =
        [shard.finish(&place, "first", 0, OLD_MS).await, shard.finish(&place, "late", 0, OLD_MS).await];

    assert_eq!(codes, ["ok", "ok"]);
    assert!(shard.started().await.is_empty());
    story.all_adds_up().await;
}

#[tokio::test]
async fn an_event_sent_again_within_a_minute_is_known_however_many_were_routed_since() {
    let story = Story::begin().await;
    let shard = Shard::begin(&story).await;
    shard.take("router").await;
    let place = shard.place().await;
    shard.finish(&place, "first", 0, 0).await;

    shard.send_again().await;

    assert_eq!(shard.place().await, place, "it is not to be routed again");
    let (left, _) = shard.trim_at(story.client.redis().now_ms() + LONG_MS + OLD_MS).await;
    assert_eq!(left, 0, "it goes by age");
}

#[tokio::test]
async fn a_history_is_trimmed_though_redis_clock_has_gone_back() {
    let story = Story::begin().await;
    let shard = Shard::begin(&story).await;
    shard.take("router").await;
    let now = story.client.redis().now_ms() - 3_600_000;

    let call = script::EVENT_FINISH.on_shard(&shard.keys).number(now).arg("router");
    let call = call.number(now + LONG_MS).number(0).number(LONG_MS);
    let call = call.arg(shard.place().await).arg(shard.event.as_str()).arg("first");
    let _: (u64, String) = story.client.redis().run(&call).await.unwrap();

    assert_eq!(story.redis.ask::<u64>(&["XLEN", &shard.keys.stream]).await, 0);
}

#[tokio::test]
async fn a_history_that_is_still_too_long_is_trimmed_on_soon() {
    let story = Story::begin().await;
    let shard = Shard::begin(&story).await;
    let keys: Vec<String> = (0..150).map(|n| format!("event-{n}")).collect();
    let mut send = script::EVENT_SEND.on_shard(&shard.keys).arg("").number(LONG_MS);
    let mut started = vec!["HSET", &shard.keys.started];
    for key in &keys {
        send = send.arg(key).arg("").arg(EVENT).arg("{}").arg("");
        started.extend([key.as_str(), "{}"]);
    }
    let _: (u64, Vec<String>) = story.client.redis().run(&send).await.unwrap();
    let _: u64 = story.redis.ask(&started).await;
    let now = story.client.redis().now_ms() + LONG_MS + OLD_MS;

    let (.., soon) = shard.trim_at(now).await;
    let (left, later) = shard.trim_at(now).await;

    assert_eq!((soon, left, later), ((now + 250).to_string(), 1, String::new()), "one is not routed");
}

#[tokio::test]
async fn an_event_of_the_future_is_announced_if_it_is_the_first_to_come() {
    let story = Story::begin().await;
    let id = EventId::new("e-0").unwrap();
    let stream = ShardKeys::new(story.client.namespace(), id.shard()).stream;
    let now = story.client.redis().now_ms() as i64;
    let mut lengths = Vec::new();
    let same_shard =
        (0..100).map(|n| format!("e-{n}")).filter(|n| EventId::new(n).unwrap().shard() == id.shard());

    for (own_id, hours) in same_shard.zip([2, 3, 1]) {
        let at = jiff::Timestamp::from_millisecond(now + hours * 3_600_000).unwrap();
        story.client.send(Verified { user: 7 }).id(own_id).ts(at).await.unwrap();
        lengths.push(story.redis.ask::<u64>(&["XLEN", &stream]).await);
    }

    assert_eq!(lengths, [1, 1, 2], "the second comes after the first");
}

#[tokio::test]
async fn an_own_id_is_forgotten_once_its_event_is_gone_and_its_time_over() {
    let story = Story::begin().await;
    let event = story.client.send(Verified { user: 7 }).id("user-7").await.unwrap().id;
    let keys = ShardKeys::new(story.client.namespace(), event.shard());
    let own = async || story.redis.ask::<BTreeMap<String, String>>(&["HGETALL", &keys.own]).await;
    let key = own().await["user-7"].clone();
    let shard = Shard { story: &story, keys: keys.clone(), event: EventId::new(key).unwrap() };
    shard.take("router").await;
    shard.finish(&shard.place().await, "first", 0, OLD_MS).await;
    let kept = own().await.len();

    let day_later = story.client.redis().now_ms() + 25 * 3_600_000;
    shard.tend_at(&day_later.to_string(), "router", LEASE_MS, "", LONG_MS).await;

    assert_eq!((kept, own().await.len()), (1, 0));
}
