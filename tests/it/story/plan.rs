//! A durable function that does what the event says it starts with, on a board that says what works.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use ergate::{Metrics, RunHandle, prelude::*, run::RunState};

use super::{RunningWorker, Story};
use crate::support::until;

/// The function's name.
pub(crate) const PLAN: &str = "plan";

/// What a run does, in order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// Noted with each step.
    pub(crate) mark: String,
    pub(crate) acts: Vec<Do>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Do {
    /// A step; it fails for good if it is broken, and waits as long as it is closed.
    Step(String),
    /// A step whose failure does not end the run.
    Try(String),
    /// A step that fails this often before it works.
    Stumble(String, u32),
    Sleep(String, Duration),
    /// Waits for [`Go`].
    Listen(String),
}

impl Event for Plan {
    const NAME: &str = "story/plan";
}

/// What [`Do::Listen`] waits for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Go {
    pub(crate) word: String,
}

impl Event for Go {
    const NAME: &str = "story/go";
}

pub(crate) fn step(id: &str) -> Do {
    Do::Step(id.to_owned())
}

pub(crate) fn long_sleep(id: &str) -> Do {
    Do::Sleep(id.to_owned(), Duration::from_hours(24 * 300))
}

pub(crate) fn listen(id: &str) -> Do {
    Do::Listen(id.to_owned())
}

/// What was done, which steps are broken, and which must wait.
#[derive(Debug, Clone, Default)]
pub(crate) struct Board {
    inner: Arc<Mutex<Inner>>,
    changed: Arc<tokio::sync::Notify>,
}

#[derive(Debug, Default)]
struct Inner {
    did: Vec<String>,
    broken: BTreeSet<String>,
    closed: BTreeSet<String>,
}

impl Board {
    fn with<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let changed = change(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_waiters();
        changed
    }

    pub(crate) fn did(&self) -> Vec<String> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).did.clone()
    }

    pub(crate) fn break_step(&self, id: &str) {
        self.with(|inner| inner.broken.insert(id.to_owned()));
    }

    pub(crate) fn mend_all(&self) {
        self.with(|inner| inner.broken.clear());
    }

    pub(crate) fn close(&self, id: &str) {
        self.with(|inner| inner.closed.insert(id.to_owned()));
    }

    pub(crate) fn open_all(&self) {
        self.with(|inner| inner.closed.clear());
    }

    async fn step(self, id: String, mark: String) -> Result<String> {
        self.with(|inner| inner.did.push(format!("{id} {mark}")));
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let (is_closed, is_broken) = {
                let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
                (inner.closed.contains(&id), inner.broken.contains(&id))
            };
            if is_broken {
                return Err(Failure::fatal(format!("{id} is broken")));
            }
            if !is_closed {
                return Ok(mark);
            }
            changed.await;
        }
    }
}

async fn perform(plan: Plan, step: Step, State(board): State<Board>) -> Result<Vec<String>> {
    let mut said = Vec::new();
    for act in plan.acts {
        let mark = plan.mark.clone();
        match act {
            Do::Step(id) => said.push(step.run(id.clone(), board.clone().step(id, mark)).await?),
            Do::Try(id) => {
                let tried = step.run(id.clone(), board.clone().step(id, mark)).await;
                said.push(tried.unwrap_or_else(|_| "failed".to_owned()));
            }
            Do::Stumble(id, times) => {
                let work = async |attempt: ergate::StepAttempt| match attempt.number {
                    number if number <= times => Err(Failure::retry(format!("stumbled {number}"))),
                    _ => Ok(mark),
                };
                said.push(step.run_with(id, work).await?);
            }
            Do::Sleep(id, time) => step.sleep(id, time).await,
            Do::Listen(id) => {
                let go = step.wait_for::<Go>(id).await?;
                said.push(go.map_or_else(|| "never".to_owned(), |go| go.word));
            }
        }
    }
    Ok(said)
}

impl Story {
    /// A worker with [`PLAN`] and functions of other names that do the same.
    pub(crate) fn planner(&self, board: &Board, others: &[&str]) -> RunningWorker {
        self.planner_with(board, others, |function| function)
    }

    pub(crate) fn planner_with(
        &self,
        board: &Board,
        others: &[&str],
        options: impl Fn(Function<Board>) -> Function<Board>,
    ) -> RunningWorker {
        let metrics = Metrics::new();
        let worker = Worker::new(self.client.clone(), board.clone()).metrics(metrics.clone());
        let function = |name: &str| {
            options(Function::new(name, perform).backoff(Backoff::fixed(Duration::from_millis(5))))
        };
        let worker = [PLAN].iter().chain(others).fold(worker, |worker, name| worker.function(function(name)));
        RunningWorker::start(worker, metrics)
    }

    /// Starts a run of [`PLAN`].
    pub(crate) async fn run(&self, mark: &str, acts: impl Into<Vec<Do>>) -> RunHandle {
        self.run_of(PLAN, mark, acts).await
    }

    pub(crate) async fn run_of(&self, function: &str, mark: &str, acts: impl Into<Vec<Do>>) -> RunHandle {
        let plan = Plan { mark: mark.to_owned(), acts: acts.into() };
        let receipt = self.client.invoke(function, &plan).await.expect("redis takes the run");
        self.client.run(function, receipt.id.as_str()).expect("the names are valid")
    }
}

pub(crate) async fn until_run_is(run: &RunHandle, state: RunState) {
    until(&format!("run {} is {state}", run.id()), async || {
        run.state().await.expect("the run is there") == state
    })
    .await;
}
