//! A small piece of work that uses every script there is, by a client and a worker in this process, and what must have come of it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::ensure;
use ergate::{
    Client, Condition, Context, Error, EventName, JobId, Key, QueueName, RunFilter, WaitRef, WorkerId,
    prelude::*, reconcile,
};
use ergate_shared::script;
use tokio::{sync::oneshot, task::JoinHandle, time::Instant};

use crate::play::insist;

/// The queue of all errands.
pub const QUEUE: &str = "errands";
/// Long enough that a lost reply costs no lease, short enough that a worker that is gone is found soon.
const LEASE: Duration = Duration::from_secs(3);
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// More waits for one event than a router reads at once.
const CROWD: u32 = 210;

/// How often each thing was done.
#[derive(Debug, Clone, Default)]
struct Done(Arc<Mutex<BTreeMap<String, u32>>>);

impl Done {
    fn note(&self, what: String) -> u32 {
        let mut done = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let times = done.entry(what).or_default();
        *times += 1;
        *times
    }

    fn times(&self, what: &str) -> u32 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(what).copied().unwrap_or(0)
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Errand {
    name: String,
    fails: u32,
}

impl Job for Errand {
    const NAME: &str = "errand";
    const QUEUE: &str = QUEUE;
}

#[derive(Debug, Serialize, Deserialize)]
struct Trip {
    number: u64,
}

impl Event for Trip {
    const NAME: &str = "errands/trip";
}

#[derive(Debug, Serialize, Deserialize)]
struct Ticket {
    number: u64,
}

impl Event for Ticket {
    const NAME: &str = "errands/ticket";
}

async fn errand(job: Errand, State(done): State<Done>, progress: Progress, log: Log) -> Result<()> {
    progress.set(0.5);
    log.line("on the way");
    let times = done.note(job.name);
    if times <= job.fails { Err(Failure::fatal("this errand was to fail")) } else { Ok(()) }
}

async fn trip(event: Trip, step: Step, State(done): State<Done>, context: Context) -> Result<u64> {
    let run = context.id().to_string();
    step.run("pack", note(&done, format!("pack {run}"))).await?;
    step.wait_for::<Ticket>("ticket").on("number", event.number).within(PATIENCE * 10).await?;
    step.invoke::<u64>("visit", "visit", &Trip { number: event.number }).await?;
    step.run("home", note(&done, format!("home {run}"))).await?;
    Ok(event.number)
}

async fn visit(event: Trip, step: Step, State(done): State<Done>) -> Result<u64> {
    step.run("look", note(&done, format!("look {}", event.number))).await?;
    Ok(event.number)
}

async fn note(done: &Done, what: String) -> Result<()> {
    done.note(what);
    Ok(())
}

/// A worker in this process.
#[derive(Debug)]
struct Hand {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), ergate::WorkerError>>,
}

impl Hand {
    fn hire(client: &Client, done: &Done) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let function = |function: Function<Done>| function.backoff(Backoff::fixed(Duration::from_millis(20)));
        let worker = Worker::new(client.clone(), done.clone())
            .queue(QUEUE, 8)
            .job(errand)
            .function(function(Function::new("trip", trip)))
            .function(function(Function::new("visit", visit)))
            .lease(LEASE);
        let task = tokio::spawn(worker.run_until(async {
            let _ = stopped.await;
        }));
        Self { stop, task }
    }

    async fn leave(self) -> anyhow::Result<()> {
        let _ = self.stop.send(());
        Ok(self.task.await??)
    }
}

/// See the module.
#[derive(Debug)]
pub struct Errands {
    /// By a way that never fails.
    direct: Client,
    /// By the way that does.
    client: Client,
    done: Done,
    hand: Hand,
}

impl Errands {
    /// A worker at work, by the way that fails.
    ///
    /// # Errors
    /// Errors of the connection.
    pub async fn begin(direct: &str, failing: &str) -> anyhow::Result<Self> {
        let (direct, client) = (Client::connect(direct).await?, Client::connect(failing).await?);
        let done = Done::default();
        let hand = Hand::hire(&client, &done);
        let errands = Self { direct, client, done, hand };
        errands
            .until("the functions are known", async |all| Ok(all.direct.functions().await?.len() == 2))
            .await?;
        Ok(errands)
    }

