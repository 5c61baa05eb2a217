//! The scenarios, by name: each fault alone, then mixtures.

use std::{pin::Pin, sync::Arc, time::Duration};

use crate::{report::Outcome, stage::Plan};

mod every_script;
mod memory;
mod mixtures;
mod needed;
mod network;
mod servers;
mod single;
mod topology;
mod workers;

/// How large plays are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Some seconds.
    Quick,
    /// Half a minute and more.
    Full,
}

impl Scale {
    /// A plan of this size, to be changed.
    pub fn plan(self) -> Plan {
        match self {
            Self::Quick => Plan::default(),
            Self::Full => Plan {
                jobs: 1500,
                orders: 200,
                over: Duration::from_secs(30),
                strikes: 12,
                ..Plan::default()
            },
        }
    }
}

type Play = Pin<Box<dyn Future<Output = Outcome>>>;

/// A scenario: something to play with any seed.
#[derive(Clone)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// What happens in it, in a sentence.
    pub about: &'static str,
    /// Whether it is among those of a quick run.
    pub quick: bool,
    play: Arc<dyn Fn(Scale, u64) -> Play + Send + Sync>,
}

impl std::fmt::Debug for Scenario {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scenario").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Scenario {
    /// A scenario that is played by `play`, given the scale and the seed.
    pub fn new<F: Future<Output = Outcome> + 'static>(
        name: &'static str,
        about: &'static str,
        play: impl Fn(Scale, u64) -> F + Send + Sync + 'static,
    ) -> Self {
        Self { name, about, quick: true, play: Arc::new(move |scale, seed| Box::pin(play(scale, seed))) }
    }

    /// The same, but not part of a quick run.
    pub fn only_in_full(mut self) -> Self {
        self.quick = false;
        self
    }

    /// Plays it, on a thread and a runtime of its own: plays at the same time do not hold each other up, and a panic in one is
    /// an outcome like others.
    pub async fn play(&self, scale: Scale, seed: u64) -> Outcome {
        let play = Arc::clone(&self.play);
        let played = tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            std::io::Result::Ok(runtime.block_on(play(scale, seed)))
        });
        let mut outcome = match played.await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => Outcome::broken(seed, format!("the play could not begin: {error}")),
            Err(error) => Outcome::broken(seed, format!("the play broke off: {error}")),
        };
        self.name.clone_into(&mut outcome.scenario);
        outcome
    }
}

/// All scenarios; first those that take longest, so that they do not go on alone at the end.
pub fn all() -> Vec<Scenario> {
    [
        every_script::all(),
        memory::all(),
        workers::all(),
        servers::all(),
        network::all(),
        needed::all(),
        topology::all(),
        mixtures::all(),
    ]
    .concat()
}
