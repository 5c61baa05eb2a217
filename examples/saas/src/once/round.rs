//! Everything once.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use ergate::{Client, RunHandle};
use jiff::Timestamp;
use serde_json::json;

use super::{
    OnceOptions, audit,
    findings::Findings,
    kills::Plan,
    story::{self, Scene, Start},
    tidy,
    workers::{Fleet, Setting},
};
use crate::{app::Places, functions::SCHEDULED, ledger::Ledger, partners::Server, steps::Pace};

/// As many as a machine for trying things has cores.
const WORKERS: usize = 2;
/// As a deployment has it.
const LEASE: Duration = Duration::from_secs(15);
/// Where workers are killed, so that what they held is soon given to another; but long enough for a machine that stutters.
const SHORT_LEASE: Duration = Duration::from_secs(3);

/// A run of the demonstration, in a folder and a namespace of its own: nothing of yours is touched.
#[derive(Debug)]
pub(crate) struct Round {
    places: Places,
    within: Duration,
    sleep_factor: f64,
    seed: Option<u64>,
}

/// A run that was started for a scene.
#[derive(Debug)]
pub(crate) struct Played {
    pub(crate) scene: Scene,
    pub(crate) run: RunHandle,
}

impl Round {
    pub(crate) fn new(places: &Places, options: &OnceOptions, seed: Option<u64>) -> anyhow::Result<Self> {
        let stamp = Timestamp::now().strftime("%Y%m%d-%H%M%S").to_string();
        let seeded = seed.map(|seed| format!("-{seed}")).unwrap_or_default();
        let data = places.data.join(format!("once-{stamp}{seeded}"));
        fs::create_dir_all(&data).with_context(|| format!("folder {}", data.display()))?;
        let namespace = format!("saas-once-{stamp}-{}{seeded}", std::process::id());
        let places = Places { data: data.canonicalize()?, namespace, ..places.clone() };
        Ok(Self { places, within: options.within, sleep_factor: options.sleep_factor, seed })
    }

    /// Starts everything, kills workers if there is a seed, and looks at what came of it.
    pub(crate) async fn play(&self) -> anyhow::Result<Findings> {
        let begun = Instant::now();
        let client = self.places.client().await?;
        let partners = Server::start().await?;
        let app = self.places.open(&partners.url, Pace::REAL).await?;
        app.database.seed(Timestamp::now()).await?;
        refuses_what_lacks_a_field(&client).await?;

        let lease = if self.seed.is_some() { SHORT_LEASE } else { LEASE };
        let setting = Setting { lease, sleep_factor: self.sleep_factor, partners: partners.url.clone() };
        let mut fleet = Fleet::start(&self.places, setting, WORKERS)?;
        self.until("the workers are listed", async || Ok(fleet.are_listed(&client).await?.then_some(())))
            .await?;
        self.hold_schedules(&client).await?;

        let (first, second) = (story::first(Timestamp::now()), story::second());
        let bodies = first.iter().chain(&second).map(|scene| scene.bodies().count()).sum::<usize>();
        let kills = Plan::of_seed(self.seed.unwrap_or_default(), 2 * bodies);
        let plot = async {
            let mut played = self.act(&client, first).await?;
            app.database.seed_sessions("second", Timestamp::now()).await?;
            partners.payments_are_down(true);
            played.extend(self.act(&client, second).await?);
            anyhow::Ok(played)
        };
        let trouble = async {
            match self.seed {
                Some(_) => kills.carry_out(&self.places.ledger(), &mut fleet).await,
                None => std::future::pending().await,
            }
        };
        let played = tokio::select! {
            played = plot => played?,
            trouble = trouble => bail!(trouble.err().unwrap_or_else(|| anyhow::anyhow!("the kills ended"))),
        };
        // One that was started a moment ago could not yet be told to stop in order.
        self.until("the workers are listed", async || Ok(fleet.are_listed(&client).await?.then_some(())))
            .await?;
        fleet.stop().await?;

        let ledger = Ledger::read(&self.places.ledger())?;
        audit::audit(&app, &self.places, &played, &ledger, &fleet.losses()?, begun.elapsed()).await
    }

    /// Leaves nothing behind in Redis, and if all was well nothing on the disk.
    pub(crate) async fn tidy(&self, remove: bool) -> anyhow::Result<()> {
        tidy::forget(&self.places.client().await?).await?;
        if remove { tidy::remove(&self.places.data) } else { Ok(()) }
    }

    /// Keeps the schedules from coming by themselves; they can be run by hand all the same.
    async fn hold_schedules(&self, client: &Client) -> anyhow::Result<()> {
        for name in SCHEDULED {
            let schedule = client.schedule(name)?;
            self.until("its schedule is declared", async || match schedule.pause().await {
                Ok(()) => Ok(Some(())),
                Err(ergate::Error::NoSchedule { .. }) => Ok(None),
                Err(error) => Err(error.into()),
            })
            .await?;
        }
        Ok(())
    }

    /// Starts all scenes and waits until each has ended.
    async fn act(&self, client: &Client, scenes: Vec<Scene>) -> anyhow::Result<Vec<Played>> {
        let mut sent = Vec::new();
        for scene in &scenes {
            sent.push(match &scene.start {
                Start::Event(name, data) => Ok(client.send_raw(name, data.clone()).await?.id),
                Start::Schedule => Err(client.schedule(scene.function)?.run_now().await?.id),
            });
        }
        let mut played = Vec::new();
        for (scene, sent) in scenes.into_iter().zip(sent) {
            let id = match sent {
                Err(run) => run,
                Ok(event) => {
                    self.until("an event is delivered", async || {
                        let started = client.event(&event).await?.started;
                        Ok(started.and_then(|started| Some(started.runs.first()?.run.clone())))
                    })
                    .await?
                }
            };
            played.push(Played { run: client.run(scene.function, id.as_str())?, scene });
        }
        for Played { run, .. } in &played {
            run.job().ended(self.within).await?;
        }
        Ok(played)
    }

    /// Asks again until there is an answer.
    async fn until<T>(
        &self,
        what: &str,
        mut look: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        let begun = Instant::now();
        while begun.elapsed() < self.within {
            if let Some(found) = look().await? {
                return Ok(found);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bail!("gave up after {:?}: {what}", self.within)
    }
}

/// An event without a required field does not even reach Redis.
async fn refuses_what_lacks_a_field(client: &Client) -> anyhow::Result<()> {
    let data = json!({ "tripId": "t1", "driverId": "bob", "destination": "Delft" });
    let refused = client.send_raw("trip/confirmed", data).await.map_err(|error| error.to_string());
    ensure!(
        refused.as_ref().is_err_and(|error| error.contains("\"passengerId\" is a required property")),
        "an event without a passenger was to be refused, and got {refused:?}"
    );
    Ok(())
}
