//! `email.send`: sends a mail message through a mail server, or keeps it as a file where there is none.
//!
//! Its message id is made of the job's id, so a mail that was sent twice, because a worker died between sending and saying
//! so, is one mail to servers and readers.

mod connections;
mod folder;
mod message;
mod smtp;
mod tls;

use std::{fmt, path::PathBuf, str::FromStr, sync::Arc};

use ergate_shared::stock::SendEmail;
use serde::Serialize;

use connections::Connections;
use message::{Identity, compose};
pub use smtp::SmtpServer;

use crate::{Context, Failure, Result, State};

/// Who files are from when nobody says.
const NOBODY: &str = "ergate@localhost";

/// How mail is sent.
#[derive(Debug, Clone)]
pub struct MailRules {
    /// Through which server; default none: mail is kept as files.
    pub smtp: Option<SmtpServer>,
    /// Who mail is from unless a job says so.
    pub from: Option<Mailbox>,
    /// Where files go.
    pub folder: PathBuf,
}

/// A mail address, with or without a name: `name@example.com`, `Name <name@example.com>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox(lettre::message::Mailbox);

impl Mailbox {
    /// Reads an address.
    ///
    /// # Errors
    /// If it is none.
    pub fn new(text: &str) -> Result<Self, String> {
        lettre::message::Mailbox::from_str(text).map(Self).map_err(|_| {
            format!("{text:?} is no mail address; write it like name@example.com or Name <name@example.com>")
        })
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Sends mail. Clones share connections.
#[derive(Debug, Clone)]
pub struct Mailer {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    smtp: Option<Connections>,
    from: Option<Mailbox>,
    folder: PathBuf,
}

/// What a completed `email.send` keeps.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Sent {
    message_id: String,
    /// What the server said.
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<String>,
    /// Where it is kept instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
}

impl Mailer {
    /// A mailer with these rules; it connects, or makes its folder, with the first mail.
    pub fn new(rules: &MailRules) -> Self {
        let smtp = rules.smtp.as_ref().map(SmtpServer::connections);
        Self { inner: Arc::new(Inner { smtp, from: rules.from.clone(), folder: rules.folder.clone() }) }
    }

    async fn send(&self, email: SendEmail, identity: Identity<'_>) -> Result<Sent> {
        let from = match (&email.from, &self.inner.from) {
            (Some(from), _) => Mailbox::new(from).map_err(Failure::fatal)?,
            (None, Some(from)) => from.clone(),
            (None, None) if self.inner.smtp.is_none() => Mailbox::new(NOBODY).map_err(Failure::fatal)?,
            (None, None) => {
                return Err(Failure::fatal(
                    "mail has no sender: give `from` in the job, or --mail-from to the worker",
                ));
            }
        };
        let (message, message_id) = compose(email, from, identity)?;
        match &self.inner.smtp {
            Some(smtp) => Ok(Sent { message_id, server: Some(smtp.send(message).await?), file: None }),
            None => {
                let file = folder::keep(&self.inner.folder, identity, message.formatted()).await?;
                Ok(Sent { message_id, server: None, file: Some(file.display().to_string()) })
            }
        }
    }
}

/// Performs `email.send`.
///
/// # Errors
/// Fatal if the message or an address of it is not valid, or the server refuses it for good; else it is tried again.
pub async fn send_email(email: SendEmail, State(mailer): State<Mailer>, context: Context) -> Result<Sent> {
    mailer.send(email, Identity { job: context.id().as_str(), queue: context.queue().as_str() }).await
}

#[cfg(test)]
mod tests;
