//! The registry of functions: what workers declare, what routers, servers and tools read.

use std::{collections::BTreeMap, time::Duration};

use ergate_shared::{
    EventName, FunctionName, FunctionSpec, JobId, QueueName, duration, function::is_reserved, key::QueueKey,
    script,
};

use crate::{Client, Error, Queue};

mod view;

pub use view::FunctionView;

/// After how long without a word a version of a function counts as run by nobody.
const SILENT_AFTER: Duration = Duration::from_secs(60);

impl Client {
    /// Declares functions, so that events start them. It survives restarts; repeating it changes nothing.
    ///
    /// Other versions of them that nobody has declared for a minute are taken off, so that events go to those that somebody
    /// can run.
    ///
    /// # Errors
    /// Errors of the connection.
    pub async fn declare(&self, functions: &[FunctionSpec]) -> Result<(), Error> {
        let mut call = script::REGISTRY_DECLARE
            .on_registry(self.registry_keys())
            .arg("")
            .number(SILENT_AFTER.as_millis() as i128);
        for function in functions {
            call.push(function.name.as_str());
            call.push(serde_json::to_vec(function).expect("a declaration is JSON"));
        }
        self.redis().run::<u64>(&call).await.map(drop)
    }

    /// The functions that were declared, by name, each version apart. What a later release declared and this one cannot read is left out.
    ///
    /// # Errors
    /// Errors of the connection.
    pub async fn functions(&self) -> Result<BTreeMap<FunctionName, FunctionSpec>, Error> {
        let mut all = redis::cmd("HGETALL");
        all.arg(&self.registry_keys().functions);
        let all: Vec<(String, String)> = self.redis().command("HGETALL", &all).await?;
        let read = |(name, spec): (String, String)| match serde_json::from_str::<FunctionSpec>(&spec) {
            Ok(spec) => Some((spec.name.clone(), spec)),
            Err(error) => {
                tracing::error!(function = name, %error, "the declaration of a function cannot be read");
                None
            }
        };
        Ok(all.into_iter().filter_map(read).collect())
    }

    /// Takes a function off that no worker has any more: events start it no longer, and the options it was declared with apply to
    /// nobody. Its runs stay in its queue, the limits that it declared do not. False if none of this name is declared.
    ///
    /// # Errors
    /// [`Error::Option`] if a worker declared it within the last minute: that one has it, and would declare it again. Errors of
    /// the connection.
    pub async fn remove_function(&self, function: &FunctionName) -> Result<bool, Error> {
        let call = script::REGISTRY_REMOVE
            .on_registry(self.registry_keys())
            .arg("")
            .number(SILENT_AFTER.as_millis() as i128)
            .arg(function.as_str());
        let (code, left): (String, u64) = self.redis().run(&call).await?;
        match code.as_str() {
            "gone" => return Ok(false),
            "declared" => {
                return Err(Error::Option(format!(
                    "function {function} was declared by a worker within the last minute: stop those that have it, and try again \
                     in {}",
                    duration::show(Duration::from_secs(left.div_ceil(1000)))
                )));
            }
            _ => {}
        }
        let queue = Queue::new(self.clone(), function.queue());
        queue.set_concurrency(None).await?;
        for limit in queue.limits().await?.iter().filter(|limit| is_reserved(&limit.name)) {
            queue.clear_limit(limit.name.as_str()).await?;
        }
        Ok(true)
    }

    /// For routers: lets the ids of runs go, as the event that started them has been acknowledged.
    #[doc(hidden)]
    pub async fn acknowledged(&self, queue: &QueueName, runs: &[JobId]) -> Result<(), Error> {
        for some in runs.chunks(1000) {
            let mut remove = redis::cmd("ZREM");
            remove.arg(self.keys(queue).get(QueueKey::routed));
            for run in some {
                remove.arg(run.as_str());
            }
            self.redis().command::<()>("ZREM", &remove).await?;
        }
        Ok(())
    }

    /// For routers and those who wait: puts an event's name on the list of names in use, once an hour for each process.
    #[doc(hidden)]
    pub async fn note_event_name(&self, name: &EventName) -> Result<(), Error> {
        let now = self.redis().now_ms();
        if !self.is_to_be_noted(name, now) {
            return Ok(());
        }
        let mut note = redis::cmd("HSET");
        note.arg(&self.registry_keys().event_names).arg(name.as_str()).arg(now);
        self.redis().command::<()>("HSET", &note).await?;
        self.was_noted(name, now);
        Ok(())
    }

    /// The names of events that were lately delivered or waited for.
    ///
    /// # Errors
    /// Errors of the connection.
    pub async fn event_names(&self) -> Result<Vec<EventName>, Error> {
        let mut keys = redis::cmd("HKEYS");
        keys.arg(&self.registry_keys().event_names);
        let mut names: Vec<String> = self.redis().command("HKEYS", &keys).await?;
        names.sort();
        Ok(names.into_iter().filter_map(|name| name.parse().ok()).collect())
    }
}
