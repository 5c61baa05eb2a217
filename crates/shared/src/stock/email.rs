//! `email.send`: one mail message.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::EMAIL_QUEUE;
use crate::Job;

/// One mail message, sent through the worker's mail server, or kept as a file when it has none.
///
/// The message id is made of the job's id and queue. A mail that is sent twice, after a crash, has the same message id, by which
/// the reader's server may drop the second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendEmail {
    /// Who gets it: `name@example.com` or `Name <name@example.com>`; at least one.
    pub to: Vec<String>,
    /// Who it is from; default: what the worker was started with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Where answers go; default: to `from`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// The subject line.
    pub subject: String,
    /// The message as plain text.
    #[serde(default)]
    pub text: String,
    /// The message as HTML, beside the plain text; default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
}

impl Job for SendEmail {
    const NAME: &str = "email.send";
    const QUEUE: &str = EMAIL_QUEUE;
    const TIMEOUT: Duration = Duration::from_mins(2);
}
