//! The scenes: what is done in each, and what is looked for.

use std::{path::PathBuf, pin::Pin, time::Instant};

use ergate_rig::RedisServer;

use super::{
    Setting, System,
    play::{Play, Played},
};
use crate::stalls::Stalls;

mod connection;
mod killed;
mod lost_lease;
mod panics;
mod restart;

type Acts = for<'a> fn(&'a mut Play) -> Pin<Box<dyn Future<Output = anyhow::Result<()>> + 'a>>;

/// One thing that goes wrong.
#[derive(Debug, Clone, Copy)]
pub struct Scene {
    /// Its name.
    pub name: &'static str,
    /// What is done, for people to read.
    pub about: &'static str,
    acts: Acts,
    appendonly: bool,
}

/// All scenes, in the order of the report.
pub fn all() -> Vec<Scene> {
    vec![
        Scene {
            name: "lost lease",
            about: lost_lease::ABOUT,
            acts: |play| Box::pin(lost_lease::acts(play)),
            appendonly: false,
        },
        Scene {
            name: "panicking handler",
            about: panics::ABOUT,
            acts: |play| Box::pin(panics::acts(play)),
            appendonly: false,
        },
        Scene {
            name: "dropped connection",
            about: connection::SHORT,
            acts: |play| Box::pin(connection::short(play)),
            appendonly: false,
        },
        Scene {
            name: "longer outage",
            about: connection::LONG,
            acts: |play| Box::pin(connection::long(play)),
            appendonly: false,
        },
        Scene {
            name: "redis restart",
            about: restart::ABOUT,
            acts: |play| Box::pin(restart::acts(play)),
            appendonly: true,
        },
        Scene {
            name: "worker killed",
            about: killed::ABOUT,
            acts: |play| Box::pin(killed::acts(play)),
            appendonly: false,
        },
    ]
}

impl Scene {
    /// Plays it on a server of its own.
    ///
    /// # Errors
    /// If something that has to come for the scene to go on does not come.
    pub async fn play(
        self,
        system: System,
        setting: Setting,
        seed: u64,
        logs: Option<PathBuf>,
    ) -> anyhow::Result<Played> {
        let (since, stalls) = (Instant::now(), Stalls::watch());
        let options = RedisServer::options();
        let server = if self.appendonly { options.appendonly_always() } else { options }.start().await;
        let mut play = Play::new(system, setting, server, seed, logs)?;
        (self.acts)(&mut play).await?;
        Ok(Played {
            scene: self.name.to_owned(),
            system: play.system.name.clone(),
            setting: setting.name(),
            seed,
            took_ms: u64::try_from(since.elapsed().as_millis())?,
            done: std::mem::take(&mut play.done),
            facts: std::mem::take(&mut play.facts),
            stall_ms: u64::try_from(stalls.worst().as_millis())?,
        })
    }
}