    /// Stops the worker, and returns the client that never fails.
    ///
    /// # Errors
    /// What the worker ended with.
    pub async fn end(self) -> anyhow::Result<Client> {
        self.hand.leave().await?;
        Ok(self.direct)
    }

    async fn until(
        &self,
        what: &str,
        mut is_so: impl AsyncFnMut(&Self) -> Result<bool, Error>,
    ) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        while !is_so(self).await? {
            ensure!(Instant::now() < until, "after {PATIENCE:?} it is still not so that {what}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    async fn until_job(&self, id: &str, state: JobState) -> anyhow::Result<()> {
        let job = self.direct.job(QUEUE, id)?;
        self.until(&format!("{id} is {state}"), async |_| Ok(job.status().await? == state)).await
    }

    /// Does everything once. `number` is never used again.
    ///
    /// # Errors
    /// What was not done in time, or refused; done less or more often than once.
    pub async fn round(&self, number: u64) -> anyhow::Result<()> {
        self.settings(number).await?;
        self.jobs(number).await?;
        self.runs(number).await?;
        self.schedule(number).await?;
        self.workers().await?;
        self.functions().await?;
        self.crowd(number).await
    }

    async fn settings(&self, number: u64) -> anyhow::Result<()> {
        let queue = self.client.queue(QUEUE)?;
        let (many, limit) =
            (1000 + (number % 100) as u32, Limit::per_key("who").concurrency(5 + (number % 2) as u32));
        insist(async || queue.set_concurrency(Some(many)).await).await?;
        insist(async || queue.set_limit(&limit).await).await?;
        let key = Key::new("who", "nobody")?;
        insist(async || queue.pause_key(&key).await).await?;
        insist(async || queue.resume_key(&key).await).await?;
        Ok(())
    }

    async fn jobs(&self, number: u64) -> anyhow::Result<()> {
        let id = |what: &str| format!("{number}-{what}");
        let job = |what: &str, fails| self.client.enqueue(Errand { name: id(what), fails }).id(id(what));
        job("plain", 0).key("who", "everybody").await?;
        job("failing", 1).await?;
        for later in ["cancelled", "promoted", "edited", "removed"] {
            job(later, 0).delay(Duration::from_hours(1)).await?;
        }
        let handle = |what: &str| self.client.job(QUEUE, &id(what));
        let (cancelled, promoted, edited, removed) =
            (handle("cancelled")?, handle("promoted")?, handle("edited")?, handle("removed")?);
        // Who has not heard that it is done asks again, and hears that it cannot be done any more.
        settled(async || cancelled.cancel("not needed").await.map(drop)).await?;
        settled(async || promoted.promote().await).await?;
        insist(async || edited.update_payload(&Errand { name: id("other"), fails: 0 }).await).await?;
        settled(async || edited.promote().await).await?;
        settled(async || removed.remove().await).await?;
        self.until_job(&id("failing"), JobState::Dead).await?;
        let failing = handle("failing")?;
        settled(async || failing.retry().await).await?;
        for what in ["plain", "failing", "promoted", "edited"] {
            self.until_job(&id(what), JobState::Completed).await?;
        }
        insist(async || failing.get().await).await?;
        let queue = self.client.queue(QUEUE)?;
        insist(async || queue.stats().await).await?;
        let repairs = insist(async || reconcile(&queue).await).await?;
        ensure!(repairs.total() == 0, "there was something to repair: {repairs:?}");
        // It is called only where something seems wrong, and with keys at work.
        let count_anew = script::QUEUE_REPAIR.on(queue.keys()).arg("flow").arg("0");
        let (repaired, _): (u64, String) =
            insist(async || self.client.redis().run(&count_anew).await).await?;
        ensure!(repaired == 0, "there were {repaired} counts to repair");
        ensure!(
            self.direct.job(QUEUE, &id("cancelled"))?.status().await? == JobState::Cancelled,
            "it was cancelled"
        );
        for (what, times) in
            [("plain", 1), ("promoted", 1), ("other", 1), ("edited", 0), ("cancelled", 0), ("removed", 0)]
        {
            let done = self.done.times(&id(what));
            ensure!(done == times, "{what} was done {done} times and not {times}");
        }
        Ok(())
    }

    async fn runs(&self, number: u64) -> anyhow::Result<()> {
        let (trip, again) = (format!("{number}-trip"), format!("{number}-again"));
        self.client.invoke("trip", &Trip { number }).id(&trip).await?;
        self.client.send(Ticket { number }).id(format!("{number}-ticket")).await?;
        let run = self.direct.run("trip", &trip)?;
        ensure!(run.result::<u64>(PATIENCE).await? == number, "the trip ends where it should");
        let run = self.client.run("trip", &trip)?;
        let rerun = insist(async || run.rerun().from("home").id(&again).await).await?;
        let rerun = self.direct.run("trip", rerun.id().as_str())?;
        ensure!(rerun.result::<u64>(PATIENCE).await? == number, "so does the same trip from home on");
        let trips = self.client.runs(RunFilter::default().function("trip".parse()?));
        insist(async || trips.page(None, 50).await).await?;
        for (what, times) in [
            (format!("pack {trip}"), 1),
            (format!("look {number}"), 1),
            (format!("home {trip}"), 1),
            (format!("home {again}"), 1),
            (format!("pack {again}"), 0),
        ] {
            let done = self.done.times(&what);
            ensure!(done == times, "{what} was done {done} times and not {times}");
        }
        Ok(())
    }

    async fn schedule(&self, number: u64) -> anyhow::Result<()> {
        let name = format!("{number}-times");
        let schedule = self.client.schedule(&name)?;
        let job = || Errand { name: name.clone(), fails: 0 };
        insist(async || schedule.every(Duration::from_hours(1)).job(job()).await).await?;
        insist(async || schedule.show().await).await?;
        insist(async || schedule.pause().await).await?;
        insist(async || schedule.resume().await).await?;
        // Who asks twice for it now means twice.
        insist(async || schedule.run_now().await).await?;
        self.until("the schedule has started a job", async |all| Ok(all.done.times(&name) > 0)).await?;
        match insist(async || schedule.remove().await).await {
            Err(error) if !error.is_not_found() => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// A second worker comes and goes, and one that never had a chance is reaped.
    async fn workers(&self) -> anyhow::Result<()> {
        let second = Hand::hire(&self.client, &self.done);
        let queue = self.direct.queue(QUEUE)?;
        // Before the ghost comes, which would count for one of them.
        self.until("there are two workers", async |_| Ok(queue.stats().await?.workers == 2)).await?;
        let keys = self.direct.keys(&QUEUE.parse::<QueueName>()?);
        let ghost = script::WORKER_JOIN.on(&keys).arg("").arg(WorkerId::generate().as_str()).number(1);
        self.direct.redis().run::<(u64, String)>(&ghost).await?;
        second.leave().await?;
        let entries = keys.get(ergate_shared::key::QueueKey::workers);
        let mut count = redis::cmd("ZCARD");
        count.arg(entries);
        self.until("one worker is left", async |all| {
            Ok(all.direct.redis().command::<u64>("ZCARD", &count).await? == 1)
        })
        .await
    }

    /// A function that a worker has is not taken off.
    async fn functions(&self) -> anyhow::Result<()> {
        let trip = "trip".parse()?;
        match insist(async || self.client.remove_function(&trip).await).await {
            Err(Error::Option(_)) => Ok(()),
            answer => anyhow::bail!("a function that a worker has could be taken off: {answer:?}"),
        }
    }

    /// More wait for an event than a router looks at in one call. None of them is a run.
    async fn crowd(&self, number: u64) -> anyhow::Result<()> {
        let name: EventName = Ticket::NAME.parse()?;
        let now = self.direct.redis().now_ms();
        let number = number + 1_000_000;
        let condition = Condition::any().on("number", number);
        for waits in 0..CROWD {
            let wait = WaitRef {
                queue: "fn/trip".parse()?,
                run: JobId::stored(format!("{number}-nobody-{waits:03}")),
                entry: 1,
            };
            self.direct.register_wait(&name, &wait, &condition, now, now + 60_000).await?;
        }
        let id = self.client.send(Ticket { number }).await?.id;
        self.until("the event is routed", async |all| Ok(all.direct.event(&id).await?.started.is_some()))
            .await
    }
}

/// Asks until it is done: who did not hear of it the first time is told the second that it is no more as it was.
async fn settled(mut ask: impl AsyncFnMut() -> Result<(), Error>) -> Result<(), Error> {
    match insist(&mut ask).await {
        Err(Error::WrongState { .. } | Error::NotFound { .. }) => Ok(()),
        answer => answer,
    }
}
