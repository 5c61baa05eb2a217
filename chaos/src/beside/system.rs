//! The programs of the systems that are put side by side, and how their workers are set up.

use std::{process::Command, time::Duration};

use anyhow::{Context as _, bail};
use beside::{About, Found};
use serde::de::DeserializeOwned;

/// A system: a name and a program.
#[derive(Debug, Clone)]
pub struct System {
    /// As tables head its column.
    pub name: String,
    /// What its program says of it.
    pub about: About,
    program: String,
}

/// How workers are set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// As the system sets itself up.
    Defaults,
    /// All with the same lease.
    Lease(Duration),
}

impl Setting {
    /// As tables name it.
    pub fn name(self) -> String {
        match self {
            Self::Defaults => "defaults".to_owned(),
            Self::Lease(lease) => format!("lease {} s", lease.as_secs()),
        }
    }

    /// The lease of this system's workers.
    pub fn lease(self, system: &System) -> Duration {
        match self {
            Self::Defaults => Duration::from_millis(system.about.lease_ms),
            Self::Lease(lease) => lease,
        }
    }

    /// How long the driver waits for anything before it notes that it was not seen; the same for all systems.
    pub fn patience(self) -> Duration {
        match self {
            Self::Defaults => Duration::from_secs(150),
            Self::Lease(lease) => 6 * lease + Duration::from_secs(30),
        }
    }

    /// How long a job that does not end is watched before its worker is killed; the same for all systems.
    pub fn watched(self) -> Duration {
        match self {
            Self::Defaults => Duration::from_secs(100),
            Self::Lease(lease) => 6 * lease,
        }
    }
}

impl System {
    /// Reads `NAME=PROGRAM`, and asks the program what it is.
    ///
    /// # Errors
    /// If it is not of this form, or the program does not say.
    pub fn read(text: &str) -> anyhow::Result<Self> {
        let Some((name, program)) = text.split_once('=') else { bail!("{text} is not NAME=PROGRAM") };
        let about = answer(Command::new(program).arg("about"))?;
        Ok(Self { name: name.to_owned(), about, program: program.to_owned() })
    }

    /// Adds jobs, and returns once all are acknowledged.
    ///
    /// # Errors
    /// What the program reports.
    pub async fn add(&self, redis: &str, ids: &[String], ticks: u32, panics: bool) -> anyhow::Result<()> {
        let mut command = Command::new(&self.program);
        let ids = ids.join(",");
        command.args(["add", "--redis", redis, "--ids", &ids, "--ticks", &ticks.to_string()]);
        if panics {
            command.arg("--panics");
        }
        tokio::task::spawn_blocking(move || output(&mut command).map(|_| ())).await?
    }

    /// Looks for the job of each id, in this order.
    ///
    /// # Errors
    /// What the program reports.
    pub async fn look(&self, redis: &str, ids: &[String]) -> anyhow::Result<Vec<Found>> {
        let mut command = Command::new(&self.program);
        command.args(["look", "--redis", redis, "--ids", &ids.join(",")]);
        tokio::task::spawn_blocking(move || answer(&mut command)).await?
    }

    /// How a worker is started.
    pub(crate) fn worker(&self, redis: &str, member: &str, slots: usize, setting: Setting) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["work", "--redis", redis, "--member", member, "--slots", &slots.to_string()]);
        if let Setting::Lease(lease) = setting {
            command.args(["--lease-ms", &lease.as_millis().to_string()]);
        }
        command
    }
}

fn answer<T: DeserializeOwned>(command: &mut Command) -> anyhow::Result<T> {
    Ok(serde_json::from_slice(&output(command)?)?)
}

fn output(command: &mut Command) -> anyhow::Result<Vec<u8>> {
    let ended = command.output().with_context(|| format!("{:?}", command.get_program()))?;
    if !ended.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&ended.stderr).trim());
    }
    Ok(ended.stdout)
}
