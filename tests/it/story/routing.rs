//! Routers, functions that nobody performs, and runs made by hand: what stories about events need.

use std::time::Duration;

use ergate::{
    Client, Condition, EventName, EventRecord, FunctionSpec, JobId, JobState, QueueName, Router, RunInput,
    Trigger, WaitRef,
};
use ergate_shared::{
    event::SHARDS,
    key::{QueueKey, ShardKeys},
};
use redis::Cmd;
use tokio::{sync::oneshot, task::JoinHandle};

use super::Story;
use crate::support::until;

/// The event most stories are about.
pub(crate) const EVENT: &str = "app/user.verified";
/// The queue of the runs that are made by hand.
pub(crate) const WAITING: &str = "fn/waiting";

pub(crate) fn event_name() -> EventName {
    EventName::new(EVENT).unwrap()
}

/// A router that runs in this process until it is stopped, killed or dropped.
pub(crate) struct RunningRouter {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl RunningRouter {
    fn start(router: Router) -> Self {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(router.run_until(async {
            let _ = stopped.await;
        }));
        Self { stop: Some(stop), task }
    }

    /// Stops in order and waits for the end.
    pub(crate) async fn stop(mut self) {
        self.stop.take();
        (&mut self.task).await.unwrap();
    }

    /// Ends it between two instructions.
    pub(crate) fn kill(self) {
        self.task.abort();
    }
}

impl Drop for RunningRouter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Story {
    /// A router on the story's client.
    pub(crate) fn router(&self) -> RunningRouter {
        self.router_on(&self.client)
    }

    /// What another router left behind is taken over after a second, so that tests need not wait for ten.
    pub(crate) fn router_on(&self, client: &Client) -> RunningRouter {
        RunningRouter::start(Router::new(client.clone()).lease(Duration::from_secs(1)))
    }

    /// A router from which nobody takes anything over while a test lasts.
    pub(crate) fn router_alone_on(&self, client: &Client) -> RunningRouter {
        RunningRouter::start(Router::new(client.clone()).lease(Duration::from_hours(1)))
    }

    /// A router that keeps no more than this many events once they are routed.
    pub(crate) fn router_keeping(&self, events: u64) -> RunningRouter {
        let time = Duration::from_hours(1);
        RunningRouter::start(Router::new(self.client.clone()).keep(events, time))
    }

    /// A router that looks after nothing while a test counts commands.
    pub(crate) fn router_resting(&self) -> RunningRouter {
        RunningRouter::start(Router::new(self.client.clone()))
    }

