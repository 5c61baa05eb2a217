//! One queue: its settings and its jobs as a whole.

use std::time::Duration;

use ergate_shared::{JobState, QueueName, key::QueueKeys, script};

use crate::{Client, DeadLetters, Error, JobHandle};

/// A queue, by name.
#[derive(Debug, Clone)]
pub struct Queue {
    client: Client,
    name: QueueName,
    keys: QueueKeys,
}

/// How many jobs a queue hands out per time, over all workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Jobs per `per`; at least 1.
    pub count: u32,
    /// The time; at least 1 ms.
    pub per: Duration,
    /// Jobs that may go out at once after a pause; at least 1.
    pub burst: u32,
}

impl Rate {
    /// `count` jobs per `per`, evenly spaced.
    pub fn new(count: u32, per: Duration) -> Self {
        Self { count, per, burst: 1 }
    }

    /// Lets this many go out at once after a pause.
    #[must_use]
    pub fn burst(mut self, burst: u32) -> Self {
        self.burst = burst;
        self
    }

    /// The time between two jobs on the average, in ms.
    pub(crate) fn interval_ms(self) -> Result<f64, Error> {
        if self.count == 0 || self.burst == 0 || self.per.as_millis() == 0 {
            return Err(Error::Option("a rate needs a count, a time and a burst of at least 1".to_owned()));
        }
        Ok(self.per.as_secs_f64() * 1000.0 / f64::from(self.count))
    }
}

/// How long ended jobs are kept: by age and by count, whichever is less. `None` leaves a setting as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// Completed jobs; default 1,000. 0 keeps none, and their results are gone as soon as they end.
    pub completed: Option<u32>,
    /// Their age; default 1 h.
    pub completed_for: Option<Duration>,
    /// Cancelled jobs; default 1,000.
    pub cancelled: Option<u32>,
    /// Their age; default 1 h.
    pub cancelled_for: Option<Duration>,
    /// Dead letters; default 10,000.
    pub dead: Option<u32>,
    /// Their age; default 14 days.
    pub dead_for: Option<Duration>,
}

/// Jobs removed by one call: few enough that Redis is back within a millisecond or two.
const PURGE_AT_ONCE: usize = 500;

impl Queue {
    pub(crate) fn new(client: Client, name: QueueName) -> Self {
        let keys = client.keys(&name);
        Self { client, name, keys }
    }

    /// Its name.
    pub fn name(&self) -> &QueueName {
        &self.name
    }

    /// Its keys.
    pub fn keys(&self) -> &QueueKeys {
        &self.keys
    }

    /// The client it was made from.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// A job of this queue.
    ///
    /// # Errors
    /// If the id is not valid.
    pub fn job(&self, id: &str) -> Result<JobHandle, Error> {
        Ok(JobHandle::new(self.clone(), id.parse()?))
    }

    /// Its dead letters.
    pub fn dead(&self) -> DeadLetters {
        DeadLetters::new(self.clone())
    }

    async fn set(&self, settings: &[(&str, Option<String>)]) -> Result<(), Error> {
        let mut call = script::QUEUE_CONFIGURE.on(&self.keys);
        for (name, value) in settings {
            call.push(name);
            call.push(value.as_deref().unwrap_or_default());
        }
        self.client.redis().run::<String>(&call).await.map(drop)
    }

    /// Stops handing out jobs; running ones go on, and new ones may be enqueued.
    ///
    /// # Errors
    /// Errors of the connection.
    pub async fn pause(&self) -> Result<(), Error> {
        self.set(&[("paused", Some("1".to_owned()))]).await
    }

    /// Hands out jobs again.
    ///
    /// # Errors
    /// Errors of the connection.
    pub async fn resume(&self) -> Result<(), Error> {
        self.set(&[("paused", None)]).await
    }

