//! What the functions work with, and where that comes from.

use std::{fs, path::PathBuf};

use anyhow::Context;
use ergate::{Client, Namespace, Step};

use crate::{
    database::Database,
    events,
    ledger::Ledger,
    mail::Mailer,
    partners::Partners,
    pdf::Files,
    steps::{Pace, Steps},
};

/// The state of all functions: cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) database: Database,
    pub(crate) mailer: Mailer,
    pub(crate) files: Files,
    pub(crate) partners: Partners,
    ledger: Ledger,
    pace: Pace,
}

/// Where everything is. Every flag is an environment variable too.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Places {
    /// Redis or Valkey.
    #[arg(
        long,
        global = true,
        env = "REDIS_URL",
        default_value = "redis://127.0.0.1:6379",
        hide_env_values = true
    )]
    pub(crate) redis_url: String,

    /// What all keys in Redis begin with.
    #[arg(long, global = true, env = "ERGATE_NAMESPACE", default_value = "ergate")]
    pub(crate) namespace: String,

    /// The folder of the database, files, mail and ledger.
    #[arg(long, global = true, env = "SAAS_DATA", default_value = ".ergate/demo/saas")]
    pub(crate) data: PathBuf,
}

impl Places {
    /// A client that knows what the data of each event must be like.
    pub(crate) async fn client(&self) -> anyhow::Result<Client> {
        let namespace = Namespace::new(self.namespace.clone())?;
        let client = Client::builder().namespace(namespace).connect(&self.redis_url).await?;
        events::check_all(&client)?;
        Ok(client)
    }

    /// Opens everything but Redis.
    pub(crate) async fn open(&self, partners: &str, pace: Pace) -> anyhow::Result<App> {
        fs::create_dir_all(&self.data).with_context(|| format!("folder {}", self.data.display()))?;
        let data = self.data.canonicalize()?;
        Ok(App {
            database: Database::open(&data).await?,
            mailer: Mailer::folder(self.mail())?,
            files: Files::folder(data.join("files"))?,
            partners: Partners::at(partners)?,
            ledger: Ledger::open(&self.ledger())?,
            pace,
        })
    }

    pub(crate) fn mail(&self) -> PathBuf {
        self.data.join("mail")
    }

    pub(crate) fn ledger(&self) -> PathBuf {
        self.data.join("ledger.jsonl")
    }
}

impl App {
    /// The steps of a run, noted in the ledger.
    pub(crate) fn steps(&self, step: Step) -> Steps {
        Steps::new(step, self.ledger.clone(), self.pace)
    }
}
