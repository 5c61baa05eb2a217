//! Starting a run: whoever does it, an event, a schedule or a caller, the options of its function are applied here.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use ergate_shared::{
    FunctionName, FunctionSpec, Key, QueueName, RunInput,
    function::{Cancel, Gate, StartRules, Window},
};
use tokio::sync::Mutex;

use crate::{
    Client, Enqueue, Error, OnConflict, Receipt, coalesce::until_answered, insist::insist_after,
    link::DEADLINE,
};

/// How long what was read of the registry is taken for granted by those who start runs by hand. A function that is not in it
/// is looked for anew.
const KNOWN_FOR: Duration = Duration::from_secs(1);

/// The registry of functions as it was last read.
#[derive(Debug, Default)]
pub(crate) struct KnownFunctions {
    read: Mutex<Option<(Instant, Functions)>>,
}

type Functions = Arc<BTreeMap<FunctionName, FunctionSpec>>;
/// Which of the functions a name means.
type Which = for<'a> fn(&'a BTreeMap<FunctionName, FunctionSpec>, &FunctionName) -> Option<&'a FunctionSpec>;

impl KnownFunctions {
    /// What is declared of a function; one caller reads for all that come meanwhile. Who waits for that waits no longer than for Redis.
    async fn get(
        &self,
        client: &Client,
        name: &FunctionName,
        which: Which,
    ) -> Result<Option<FunctionSpec>, Error> {
        let (deadline, since) = (client.deadline(), Instant::now());
        let after = deadline.max(DEADLINE);
        let Ok(mut read) = tokio::time::timeout(after, self.read.lock()).await else {
            let what = "the registry of functions";
            return Err(Error::TimedOut { address: client.redis().address(), what, after });
        };
        if let Some((at, known)) = &*read
            && at.elapsed() < KNOWN_FOR
            && let Some(spec) = which(known, name)
        {
            return Ok(Some(spec.clone()));
        }
        let known: Functions = Arc::new(
            until_answered(deadline.saturating_sub(since.elapsed()), name, || client.functions()).await?,
        );
        let spec = which(&known, name).cloned();
        *read = Some((Instant::now(), known));
        Ok(spec)
    }
}

/// What options of a function say about the start of one run, beyond what every job may be told.
#[derive(Debug, Default)]
pub(crate) struct StartOptions {
    /// Keys that limits count it by.
    pub(crate) keys: Vec<Key>,
    /// Windows and batches, as `lua/lib/start.lua` reads them.
    pub(crate) rules: String,
    /// By how many ms it is moved ahead; `None` if its function has no priorities.
    pub(crate) ahead_ms: Option<i64>,
    /// Events that cancel it.
    pub(crate) cancels: Vec<Cancel>,
    /// Since when these count, and the run is said to be enqueued, in ms since the epoch; `None`: when it is.
    pub(crate) since: Option<u64>,
    /// When it is said to have been due, in ms since the epoch; `None`: when it is.
    pub(crate) due_at: Option<u64>,
    /// Whether, if it puts off another, the one that is due later is kept.
    pub(crate) newer: bool,
}

/// The version of a function that new runs get: the one that is named, else the highest.
pub(crate) fn newest<'a>(
    known: &'a BTreeMap<FunctionName, FunctionSpec>,
    name: &FunctionName,
) -> Option<&'a FunctionSpec> {
    if name.has_version() {
        return known.get(name);
    }
    known.values().filter(|spec| spec.name.base() == *name).max_by_key(|spec| spec.version)
}

/// The version of a function that has this very name, which is the first if it names none.
fn exactly<'a>(
    known: &'a BTreeMap<FunctionName, FunctionSpec>,
    name: &FunctionName,
) -> Option<&'a FunctionSpec> {
    known.get(name)
}

impl Client {
    /// Starts a run of a function with this input: `.await` what it returns, after setting options if need be. What the function
    /// declares is applied, as the registry has it then.
    ///
    /// [`invoke`](Self::invoke) does so with data of one's own.
    pub fn start(&self, function: &FunctionName, input: &RunInput) -> Enqueue {
        Enqueue::run(self, Ok(function.clone()), serde_json::to_vec(input))
    }

    /// For routers: starts a run by rules that were found already, for an event that came then, in ms since the epoch. Events that
    /// cancel the run are the router's to see to.
    #[doc(hidden)]
    pub fn start_by(&self, spec: &FunctionSpec, rules: StartRules, input: &RunInput, came: u64) -> Enqueue {
        let mut start = self.start(&spec.name, input);
        start.function = None;
        let mut start = start.by_rules(spec, rules, input);
        if !start.start.cancels.is_empty() {
            start.start.since = Some(came);
        }
        start
    }
}

impl Client {
    /// The queue of the version of a function that new runs get, if this is the queue of one that is declared.
    pub(crate) async fn newest_of(&self, queue: &QueueName) -> Result<Option<QueueName>, Error> {
        let Some(function) = FunctionName::of_queue(queue) else { return Ok(None) };
        Ok(self.known_functions().get(self, &function, newest).await?.map(|spec| spec.queue()))
    }
}

impl Enqueue {
    /// Applies what the function declares, if it is a run that starts.
    pub(crate) async fn prepared(self) -> Result<Self, Error> {
        match self.declared_function().await? {
            Some(spec) => {
                let mut prepared = self.by_options_of(&spec)?;
                prepared.keep_waits().await?;
                Ok(prepared)
            }
            None => Ok(self),
        }
    }

