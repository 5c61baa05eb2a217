//! What the service's parts work with, and where that comes from.

use std::{fs, path::PathBuf};

use anyhow::Context;
use ergate::{Client, Namespace};

use crate::{database::Database, mail::Mailer, storage::Storage};

/// The state of handlers and of the API: cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) database: Database,
    pub(crate) storage: Storage,
    pub(crate) mailer: Mailer,
    /// What links in mails begin with.
    pub(crate) base_url: String,
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

    /// The folder of the database, and of files and mail unless those go elsewhere.
    #[arg(long, global = true, env = "AUDIT_LOG_DATA", default_value = ".ergate/demo/service")]
    pub(crate) data: PathBuf,

    /// Where exports go: a folder, or s3://bucket/prefix with the usual AWS_ variables. Default: DATA/files.
    #[arg(long, global = true, env = "STORAGE_URL")]
    pub(crate) storage_url: Option<String>,

    /// Where mail goes, such as `smtps://user:password@host`. Default: files in DATA/mail.
    #[arg(long, global = true, env = "SMTP_URL", hide_env_values = true)]
    pub(crate) smtp_url: Option<String>,

    /// The sender of mail.
    #[arg(long, global = true, env = "MAIL_FROM", default_value = "Exports <exports@acme.example>")]
    pub(crate) mail_from: String,

    /// What links in mails begin with, if that is not where the API listens.
    #[arg(long, global = true, env = "BASE_URL")]
    pub(crate) base_url: Option<String>,
}

impl Places {
    pub(crate) async fn client(&self) -> anyhow::Result<Client> {
        let namespace = Namespace::new(self.namespace.clone())?;
        Ok(Client::builder().namespace(namespace).connect(&self.redis_url).await?)
    }

    /// Opens everything but Redis; `listening` is where the API answers.
    pub(crate) async fn open(&self, listening: &str) -> anyhow::Result<App> {
        fs::create_dir_all(&self.data).with_context(|| format!("folder {}", self.data.display()))?;
        let storage = match &self.storage_url {
            Some(url) => Storage::open(url)?,
            None => Storage::open(&self.files().to_string_lossy())?,
        };
        let mailer = match &self.smtp_url {
            Some(url) => Mailer::smtp(&self.mail_from, url)?,
            None => Mailer::folder(&self.mail_from, self.mail())?,
        };
        Ok(App {
            database: Database::open(&self.data.join("service.db")).await?,
            storage,
            mailer,
            base_url: self.base_url.clone().unwrap_or_else(|| listening.to_owned()),
        })
    }

    /// The folder of exports, unless they go elsewhere.
    pub(crate) fn files(&self) -> PathBuf {
        self.data.join("files")
    }

    /// The folder of mail, unless it goes elsewhere.
    pub(crate) fn mail(&self) -> PathBuf {
        self.data.join("mail")
    }
}

impl App {
    /// Where a user gets the file of an export.
    pub(crate) fn link(&self, id: &str) -> String {
        format!("{}/exports/{id}/download", self.base_url)
    }
}
