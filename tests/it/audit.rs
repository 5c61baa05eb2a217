//! The audit of all keys: it finds nothing after a story with everything in it, and each damage that is done by hand.

use ergate::{EventId, JobId, QueueName, Timestamp, prelude::*, run::RunState};
use ergate_chaos::audit::audit;
use ergate_shared::key::{NameKeys, QueueKey, RegistryKeys, ScheduleKeys, ShardKeys};
use redis::Value;

use crate::{
    story::{
        Does, RunningWorker, Story, act,
        plan::{Board, Go, PLAN, listen, long_sleep, step, until_run_is},
    },
    support::{Proxy, until},
};

/// A queue nobody works on.
const IDLE: &str = "idle";

/// Everything there is, at rest: what is leased stays so.
struct Everything {
    story: Story,
    worker: RunningWorker,
    /// The worker's way to Redis.
    wire: Proxy,
    ready: JobId,
    waiting: [JobId; 2],
    scheduled: JobId,
    completed: JobId,
    dead: JobId,
    run: JobId,
    /// Of a recent event, which is not its own id.
    event: String,
    to_come: EventId,
}

async fn everything() -> Everything {
    let story = Story::begin().await;
    let client = &story.client;
    let account = Limit::per_key("account").concurrency(1);
    story.queue().set_limit(&account).await.unwrap();
    client
        .schedule("hourly")
        .unwrap()
        .every(Duration::from_hours(1))
        .job(act(1, Does::Succeed))
        .await
        .unwrap();

    let board = Board::default();
    let planner = story.planner(&board, &[]);
    let run = story.run("a", [step("s"), listen("go"), long_sleep("z")]).await;
    until_run_is(&run, RunState::Suspended).await;
    let other = story.run("b", [step("s")]).await;
    until_run_is(&other, RunState::Completed).await;
    let event = client.send(Go { word: "nobody's".to_owned() }).id("go-1").await.unwrap().id;
    until("the event is routed", async || client.event(&event).await.unwrap().started.is_some()).await;
    // The one that was waited for has been delivered: the run sleeps, and another waits.
    until("the run sleeps", async || run.trace().await.unwrap().steps.len() == 3).await;
    let second = story.run("c", [listen("go")]).await;
    until_run_is(&second, RunState::Suspended).await;
    planner.stop().await;
    let in_a_year = Timestamp::now() + Duration::from_hours(24 * 300);
    let to_come = client.send(Go { word: "later".to_owned() }).ts(in_a_year).await.unwrap().id;

    let wire = Proxy::to(&story.redis);
    let by_wire = Client::connect(wire.url()).await.unwrap();
    let worker = story.worker_with(&by_wire, 4, |worker| worker.lease(Duration::from_hours(1)));
    let completed = story.enqueue(1, Does::Succeed).await;
    story.until_state(&completed, JobState::Completed).await;
    let dead = story.enqueue(2, Does::FailForGood).await;
    story.until_state(&dead, JobState::Dead).await;
    client
        .enqueue(act(3, Does::Wait))
        .key("account", "acme")
        .unique(Unique::until_finished("u"))
        .await
        .unwrap();
    story.until_started(3).await;
    let behind = client.enqueue(act(4, Does::Succeed)).key("account", "acme").await.unwrap().id;
    let failed = story.enqueue(5, Does::CancelItself).await;
    story.until_state(&failed, JobState::Cancelled).await;

    let ready = client.enqueue(act(6, Does::Succeed)).queue(IDLE).await.unwrap().id;
    let scheduled =
        client.enqueue(act(7, Does::Succeed)).queue(IDLE).delay(Duration::from_hours(9)).await.unwrap().id;
    let laned = client.enqueue(act(8, Does::Succeed)).queue(IDLE).key("org", "x").await.unwrap().id;
    for options in [3, 9] {
        let priority = Priority::new(options).unwrap();
        let expiring = client.enqueue(act(9, Does::Succeed)).queue(IDLE).priority(priority);
        expiring.expires_in(Duration::from_hours(9)).await.unwrap();
    }
    let withdrawn = client.enqueue(act(10, Does::Succeed)).queue(IDLE).await.unwrap();
    withdrawn.job(client).cancel("not needed").await.unwrap();
    let run = run.id().clone();
    let names = NameKeys::new(client.namespace(), &Go::NAME.parse().unwrap());
    let [event]: [String; 1] = story.redis.ask(&["HKEYS", &names.bodies]).await;
    Everything {
        worker,
        wire,
        ready,
        waiting: [behind, laned],
        scheduled,
        completed,
        dead,
        run,
        event,
        to_come,
        story,
    }
}