    /// Declares a function that an event starts.
    pub(crate) async fn declare(&self, function: &str, event: &str, condition: Option<&str>) {
        let name = function.parse().unwrap();
        let trigger = Trigger::Event { event: event.parse().unwrap(), r#if: condition.map(str::to_owned) };
        self.client.declare(&[FunctionSpec::new(name).trigger(trigger)]).await.unwrap();
    }

    /// Makes events that no router has seen yet look as if they had come so long ago.
    pub(crate) async fn make_events_older(&self, by: Duration) {
        for shard in 0..SHARDS {
            let stream = ShardKeys::new(self.client.namespace(), shard).stream;
            let mut read = redis::cmd("XRANGE");
            read.arg(&stream).arg("-").arg("+");
            let entries: Vec<(String, Vec<String>)> =
                self.client.redis().command("XRANGE", &read).await.unwrap();
            let mut older = redis::pipe();
            older.del(&stream).ignore();
            for (place, fields) in entries {
                let (came, rest) = place.split_once('-').unwrap();
                let came = came.parse::<u64>().unwrap() - by.as_millis() as u64;
                older.cmd("XADD").arg(&stream).arg(format!("{came}-{rest}")).arg(fields).ignore();
            }
            self.client.redis().pipeline::<()>("older events", &older).await.unwrap();
        }
    }

    /// The runs of a function that are ready, oldest first: id and input.
    pub(crate) async fn runs(&self, function: &str) -> Vec<(JobId, RunInput)> {
        let queue = self.client.queue(&format!("fn/{function}")).unwrap();
        let mut runs = Vec::new();
        let mut cursor = None;
        loop {
            let page = queue.list(JobState::Ready, cursor.as_deref(), 1000).await.unwrap();
            runs.extend(page.items.into_iter().map(|view| {
                let record = view.record.unwrap();
                (view.id, serde_json::from_slice(&record.payload).unwrap())
            }));
            cursor = page.next;
            if cursor.is_none() {
                return runs;
            }
        }
    }

    /// A run that is suspended with entry 1 of its journal open, as the engine leaves it, without registering a wait.
    pub(crate) async fn suspended_run(&self, run: &str) -> WaitRef {
        let queue: QueueName = WAITING.parse().unwrap();
        self.client
            .enqueue_raw(queue.clone(), "waiting".parse().unwrap(), "{}")
            .id(run)
            .delay(Duration::from_hours(1))
            .await
            .unwrap();
        let keys = self.client.keys(&queue);
        let mut open = redis::pipe();
        open.hset(keys.get(QueueKey::journal), format!("{run}.1"), r#"{"wait":{}}"#).ignore();
        open.hset(keys.get(QueueKey::steps), run, 1).ignore();
        open.hset(keys.get(QueueKey::journal), format!("{run}.1.open"), "").ignore();
        self.client.redis().pipeline::<()>("a run", &open).await.unwrap();
        WaitRef { queue, run: JobId::new(run).unwrap(), entry: 1 }
    }

    /// Registers a wait for the story's event, looking back an hour.
    pub(crate) async fn wait(&self, wait: &WaitRef, condition: &Condition) -> Option<EventRecord> {
        let now = self.client.redis().now_ms();
        let (since, until) = (now - 3_600_000, now + 3_600_000);
        self.client.register_wait(&event_name(), wait, condition, since, until).await.unwrap()
    }

    /// What resolved the open entry of a run, if anything did.
    pub(crate) async fn resolution(&self, wait: &WaitRef) -> Option<serde_json::Value> {
        let mut get = Cmd::new();
        get.arg("HGET").arg(self.client.keys(&wait.queue).get(QueueKey::journal));
        get.arg(format!("{}.2", wait.run));
        let entry: Option<String> = self.client.redis().command("HGET", &get).await.unwrap();
        entry.map(|entry| {
            let entry: serde_json::Value = serde_json::from_str(&entry).unwrap();
            entry["op"]["resolved"]["with"].clone()
        })
    }

    /// How many entries of a run's journal there are.
    pub(crate) async fn entries(&self, wait: &WaitRef) -> u64 {
        let mut get = Cmd::new();
        get.arg("HGET").arg(self.client.keys(&wait.queue).get(QueueKey::steps)).arg(wait.run.as_str());
        self.client.redis().command("HGET", &get).await.unwrap()
    }

    /// The state of the run that waits.
    pub(crate) async fn state_of(&self, wait: &WaitRef) -> Option<JobState> {
        self.client.job(wait.queue.as_str(), wait.run.as_str()).unwrap().status().await.ok()
    }

    /// How many waits for the story's event are kept.
    pub(crate) async fn waits(&self) -> u64 {
        let mut count = Cmd::new();
        count.arg("HLEN").arg(self.client.name_keys(&event_name()).waits);
        self.client.redis().command("HLEN", &count).await.unwrap()
    }

    /// Whether an event has been routed and acknowledged.
    pub(crate) async fn is_routed(&self, id: &ergate::EventId) -> bool {
        self.client.event(id).await.unwrap().started.is_some()
    }

    /// Waits until every one of them has been routed and acknowledged.
    pub(crate) async fn until_routed(&self, ids: impl IntoIterator<Item = &ergate::EventId>) {
        for id in ids {
            until("the event is routed", async || self.is_routed(id).await).await;
        }
    }

    /// How many commands the server has done so far, those inside scripts included.
    pub(crate) async fn commands(&self) -> u64 {
        let stats: String = self.redis.ask(&["INFO", "commandstats"]).await;
        stats
            .lines()
            .filter(|line| line.starts_with("cmdstat_") && !line.contains("info") && !line.contains("client"))
            .filter_map(|line| line.split(['=', ',']).nth(1)?.parse::<u64>().ok())
            .sum()
    }
}