    /// Pauses the queue and waits until nothing of it runs, telling `running` how many still do.
    ///
    /// # Errors
    /// [`Error::Option`] if jobs still run after `within`; the queue stays paused then.
    pub async fn drain(&self, within: Duration, mut running: impl FnMut(u64)) -> Result<(), Error> {
        self.pause().await?;
        let deadline = tokio::time::Instant::now() + within.min(ergate_shared::duration::LONGEST);
        loop {
            let leased = self.stats().await?.leased;
            running(leased);
            if leased == 0 {
                return Ok(());
            }
            if tokio::time::Instant::now() >= deadline {
                let within = ergate_shared::duration::show(within);
                return Err(Error::Option(format!(
                    "queue {} still runs {leased} jobs after {within}",
                    self.name
                )));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Limits how many jobs of the queue run at once, over all workers; `None` for no limit, the default.
    ///
    /// # Errors
    /// [`Error::Option`] for 0: pause the queue instead.
    pub async fn set_concurrency(&self, most: Option<u32>) -> Result<(), Error> {
        if most == Some(0) {
            return Err(Error::Option(
                "concurrency 0 would never run a job; pause the queue instead".to_owned(),
            ));
        }
        self.set(&[("concurrency", most.map(|most| most.to_string()))]).await
    }

    /// Limits how many jobs of the queue start per time, over all workers; `None` for no limit, the default.
    ///
    /// # Errors
    /// [`Error::Option`] for a count, time or burst of 0.
    pub async fn set_rate(&self, rate: Option<Rate>) -> Result<(), Error> {
        let Some(rate) = rate else {
            return self.set(&[("rate_interval", None), ("rate_burst", None), ("rate_full_at", None)]).await;
        };
        let interval = rate.interval_ms()?.to_string();
        self.set(&[("rate_interval", Some(interval)), ("rate_burst", Some(rate.burst.to_string()))]).await
    }

    /// Sets how long ended jobs are kept.
    ///
    /// # Errors
    /// Errors of the connection.
    pub async fn set_retention(&self, retention: Retention) -> Result<(), Error> {
        let count = |count: Option<u32>| count.map(|count| count.to_string());
        let age = |age: Option<Duration>| age.map(|age| age.as_millis().to_string());
        let settings = [
            ("keep_completed", count(retention.completed)),
            ("keep_completed_ms", age(retention.completed_for)),
            ("keep_cancelled", count(retention.cancelled)),
            ("keep_cancelled_ms", age(retention.cancelled_for)),
            ("keep_dead", count(retention.dead)),
            ("keep_dead_ms", age(retention.dead_for)),
        ];
        let set: Vec<_> = settings.into_iter().filter(|(_, value)| value.is_some()).collect();
        if set.is_empty() { Ok(()) } else { self.set(&set).await }
    }

    /// Deletes the jobs in a state, in bounded steps, telling `removed` how many are gone so far.
    ///
    /// It ends once as many are gone as there were when it began, give or take the rest of a step, however many come meanwhile;
    /// some of these may be among them.
    ///
    /// # Errors
    /// [`Error::Option`] for running jobs, which cannot be deleted under their handlers.
    pub async fn purge(&self, state: JobState, mut removed: impl FnMut(u64)) -> Result<u64, Error> {
        if state == JobState::Leased {
            return Err(Error::Option(
                "running jobs cannot be purged; cancel them, or drain the queue".to_owned(),
            ));
        }
        let meant = self.stats().await?.count(state);
        let (mut total, mut in_this_pass) = (0, 0);
        let mut cursor: Option<String> = None;
        while total < meant {
            let page = self.ids(state, cursor.as_deref(), PURGE_AT_ONCE).await?;
            let mut call = script::JOB_REMOVE.on(&self.keys).arg(state.as_str());
            for id in &page.items {
                call.push(id.as_str());
            }
            let outcomes: Vec<String> = self.client.redis().run(&call).await?;
            let gone = outcomes.iter().filter(|outcome| *outcome == "ok").count() as u64;
            total += gone;
            in_this_pass += gone;
            removed(total);
            // What stood behind them may have moved up. Withdrawn entries of the ready list stay where they are.
            if gone > 0 {
                continue;
            }
            match page.next {
                Some(next) => cursor = Some(next),
                // Others were faster, or an id there has no job.
                None if in_this_pass == 0 => break,
                None => (cursor, in_this_pass) = (None, 0),
            }
        }
        Ok(total)
    }
}
