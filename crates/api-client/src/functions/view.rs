//! What is known of a function: what was declared, what its queue holds, who serves it.

use ergate_shared::{FunctionName, FunctionSpec, QueueName, ScheduleName, run::RunState, schedule::Target};
use serde_json::{Value, json};

use crate::{Client, Error, Queue, QueueStats, RunFilter, RunView, WorkerProcess};

/// Runs looked at in each state to find the last one.
const LATEST: usize = 1;

/// A function as it is known in Redis.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FunctionView {
    /// Its name.
    pub name: FunctionName,
    /// What a worker declared; `None` if none ever did, or this release cannot read it.
    pub spec: Option<FunctionSpec>,
    /// Its runs in numbers.
    pub stats: QueueStats,
    /// The schedules that start it, in order of name.
    pub schedules: Vec<ScheduleName>,
    /// Worker processes that serve it.
    pub workers: u64,
    /// The one started last of those that execute or ended last; `None` if there are none.
    pub last_run: Option<RunView>,
}

impl FunctionView {
    /// Whether it starts no runs and lets none go on.
    pub fn is_paused(&self) -> bool {
        self.stats.paused
    }

    /// Its runs that have not ended.
    pub fn going_on(&self) -> u64 {
        self.stats.ready + self.stats.scheduled + self.stats.leased
    }

    /// Everything as JSON, times in ms since the epoch.
    pub fn to_json(&self) -> Value {
        json!({
            "function": self.name,
            "spec": self.spec,
            "paused": self.is_paused(),
            "workers": self.workers,
            "schedules": self.schedules,
            "runs": {
                "ready": self.stats.ready, "scheduled": self.stats.scheduled, "running": self.stats.leased,
                "completed": self.stats.completed, "cancelled": self.stats.cancelled, "failed": self.stats.dead,
            },
            "queue": self.stats,
            "last_run": self.last_run.as_ref().map(RunView::to_json),
        })
    }
}

impl Client {
    /// All functions that were declared or ever had a run, in order of name.
    ///
    /// # Errors
    /// Errors of the connection.
    pub async fn function_views(&self) -> Result<Vec<FunctionView>, Error> {
        self.views_of(|_| true).await
    }

    /// One function; `None` if it was never declared and never had a run.
    ///
    /// # Errors
    /// Errors of the connection.
    pub async fn function_view(&self, name: &FunctionName) -> Result<Option<FunctionView>, Error> {
        Ok(self.views_of(|known| known == name).await?.pop())
    }

    async fn views_of(&self, meant: impl Fn(&FunctionName) -> bool) -> Result<Vec<FunctionView>, Error> {
        let declared = self.functions().await?;
        let queues = self.queues().await?;
        let mut names: Vec<FunctionName> = queues.iter().filter_map(FunctionName::of_queue).collect();
        names.extend(declared.keys().cloned());
        names.retain(meant);
        names.sort();
        names.dedup();
        let (workers, schedules) = tokio::try_join!(self.workers(), self.schedules())?;
        let started: Vec<_> = schedules
            .into_iter()
            .filter_map(|schedule| match schedule.spec.target {
                Target::Function(function) => Some((function, schedule.name)),
                Target::Job(_) => None,
            })
            .collect();
        let views = names.into_iter().map(|name| {
            let (workers, started, spec) = (&workers, &started, declared.get(&name).cloned());
            async move {
                let queue = Queue::new(self.clone(), name.queue());
                let (stats, last_run) = tokio::try_join!(queue.stats(), self.last_run(&name))?;
                let schedules =
                    started.iter().filter(|(function, _)| *function == name).map(|(_, name)| name.clone());
                Ok::<_, Error>(FunctionView {
                    workers: serving(workers, queue.name()),
                    schedules: schedules.collect(),
                    spec,
                    stats,
                    last_run,
                    name,
                })
            }
        });
        futures_util::future::try_join_all(views).await
    }

    async fn last_run(&self, function: &FunctionName) -> Result<Option<RunView>, Error> {
        let states = [RunState::Running, RunState::Completed, RunState::Failed, RunState::Cancelled];
        let pages = states.map(|state| {
            let runs = self.runs(RunFilter::default().function(function.clone()).state(state));
            async move { runs.page(None, LATEST).await }
        });
        let pages = futures_util::future::try_join_all(pages).await?;
        Ok(pages.into_iter().flat_map(|page| page.items).max_by_key(|run| run.started_at))
    }
}

fn serving(workers: &[WorkerProcess], queue: &QueueName) -> u64 {
    workers.iter().filter(|worker| worker.queues.iter().any(|slots| slots.queue == *queue)).count() as u64
}
