//! From a job to a message as mail servers know it.

use std::fmt::Write as _;

use ergate_shared::stock::SendEmail;
use lettre::{
    Message,
    message::{MultiPart, SinglePart},
};

use super::Mailbox;
use crate::{Failure, Result, Verdict};

/// What tells a mail from every other: ids of jobs are unique within their queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Identity<'a> {
    pub(super) job: &'a str,
    pub(super) queue: &'a str,
}

impl Identity<'_> {
    /// The same at every attempt; in the domain of the sender, as the id's form asks for one.
    fn message_id(self, from: &Mailbox) -> String {
        let domain = Some(from.0.email.domain()).filter(|domain| domain.is_ascii()).unwrap_or("localhost");
        format!("<{}@{domain}>", self.plain())
    }

    /// For file names and message ids.
    pub(super) fn plain(self) -> String {
        format!("{}.{}", plain(self.job), plain(self.queue))
    }
}

/// Letters, digits, `-` and `_` as they are, any other byte as `=2F`.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => plain.push(char::from(byte)),
            _ => write!(plain, "={byte:02X}").expect("a string takes all text"),
        }
    }
    plain
}

/// Makes the message and its id. What is wrong with a message is wrong with it at every attempt.
pub(super) fn compose(email: SendEmail, from: Mailbox, identity: Identity<'_>) -> Result<(Message, String)> {
    let address = |text: &str| Mailbox::new(text).map_err(Failure::fatal);
    if email.to.is_empty() {
        return Err(Failure::fatal("mail has no recipient"));
    }
    let id = identity.message_id(&from);
    let mut message = Message::builder().from(from.0).subject(email.subject).message_id(Some(id.clone()));
    for to in &email.to {
        message = message.to(address(to)?.0);
    }
    if let Some(to) = &email.reply_to {
        message = message.reply_to(address(to)?.0);
    }
    let message = match email.html {
        None => message.singlepart(SinglePart::plain(email.text)),
        Some(html) if email.text.is_empty() => message.singlepart(SinglePart::html(html)),
        Some(html) => message.multipart(MultiPart::alternative_plain_html(email.text, html)),
    };
    Ok((message.fatal().context("mail cannot be composed")?, id))
}