/// One thing done to Redis behind Ergate's back, and what the audit must say of it, each a part of one finding.
struct Damage {
    command: Vec<String>,
    says: Vec<String>,
}

/// Stands for a space within a word.
const SPACE: char = '~';

fn damage(command: &str, says: &[&str]) -> Damage {
    let command = command.split(' ').map(|word| word.replace(SPACE, " ")).collect();
    Damage { command, says: says.iter().map(|&part| part.to_owned()).collect() }
}

impl Everything {
    fn key(&self, queue: &str, key: QueueKey) -> String {
        self.story.client.keys(&queue.parse::<QueueName>().unwrap()).get(key).to_owned()
    }

    async fn raw<T: redis::FromRedisValue>(&self, words: &[String]) -> T {
        self.story.redis.ask(&words.iter().map(String::as_str).collect::<Vec<_>>()).await
    }

    async fn findings(&self) -> Vec<String> {
        audit(&self.story.client).await.unwrap().into_iter().map(|finding| finding.0).collect()
    }

    /// Does the damage, hears what is said, and undoes it.
    async fn after(&self, damage: &Damage) -> Vec<String> {
        let key = damage.command[1].clone();
        // As text it would not be the same afterwards.
        let mut connection = self.story.redis.connection().await;
        let before: Option<Vec<u8>> =
            redis::cmd("DUMP").arg(&key).query_async(&mut connection).await.unwrap();
        self.raw::<Value>(&damage.command).await;
        let findings = self.findings().await;
        redis::cmd("DEL").arg(&key).query_async::<()>(&mut connection).await.unwrap();
        if let Some(before) = before {
            let mut restore = redis::cmd("RESTORE");
            restore.arg(&key).arg(0).arg(before).query_async::<()>(&mut connection).await.unwrap();
        }
        findings
    }

    fn damages_to_jobs(&self) -> Vec<Damage> {
        use QueueKey as K;
        let idle = |key| self.key(IDLE, key);
        let story = |key| self.key(crate::story::QUEUE, key);
        let (ready, scheduled) = (&self.ready, &self.scheduled);
        let (completed, dead) = (&self.completed, &self.dead);
        vec![
            damage(&format!("HDEL {} {ready}", idle(K::jobs)), &["is ready and has no record"]),
            damage(&format!("LREM {} 1 {ready}", idle(K::ready)), &["is in no state"]),
            damage(&format!("RPUSH {} {ready}", idle(K::ready)), &["is in several states: ready, ready"]),
            damage(&format!("ZADD {} 1 {scheduled}", idle(K::dead)), &["scheduled, dead"]),
            damage(&format!("HSET {} {ready} nonsense", idle(K::jobs)), &["cannot be read"]),
            damage(&format!("HSET {} nobody 1", idle(K::withdrawn)), &["nobody is not in the list"]),
            damage(&format!("ZADD {} 1 nobody", idle(K::expiring)), &["nobody does not wait"]),
            damage(&format!("HSET {} nobody 1", idle(K::watched)), &["the end of nobody"]),
            damage(&format!("HSET {} {ready} one", idle(K::tries)), &["has \"one\""]),
            damage(&format!("HSET {} nobody x", idle(K::logs)), &["nobody has no record"]),
            damage(&format!("HSET {} me never", idle(K::producers)), &["me has \"never\""]),
            damage(&format!("HDEL {} {completed}", story(K::ended)), &["has ended and has no end"]),
            damage(&format!("HDEL {} {dead}", story(K::failures)), &["is dead of nothing"]),
            damage(&format!("HSET {} key {ready}", idle(K::unique)), &["which has no unique key"]),
            damage(&format!("HSET {} key nobody", idle(K::unique)), &["which is no job"]),
            damage(&format!("HDEL {} u", story(K::unique)), &["which has not ended, but by None"]),
            damage(
                &format!("HSET {} w 1", story(K::held)),
                &["w is no worker", "worker w is said to hold 1"],
            ),
            damage(&format!("ZADD {} 1 w", story(K::workers)), &["worker w has no count"]),
            damage(&format!("XADD {} * what ever", idle(K::outbox)), &["tells no end"]),
            damage(&format!("SET {} ever", idle(K::opening)), &["is a string and not a zset"]),
            damage("HSET ergate:{idle}:letters a b", &["no release makes such a key"]),
            damage("RPUSH ergate:{idle}:call:W 1", &["does not go by itself"]),
        ]
    }

