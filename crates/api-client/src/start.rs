//! Starting a run: whoever does it, an event, a schedule or a caller, the options of its function are applied here.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use ergate_shared::{FunctionName, FunctionSpec, RunInput, function::StartRules};
use tokio::sync::Mutex;

use crate::{Client, Enqueue, Error};

/// How long what was read of the registry is taken for granted by those who start runs by hand. A function that is not in it
/// is looked for anew.
const KNOWN_FOR: Duration = Duration::from_secs(1);

/// The registry of functions as it was last read.
#[derive(Debug, Default)]
pub(crate) struct KnownFunctions {
    read: Mutex<Option<(Instant, Functions)>>,
}

type Functions = Arc<BTreeMap<FunctionName, FunctionSpec>>;

impl KnownFunctions {
    /// What is declared of a function; one caller reads for all that come meanwhile.
    async fn get(&self, client: &Client, name: &FunctionName) -> Result<Option<FunctionSpec>, Error> {
        let mut read = self.read.lock().await;
        if let Some((at, known)) = &*read
            && at.elapsed() < KNOWN_FOR
            && let Some(spec) = known.get(name)
        {
            return Ok(Some(spec.clone()));
        }
        let known: Functions = Arc::new(client.functions().await?);
        let spec = known.get(name).cloned();
        *read = Some((Instant::now(), known));
        Ok(spec)
    }
}

impl Client {
    /// Starts a run of a function with this input: `.await` what it returns, after setting options if need be. What the function
    /// declares is applied, as the registry has it then.
    ///
    /// [`invoke`](Self::invoke) does so with data of one's own.
    pub fn start(&self, function: &FunctionName, input: &RunInput) -> Enqueue {
        Enqueue::run(self, Ok(function.clone()), serde_json::to_vec(input))
    }

    /// For routers: starts a run by rules that were found already.
    #[doc(hidden)]
    pub fn start_by(&self, spec: &FunctionSpec, rules: StartRules, input: &RunInput) -> Enqueue {
        let mut start = self.start(&spec.name, input);
        start.function = None;
        start.by_rules(spec, rules)
    }
}

impl Enqueue {
    /// Applies what the function declares, if it is a run that starts.
    pub(crate) async fn prepared(mut self) -> Result<Self, Error> {
        let Some(function) = self.function.take() else { return Ok(self) };
        let client = self.client().clone();
        let Some(spec) = client.known_functions().get(&client, &function).await? else { return Ok(self) };
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
            tracing::warn!(%function, problem, "an option of a function counts as null for this run");
        }
        Ok(self.with_payload(&input).by_rules(&spec, rules))
    }

    fn by_rules(mut self, spec: &FunctionSpec, rules: StartRules) -> Self {
        self = self.in_queue(spec.queue()).option_keys(rules.keys);
        if let Some(ms) = rules.expires_ms {
            self = self.expires_in(Duration::from_millis(ms));
        }
        self
    }
}
