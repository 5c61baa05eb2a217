//! Replays a recorded run against the code of today, to see whether it still goes the way the run went.

use std::{
    error, fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ergate_client::{Client, Enqueue};
use ergate_shared::{
    EventRecord, FunctionName, JobId, QueueName, Tries,
    run::{Entry, Journal, Op, RecordedRun, RunState},
};

use super::Setting;
use crate::{
    Failure, Function,
    run::{Boxed, Instead, Recorded, Store, Write},
};

/// A recorded run and the code that is to take the same way. No body is run, and nothing is sent or enqueued.
///
/// ```no_run
/// # use ergate_shared::{Event, run::RecordedRun};
/// # use ergate_worker::{Function, Result, Step, testing::Replay};
/// # #[derive(serde::Serialize, serde::Deserialize)] struct SignedUp { email: String }
/// # impl Event for SignedUp { const NAME: &str = "user/signed-up"; }
/// # async fn onboard(event: SignedUp, step: Step) -> Result<()> { Ok(()) }
/// # async fn example() -> anyhow::Result<()> {
/// // ergate run trace onboard <id> --json > tests/onboard.json
/// let run = RecordedRun::from_json(&std::fs::read_to_string("tests/onboard.json")?)?;
///
/// Replay::of(Function::new("onboard", onboard), (), run).check().await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is replayed until `check` is awaited"]
pub struct Replay<S> {
    function: Function<S>,
    state: S,
    run: RecordedRun,
}

impl<S> fmt::Debug for Replay<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay")
            .field("function", &self.function)
            .field("run", &self.run.id)
            .finish_non_exhaustive()
    }
}

impl<S: Send + Sync + 'static> Replay<S> {
    /// Of this run, by this function, with the state a worker would have.
    pub fn of(function: Function<S>, state: S, run: RecordedRun) -> Self {
        Self { function, state, run }
    }

    /// Calls the function over the run's journal.
    ///
    /// Steps are known by their names: an order that changed is no divergence, as it makes no difference to a run. A run that
    /// had not ended may ask for more than it has recorded, and one that had ended may not.
    ///
    /// # Errors
    /// The first divergence.
    ///
    /// # Panics
    /// If the function is not declared well.
    pub async fn check(self) -> Result<(), Divergence> {
        let problems = self.function.problems();
        assert!(problems.is_empty(), "{}", problems.join("; "));
        let Self { function, state, run } = self;
        let name = FunctionName::new(function.name().to_owned()).expect("it was checked");
        // One that was cancelled was cut off wherever it was, as one that is under way.
        let ended = matches!(run.state, RunState::Completed | RunState::Failed);
        let recording = Recording::of(&run, ended);
        let setting = Setting {
            client: Client::recording().0,
            name,
            id: run.id.clone(),
            input: run.input,
            started_at: run.started_at,
        };
        let (code, defaults) = function.into_code(&Arc::new(state));
        let context = setting.context(&defaults, Tries::default(), recording.known());
        let outcome = code(context, Box::new(recording.clone())).await;

        let (expected, asked) = recording.differences();
        let failed = outcome.err().filter(|failure| !failure.is_suspension());
        let may_fail = matches!(run.state, RunState::Failed | RunState::Cancelled);
        let why = failed.filter(|_| !may_fail).map(|failure| failure.to_string());
        let asked = asked.filter(|_| ended || expected.is_some());
        if expected.is_none() && asked.is_none() && why.is_none() {
            return Ok(());
        }
        Err(Divergence { expected, asked, why })
    }
}

/// Where the code of today leaves the way that a recorded run took.
#[derive(Clone, PartialEq, Eq)]
pub struct Divergence {
    expected: Option<String>,
    asked: Option<String>,
    why: Option<String>,
}

impl Divergence {
    /// The first step of the journal that the code does not ask for; `None` if it asks for all of them.
    pub fn expected(&self) -> Option<&str> {
        self.expected.as_deref()
    }

    /// The first step the code asks for that is not in the journal; `None` if it asks for no such step.
    pub fn asked(&self) -> Option<&str> {
        self.asked.as_deref()
    }
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.expected {
            Some(expected) => write!(f, "the journal goes on with step {expected}, ")?,
            None => f.write_str("the run had ended here, ")?,
        }
        match (&self.asked, &self.why) {
            (Some(asked), _) => write!(f, "the code asks for step {asked}"),
            (None, Some(why)) => write!(f, "the code fails: {why}"),
            (None, None) => f.write_str("the code has returned"),
        }
    }
}

/// As it is displayed, so that `unwrap` in a test says it in a sentence.
impl fmt::Debug for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl error::Error for Divergence {}

/// A recorded journal. What the code adds to it is forgotten afterwards.
#[derive(Clone)]
struct Recording {
    entries: Arc<[String]>,
    /// Its steps, in the order in which they began.
    steps: Arc<[String]>,
    now: u64,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Recording {
    fn of(run: &RecordedRun, ended: bool) -> Self {
        let mut journal = Journal::default();
        for entry in &run.entries {
            journal.append(entry.clone(), 0);
        }
        let mut steps: Vec<String> = Vec::new();
        for entry in journal.entries() {
            if !entry.step.is_empty() && !steps.contains(&entry.step) {
                steps.push(entry.step.clone());
            }
        }
        Self {
            entries: run.entries.iter().map(Entry::to_json).collect(),
            steps: steps.into(),
            now: latest(&run.entries, run.started_at, ended),
            asked: Arc::default(),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Vec<String>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> u32 {
        u32::try_from(self.entries.len()).unwrap_or(u32::MAX)
    }

    /// The first step that was not asked for, and the first that was and is not there.
    fn differences(&self) -> (Option<String>, Option<String>) {
        let asked = self.seen();
        let expected = self.steps.iter().find(|step| !asked.contains(step)).cloned();
        let new = asked.iter().find(|step| !self.steps.contains(step)).cloned();
        (expected, new)
    }
}

/// When the recording ends. The sleeps of a run that has ended are over, even the last one, after which nothing was written.
fn latest(entries: &[Entry], started_at: u64, ended: bool) -> u64 {
    let over = |entry: &Entry| match entry.op {
        Op::Sleep { due } if ended => due.max(entry.at),
        _ => entry.at,
    };
    entries.iter().map(over).fold(started_at, u64::max)
}

impl Store for Recording {
    fn now_ms(&self) -> u64 {
        self.now
    }

    fn worker(&self) -> String {
        "replay".to_owned()
    }

    fn load(&self) -> Boxed<'_, Result<Vec<String>, Failure>> {
        Box::pin(async { Ok(self.entries.to_vec()) })
    }

    fn record(&self, known: u32, writes: &[Write]) -> Boxed<'static, Recorded> {
        let numbers = (known + 1..).take(writes.len()).collect();
        Box::pin(async move { Recorded { unknown: Vec::new(), before: known, numbers } })
    }

    fn register<'a>(&'a self, _: u32, _: &'a Op) -> Boxed<'a, Result<Option<EventRecord>, Failure>> {
        Box::pin(async { Ok(None) })
    }

    fn start<'a>(
        &'a self,
        _: u32,
        _: &'a QueueName,
        _: &'a JobId,
        _: Enqueue,
    ) -> Boxed<'a, Result<(), Failure>> {
        Box::pin(async { Ok(()) })
    }

    fn instead(&self, _: &str) -> Option<Instead> {
        Some(Instead::Wait)
    }

    fn asked(&self, step: &str) {
        self.seen().push(step.to_owned());
    }
}