    fn damages_to_lanes(&self) -> Vec<Damage> {
        use QueueKey as K;
        let idle = |key| self.key(IDLE, key);
        let story = |key| self.key(crate::story::QUEUE, key);
        let [behind, laned] = &self.waiting;
        vec![
            damage(&format!("HDEL {} {laned}", idle(K::places)), &["has the place None"]),
            damage(&format!("HSET {} nobody org=x", idle(K::places)), &["nobody is in no lane"]),
            damage(
                &format!("HDEL {} org=x", idle(K::lanes)),
                &["has jobs and no standing", "is no lane with jobs"],
            ),
            damage(&format!("ZREM {} org=x", idle(K::ring)), &["not in the ring"]),
            damage(&format!("ZADD {} 1 org=y", idle(K::ring)), &["is no lane with jobs"]),
            damage(&format!("HDEL {} turns", idle(K::meta)), &["there are lanes and no turns"]),
            damage(
                &format!("RPUSH {} {laned}", idle(K::ready)),
                &["several states", "does not wait in its lane"],
            ),
            damage(
                &format!("HSET {} account=acme 0", story(K::flow)),
                &["which are not five words", "said not to run", "it lets jobs start"],
            ),
            damage(
                &format!("HSET {} account=acme 0~0~0~0~0", story(K::flow)),
                &["is said to run 0 times", "it lets jobs start"],
            ),
            damage(
                &format!("HDEL {} account=acme", story(K::flow)),
                &["is said not to run", "it lets jobs start"],
            ),
            damage(&format!("HDEL {} account", story(K::limits)), &["which has no limit"]),
            damage(&format!("HDEL {} {behind}", story(K::places)), &["has the place None"]),
            damage(&format!("DEL {}", story(K::parked)), &["is not parked as"]),
        ]
    }

    fn damages_to_runs(&self) -> Vec<Damage> {
        use QueueKey as K;
        let of_runs = |key| self.key(&format!("fn/{PLAN}"), key);
        let run = &self.run;
        let names = NameKeys::new(self.story.client.namespace(), &Go::NAME.parse().unwrap());
        vec![
            damage(&format!("HDEL {} {run}.1", of_runs(K::journal)), &["entry 1 of"]),
            damage(&format!("HSET {} {run}.1 x", of_runs(K::journal)), &["entry 1 of"]),
            damage(&format!("HSET {} {run}.99 x", of_runs(K::journal)), &["is no entry of a run"]),
            damage(
                &format!("HSET {} {run}.1.open 1", of_runs(K::journal)),
                &["is open and waits for nothing"],
            ),
            damage(
                &format!("HSET {} {run}.2.open 1", of_runs(K::journal)),
                &["is resolved and open", "which does not know of it"],
            ),
            damage(&format!("DEL {}", names.waiting), &["no event finds this wait"]),
            damage(&format!("DEL {}", names.lapsing), &["waits for ever"]),
            damage(
                &format!("HSET {} a~b x", names.waits),
                &["\"x a b\" is missing", "waits for ever", "names nobody"],
            ),
            damage(&format!("ZADD {} 0 x", names.waiting), &["leads to no wait"]),
            damage(&format!("ZADD {} 0 x", names.lapsing), &["does not wait"]),
            damage(
                &format!("HDEL {} {}", names.bodies, self.event),
                &["has no body", "leads to no event", "is said to have"],
            ),
            damage(&format!("ZADD {} 0 x", names.seen), &["leads to no event"]),
            damage(&format!("HSET {} bytes 1", names.facts), &["is said to have 1 bytes"]),
            damage(&format!("HSET {} last 1", names.facts), &["the last place is said to be 1"]),
        ]
    }

