//! Mail to users: files in a folder, or SMTP.
//!
//! A message has the id it is sent under, so that sending it again replaces the file, and a mail server that has seen it
//! may drop the second one.

use std::{fs, path::PathBuf};

use anyhow::Context;
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
};

/// A handle on the way out: cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Mailer {
    from: Mailbox,
    transport: Transport,
}

#[derive(Debug, Clone)]
enum Transport {
    Folder(PathBuf),
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
}

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Letter<'a> {
    /// Unique to what the mail is about, not to the attempt.
    pub(crate) id: &'a str,
    pub(crate) to: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) text: &'a str,
}

impl Mailer {
    /// Writes each message to `<folder>/<id>.eml`.
    pub(crate) fn folder(from: &str, folder: PathBuf) -> anyhow::Result<Self> {
        fs::create_dir_all(&folder).with_context(|| format!("mail in the folder {}", folder.display()))?;
        Ok(Self { from: mailbox(from)?, transport: Transport::Folder(folder) })
    }

    /// Sends through a server, such as `smtp://localhost:1025`, or `smtps://user:password@host` with the feature
    /// `smtp-tls`.
    pub(crate) fn smtp(from: &str, url: &str) -> anyhow::Result<Self> {
        Ok(Self { from: mailbox(from)?, transport: Transport::Smtp(server(url)?) })
    }

    /// Sends a message.
    pub(crate) async fn send(&self, letter: Letter<'_>) -> anyhow::Result<()> {
        let message = Message::builder()
            .from(self.from.clone())
            .to(mailbox(letter.to)?)
            .subject(letter.subject)
            .message_id(Some(format!("<{}@audit-log-export.example>", letter.id)))
            .header(ContentType::TEXT_PLAIN)
            .body(letter.text.to_owned())
            .with_context(|| format!("writing mail {}", letter.id))?;
        match &self.transport {
            Transport::Folder(folder) => {
                let (draft, path) =
                    (folder.join(format!(".{}", letter.id)), folder.join(format!("{}.eml", letter.id)));
                // Half a message is never seen, even if this process dies while it writes.
                tokio::fs::write(&draft, message.formatted()).await?;
                tokio::fs::rename(&draft, &path).await.with_context(|| format!("mail to {}", path.display()))
            }
            Transport::Smtp(transport) => {
                transport.send(message).await.map(drop).with_context(|| format!("mail to {}", letter.to))
            }
        }
    }
}

#[cfg(feature = "smtp-tls")]
fn server(url: &str) -> anyhow::Result<AsyncSmtpTransport<Tokio1Executor>> {
    let server = AsyncSmtpTransport::<Tokio1Executor>::from_url(url);
    Ok(server.context("SMTP_URL cannot be read; write it like smtps://user:password@host")?.build())
}

/// Without TLS there are no passwords either: this is for a server on the same machine that catches mail.
#[cfg(not(feature = "smtp-tls"))]
fn server(url: &str) -> anyhow::Result<AsyncSmtpTransport<Tokio1Executor>> {
    let wrong = "SMTP_URL is not like smtp://localhost:1025; with the feature `smtp-tls` it may have a user and smtps";
    let address =
        url.strip_prefix("smtp://").filter(|address| !address.contains(['@', '?'])).context(wrong)?;
    let (host, port) = address.trim_end_matches('/').rsplit_once(':').context(wrong)?;
    Ok(AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
        .port(port.parse().context(wrong)?)
        .build())
}

fn mailbox(address: &str) -> anyhow::Result<Mailbox> {
    address.parse().with_context(|| format!("mail address {address:?}"))
}
