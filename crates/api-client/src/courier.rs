//! Telling ends outside of their queue: results to the runs that wait for them, and events to functions.
//!
//! What is to be told is kept in a stream of the queue, by the script that ended the job, and deleted once it has been told.
//! Telling goes by names that make a second time change nothing.

use std::{
    collections::{BTreeMap, HashMap},
    future::IntoFuture,
};

use ergate_shared::{
    Event, EventId, EventName, FunctionName, JobId, Parent, QueueName, RunInput, Trigger,
    function::{FunctionFinished, tells_of_an_end},
    key::QueueKey,
    run::Resolution,
};

use crate::{Client, Error, at_once::AtOnce};

mod brief;
mod news;
mod portions;
mod told;

use news::News;
use portions::portions;
use told::{Outcome, Told};

/// The most ends told at once.
const AT_ONCE: usize = 200;
/// The most bytes of results delivered at once, unless one alone has more: what a network of a few MiB/s takes well within a deadline.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// For the engine: tells the ends of one queue, as many at once as come within a deadline.
#[doc(hidden)]
#[derive(Debug)]
pub struct Courier {
    client: Client,
    queue: QueueName,
    at_once: AtOnce,
}

impl Courier {
    /// Tells the ends of the queue to whom they concern, until none is left.
    ///
    /// # Errors
    /// Errors of the connection; what was told by then may be told again. After [`Error::TimedOut`] fewer are told at once.
    pub async fn tell_ends(&mut self) -> Result<(), Error> {
        // Whether completed runs are told of; asked once, by the first that would be.
        let mut finished = None;
        let (client, queue) = (&self.client, &self.queue);
        loop {
            let some = async |count| client.tell_some_ends(queue, count, &mut finished).await;
            if !self.at_once.with(some).await? {
                return Ok(());
            }
        }
    }
}

impl Client {
    /// For the engine: who tells the ends of a queue.
    #[doc(hidden)]
    pub fn courier(&self, queue: &QueueName) -> Courier {
        Courier { client: self.clone(), queue: queue.clone(), at_once: AtOnce::new(AT_ONCE) }
    }

    /// Tells the oldest `count` ends; whether there may be more.
    async fn tell_some_ends(
        &self,
        queue: &QueueName,
        count: usize,
        finished: &mut Option<bool>,
    ) -> Result<bool, Error> {
        let keys = self.keys(queue);
        let outbox = keys.get(QueueKey::outbox);
        let mut range = redis::cmd("XRANGE");
        range.arg(outbox).arg("-").arg("+").arg("COUNT").arg(count);
        type Kept = Vec<(String, HashMap<String, Vec<u8>>)>;
        let kept: Kept = self.redis().command("XRANGE", &range).await?;
        if kept.is_empty() {
            return Ok(false);
        }
        let mut delete = redis::cmd("XDEL");
        delete.arg(outbox);
        for (entry, _) in &kept {
            delete.arg(entry);
        }
        let may_be_more = kept.len() == count;
        let told: Vec<Told> =
            kept.into_iter().filter_map(|(entry, fields)| told::read(entry, &fields)).collect();
        let ((), sent) =
            tokio::try_join!(self.tell_parents(&told), self.tell_functions(queue, &told, finished))?;
        let started: Vec<&JobId> =
            told.iter().filter(|end| end.record.options.parent.is_some()).map(|end| &end.id).collect();
        let ((), deleted) =
            tokio::join!(self.let_starts_go(queue, &started), self.redis().command::<u64>("XDEL", &delete));
        deleted?;
        sent.into_iter().for_each(|event| self.let_event_id_go(event));
        Ok(may_be_more)
    }

    async fn tell_parents(&self, told: &[Told]) -> Result<(), Error> {
        let called: Vec<(&Parent, &Outcome)> =
            told.iter().filter_map(|end| Some((end.record.options.parent.as_ref()?, &end.outcome))).collect();
        for some in portions(&called, MOST_BYTES, |(_, outcome)| outcome.size()) {
            let mut by_queue: BTreeMap<&QueueName, Vec<(JobId, u32, Resolution)>> = BTreeMap::new();
            for (parent, outcome) in some {
                let resolutions = by_queue.entry(&parent.queue).or_default();
                resolutions.push((parent.run.clone(), parent.entry, outcome.resolution()));
            }
            let calls = by_queue.into_iter().map(|(queue, resolutions)| self.deliver_all(queue, resolutions));
            futures_util::future::try_join_all(calls).await?;
        }
        Ok(())
    }

    async fn tell_functions(
        &self,
        queue: &QueueName,
        told: &[Told],
        finished: &mut Option<bool>,
    ) -> Result<Vec<EventId>, Error> {
        // Who is started by the end of a function does not care which version it was.
        let Some(function) = FunctionName::of_queue(queue).map(|function| function.base()) else {
            return Ok(Vec::new());
        };
        let mut events = Vec::new();
        for end in told {
            let Ok(input) = serde_json::from_slice::<RunInput>(&end.record.payload) else { continue };
            if input.events.first().is_some_and(|event| tells_of_an_end(&event.name)) {
                continue;
            }
            let heard = match *finished {
                Some(heard) => heard,
                None => *finished.insert(self.starts_something(FunctionFinished::NAME).await?),
            };
            events.extend(News::of(&function, end, input.events, heard));
        }
        let sends =
            events.into_iter().map(|news| self.announce(news.name, news.data).id(news.id).into_future());
        let mut ids = Vec::new();
        for sent in futures_util::future::join_all(sends).await {
            match sent {
                Ok(receipt) => ids.push(receipt.id),
                Err(error) if error.is_temporary() => return Err(error),
                // It would be refused for ever, and hold up all that come after it.
                Err(error) => tracing::error!(%function, %error, "an end is told to no function"),
            }
        }
        Ok(ids)
    }

    /// For the engine: whether an event of this name starts a function, as far as is declared.
    ///
    /// # Errors
    /// Errors of the connection.
    #[doc(hidden)]
    pub async fn starts_something(&self, event: &str) -> Result<bool, Error> {
        let name = event.parse::<EventName>()?;
        let means =
            |trigger: &Trigger| matches!(trigger, Trigger::Event { event, .. } if event.matches(&name));
        Ok(self.functions().await?.values().any(|function| function.triggers.iter().any(means)))
    }
}