    fn damages_to_the_rest(&self) -> Vec<Damage> {
        let namespace = self.story.client.namespace();
        let registry = RegistryKeys::new(namespace);
        let schedules = ScheduleKeys::new(namespace);
        let shard = ShardKeys::new(namespace, self.to_come.shard());
        vec![
            damage(&format!("HDEL {} {}", shard.events, self.to_come), &["has no record"]),
            damage(&format!("DEL {}", shard.future), &["is neither in the stream nor to come"]),
            damage(&format!("HSET {} mine gone", shard.own), &["for ever"]),
            damage(&format!("ZADD {} 1 mine", shard.owned), &["mine is nobody's"]),
            damage(&format!("HSET {} gone {{}}", shard.started), &["gone has no record"]),
            damage(&format!("SREM {} {IDLE}", registry.queues), &["idle has jobs and is not listed"]),
            damage(&format!("ZADD {} 1 ghost", registry.seen), &["nothing is said about ghost"]),
            damage(&format!("HSET {} ghost {{}}", registry.about), &["ghost was never seen"]),
            damage(&format!("HDEL {} {PLAN}", registry.functions), &["was declared and is not known"]),
            damage(&format!("HDEL {} {}", registry.event_names, Go::NAME), &["is in use and not listed"]),
            damage(&format!("DEL {}", registry.epoch), &["epoch: is missing"]),
            damage(&format!("DEL {}", schedules.due), &["nobody looks at hourly"]),
            damage(&format!("ZADD {} 9999999999999 hourly", schedules.due), &["looked at only at"]),
            damage(&format!("HDEL {} hourly", schedules.states), &["has no state"]),
            damage(&format!("HSET {} hourly nonsense", schedules.states), &["cannot be read"]),
            damage(&format!("ZADD {} 1 other", schedules.declared), &["other is no schedule"]),
            damage(&format!("ZADD {} 1 hourly", schedules.retired), &["is retired and looked at"]),
        ]
    }
}

#[tokio::test]
async fn nothing_is_found_after_jobs_runs_events_schedules_and_limits() {
    let everything = everything().await;

    assert_eq!(everything.findings().await, Vec::<String>::new());

    let Everything { story, worker, .. } = everything;
    story.trace.open(3);
    story.until_finished(3).await;
    worker.stop().await;
    assert_eq!(audit(&story.client).await.unwrap(), []);
}

#[tokio::test]
async fn each_damage_is_found_and_nothing_else() {
    let everything = everything().await;
    // Its worker would see to some of it.
    everything.wire.stall().await;
    let damages = [
        everything.damages_to_jobs(),
        everything.damages_to_lanes(),
        everything.damages_to_runs(),
        everything.damages_to_the_rest(),
    ];

    let mut wrong = Vec::new();
    for damage in damages.iter().flatten() {
        let found = everything.after(damage).await;
        let is_said = |part: &String| found.iter().any(|finding| finding.contains(part));
        if found.len() != damage.says.len() || !damage.says.iter().all(is_said) {
            wrong.push(format!("after {:?}: {found:#?}", damage.command));
        }
    }

    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(everything.findings().await, Vec::<String>::new());
}
