//! Mail, as real messages in a folder.
//!
//! A message's key is its id and its file's name: one that is sent again under the same key, as by a step that is done again
//! after a crash, replaces the first.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use lettre::{
    Message,
    message::{Mailbox, header::ContentType},
};

/// A handle on the way out: cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Mailer {
    folder: PathBuf,
}

/// What is sent.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    /// Unique to what the mail is about, not to the attempt.
    pub(crate) key: String,
    pub(crate) to: String,
    pub(crate) subject: String,
    pub(crate) text: String,
}

/// Mails that are always written alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Template {
    Welcome,
    GettingStartedTips,
    Reengagement,
    Campaign,
}

impl Template {
    fn name(self) -> &'static str {
        match self {
            Self::Welcome => "welcome",
            Self::GettingStartedTips => "getting-started-tips",
            Self::Reengagement => "reengagement",
            Self::Campaign => "campaign",
        }
    }

    fn subject(self) -> &'static str {
        match self {
            Self::Welcome => "Welcome to Acme",
            Self::GettingStartedTips => "Five things to try first",
            Self::Reengagement => "Can we help you get started?",
            Self::Campaign => "What is new at Acme",
        }
    }

    fn text(self, name: &str) -> String {
        let body = match self {
            Self::Welcome => "Your account is ready. We are glad that you are here.",
            Self::GettingStartedTips => {
                "Invite your team, connect your first integration, and have a report made."
            }
            Self::Reengagement => {
                "You have not been back for a while. Answer this mail, and somebody will help you."
            }
            Self::Campaign => "Reports are twice as fast, and trips can be shared.",
        };
        format!("Hello {name},\n\n{body}\n\nAcme\n")
    }

    /// The letter to somebody.
    pub(crate) fn letter(self, key: String, to: &str, name: &str) -> Letter {
        Letter {
            key,
            to: to.to_owned(),
            subject: self.subject().to_owned(),
            text: format!("{}\n-- \ntemplate: {}\n", self.text(name), self.name()),
        }
    }
}

impl Mailer {
    /// Writes each message to `<folder>/<key>.eml`.
    pub(crate) fn folder(folder: PathBuf) -> anyhow::Result<Self> {
        fs::create_dir_all(&folder).with_context(|| format!("mail in the folder {}", folder.display()))?;
        Ok(Self { folder })
    }

    /// Sends a message.
    pub(crate) async fn send(&self, letter: Letter) -> anyhow::Result<()> {
        let name = letter.key.replace('/', ".");
        let message = Message::builder()
            .from(mailbox("Acme <hello@acme.example>")?)
            .to(mailbox(&letter.to)?)
            .subject(letter.subject)
            .message_id(Some(format!("<{name}@acme.example>")))
            .header(ContentType::TEXT_PLAIN)
            .body(letter.text)
            .with_context(|| format!("writing mail {name}"))?;
        let (draft, path) = (self.folder.join(format!(".{name}")), self.folder.join(format!("{name}.eml")));
        // Half a message is never seen, even if this process dies while it writes.
        tokio::fs::write(&draft, message.formatted()).await?;
        tokio::fs::rename(&draft, &path).await.with_context(|| format!("mail to {}", path.display()))
    }
}

/// All messages of a folder, by file name without ending, in order.
pub(crate) fn messages(folder: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let mut messages = Vec::new();
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        if path.extension().is_some_and(|ending| ending == "eml") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            messages.push((name, fs::read_to_string(&path)?));
        }
    }
    messages.sort();
    Ok(messages)
}

fn mailbox(address: &str) -> anyhow::Result<Mailbox> {
    address.parse().with_context(|| format!("mail address {address:?}"))
}
