//! What the functions' tests stand on: everything real but Redis, in a folder of its own.

use std::path::PathBuf;

use ergate::{Function, testing::TestRun};
use jiff::Timestamp;
use serde_json::Value;

use crate::{
    app::{App, Places},
    mail,
    partners::Server,
    steps::Pace,
};

/// Dropped, the folder is removed.
pub(crate) struct World {
    pub(crate) app: App,
    pub(crate) partners: Server,
    places: Places,
}

impl World {
    pub(crate) async fn new() -> Self {
        let data = std::env::temp_dir().join(format!("saas-{}", uuid::Uuid::new_v4().simple()));
        let places = Places { redis_url: String::new(), namespace: String::new(), data };
        let partners = Server::start().await.unwrap();
        let app = places.open(&partners.url, Pace::REAL).await.unwrap();
        app.database.seed(Timestamp::now()).await.unwrap();
        Self { app, partners, places }
    }

    /// A run of a function over this world.
    pub(crate) fn run(&self, function: Function<App>) -> TestRun<App> {
        TestRun::of(function, self.app.clone())
    }

    /// Whom mail went to and what it is about, sorted.
    pub(crate) fn mails(&self) -> Vec<String> {
        let header = |text: &str, name: &str| {
            text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned()
        };
        let messages = mail::messages(&self.places.mail()).unwrap();
        let mut mails: Vec<_> = messages
            .iter()
            .map(|(_, text)| format!("{}: {}", header(text, "To:"), header(text, "Subject:")))
            .collect();
        mails.sort();
        mails
    }

    /// Where a file is that a result names.
    pub(crate) fn file(url: &Value) -> PathBuf {
        PathBuf::from(url.as_str().unwrap().strip_prefix("file://").unwrap())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.places.data);
    }
}