    /// Binds it to this queue; a run by the options of the version whose queue it is, whichever is the newest by now.
    pub(crate) async fn prepared_in(mut self, queue: &QueueName) -> Result<Self, Error> {
        self.function = self.function.and(FunctionName::of_queue(queue));
        let spec = match &self.function {
            Some(function) => self.client().known_functions().get(self.client(), function, exactly).await?,
            None => None,
        };
        let mut bound = self.bound_to(spec.as_ref(), queue)?;
        bound.keep_waits().await?;
        Ok(bound)
    }

    fn bound_to(self, spec: Option<&FunctionSpec>, queue: &QueueName) -> Result<Self, Error> {
        let mut bound = match spec {
            Some(spec) => self.by_options_of(spec)?,
            None => self,
        };
        bound.function = None;
        Ok(bound.in_queue(queue.clone()))
    }

    /// What is declared of the function, if it is a run whose options are not applied yet.
    pub(crate) async fn declared_function(&self) -> Result<Option<FunctionSpec>, Error> {
        match &self.function {
            Some(function) => self.client().known_functions().get(self.client(), function, newest).await,
            None => Ok(None),
        }
    }

    /// The same, of the version that is meant; tries until Redis answers.
    pub(crate) async fn insist_on_declared(&self, which: Which) -> Result<Option<FunctionSpec>, Error> {
        let Some(function) = &self.function else { return Ok(None) };
        loop {
            match self.client().known_functions().get(self.client(), function, which).await {
                Ok(spec) => return Ok(spec),
                Err(error) => insist_after(error).await?,
            }
        }
    }

    /// For the engine: the queue of the version of its function that is the newest now, if it is a run of one that is declared.
    #[doc(hidden)]
    pub async fn insist_on_newest(&self) -> Result<Option<QueueName>, Error> {
        Ok(self.insist_on_declared(newest).await?.map(|spec| spec.queue()))
    }

    /// For the engine: tries until Redis has taken it, into this queue; a run by the options of the version whose queue it is, whichever is
    /// the newest by now.
    #[doc(hidden)]
    pub async fn insist_in(mut self, queue: &QueueName) -> Result<Receipt, Error> {
        self.function = self.function.and(FunctionName::of_queue(queue));
        let spec = self.insist_on_declared(exactly).await?;
        self.bound_to(spec.as_ref(), queue)?.insist().await
    }

    pub(crate) fn by_options_of(mut self, spec: &FunctionSpec) -> Result<Self, Error> {
        self.function = None;
        if spec.options.is_empty() && spec.version == 1 {
            return Ok(self);
        }
        let Some(input) = self.input() else { return Ok(self) };
        let input = RunInput { version: spec.version, ..input };
        let rules = match input.events.first() {
            Some(event) => spec.options.rules(event)?,
            None => StartRules::default(),
        };
        for problem in &rules.problems {
            tracing::warn!(function = %spec.name, problem, "an option of a function counts as null for this run");
        }
        Ok(self.with_payload(&input).by_rules(spec, rules, &input))
    }

    /// Keeps the waits for events that cancel the run, before the run itself.
    pub(crate) async fn keep_waits(&mut self) -> Result<(), Error> {
        if self.start.cancels.is_empty() {
            return Ok(());
        }
        let client = self.client().clone();
        let since = client.redis().now_ms();
        let (queue, run) = self.named()?;
        let keep = || client.let_events_cancel(&queue, &run, &self.start.cancels, since);
        until_answered(client.deadline(), &run, keep).await?;
        self.start.since = Some(since);
        Ok(())
    }

    fn by_rules(mut self, spec: &FunctionSpec, rules: StartRules, input: &RunInput) -> Self {
        self = self.in_queue(spec.queue());
        if let Some(ms) = rules.expires_ms {
            self = self.expires_in(Duration::from_millis(ms));
        }
        // The event of a run that is put off may become another.
        let cancels = if matches!(rules.gate, Gate::Debounce { .. }) { Vec::new() } else { rules.cancels };
        let (keys, ahead_ms) = (rules.keys, rules.ahead_ms);
        self.start = StartOptions { keys, ahead_ms, cancels, ..StartOptions::default() };
        for Window { key, limit, period_ms } in &rules.windows {
            self.start.rules.push_str(&format!("\nwindow {limit} {period_ms} {key}"));
        }
        let event = input.events.first();
        match rules.gate {
            Gate::Open => self,
            // Somebody waits for the result of this very run.
            Gate::Debounce { .. } | Gate::Batch { .. } if self.has_parent() => self,
            Gate::Skip { key } => self.gated(key, OnConflict::Drop),
            Gate::Cancel { key } => self.gated(key, OnConflict::Cancel),
            Gate::Debounce { key, period_ms, most_ms } => {
                self.start.newer = true;
                self.start.due_at = event.map(|event| event.ts + period_ms);
                let debounced = self.delay(Duration::from_millis(period_ms)).gated(key, OnConflict::PutOff);
                match most_ms {
                    Some(most) => debounced.debounce_at_most(Duration::from_millis(most)),
                    None => debounced,
                }
            }
            Gate::Batch { key, size, timeout_ms } => {
                let event = serde_json::to_vec(&event).expect("an event is JSON");
                self.start.rules.push_str(&format!("\nbatch {size} {} {key}", event.len()));
                self.joining().delay(Duration::from_millis(timeout_ms))
            }
        }
    }
}
